//! How many records there are, as far as the portal says.

use b24sync_domain::ports::Lane;
use b24sync_domain::progress::Window;
use chrono::FixedOffset;
use serde_json::json;

use super::time_bound;

use crate::budget::Budget;
use crate::dialect::EntityDialect;
use crate::envelope::{Envelope, Named};
use crate::failure::Failure;
use crate::lenient;
use crate::transport::{Answer, Exchange, refuse};

/// Asks for one page of ids only for the sake of its `total`.
pub(crate) struct Count<'a> {
    pub(crate) dialect: &'a EntityDialect,
    /// Which records, and the portal's offset, in which times are written.
    pub(crate) window: (Window, FixedOffset),
}

impl Exchange for Count<'_> {
    type Output = Option<u64>;

    fn method(&self) -> &str {
        &self.dialect.list_method
    }

    fn lane(&self) -> Lane {
        Lane::Full
    }

    fn charged(&self) -> Vec<String> {
        vec![self.dialect.list_method.clone()]
    }

    fn request(&self) -> Vec<u8> {
        let id = self.dialect.id_name;
        let mut request = serde_json::Map::new();
        if let Some(type_id) = self.dialect.type_id {
            request.insert("entityTypeId".to_owned(), json!(type_id));
        }
        if let (Window::ModifiedSince(bound), offset) = self.window {
            let since = json!({ format!(">={}", self.dialect.modified_name): time_bound::write(bound, offset) });
            request.insert("filter".to_owned(), since);
        }
        request.insert("select".to_owned(), json!([id]));
        request.insert("order".to_owned(), json!({ id: "ASC" }));
        request.insert("start".to_owned(), json!(0));
        serde_json::Value::from(request).to_string().into_bytes()
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Option<u64>, Failure> {
        let method = self.method();
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(method, &error))?;
        budget.time(method, &envelope.time());
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(method, answer.status, &refusal, budget));
        }
        let result = envelope.result.ok_or_else(|| Failure::malformed(method, "the answer has no `result`"))?;
        let records = match self.dialect.list_wrapper {
            Some(wrapper) => Named::of(result).get(wrapper).map(Named::of).unwrap_or_default(),
            None => Named::of(result),
        };
        let total = envelope.total.and_then(lenient::integer).and_then(|total| u64::try_from(total).ok());
        // Some methods say 0 whatever there is.
        Ok(total.filter(|total| *total > 0 || records.first().is_none()))
    }
}
