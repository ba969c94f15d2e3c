//! Binds of a query, serialised by diesel and sent by tokio-postgres.

use std::error::Error;

use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::result::QueryResult;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::error::Failure;

/// One serialised bind.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) oid: u32,
    bytes: Option<Vec<u8>>,
}

impl Bind {
    #[cfg(feature = "bench")]
    pub(super) fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::len)
    }
}

/// Serialises the binds of a query, in order.
pub(super) fn collect(query: &dyn QueryFragment<Pg>) -> QueryResult<Vec<Bind>> {
    let mut collector = RawBytesBindCollector::<Pg>::new();
    query.collect_binds(&mut collector, &mut BuiltInTypes, &Pg)?;
    collector
        .metadata
        .into_iter()
        .zip(collector.binds)
        .map(|(metadata, bytes)| {
            let oid = metadata.oid().map_err(|error| Failure::ours(error.to_string()))?;
            Ok(Bind { oid, bytes })
        })
        .collect()
}

/// Types of our own are not bound anywhere, so that no lookup is ever needed.
struct BuiltInTypes;

impl PgMetadataLookup for BuiltInTypes {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match &self.bytes {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    // The statement was prepared with the types of these very binds.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
