//! What a full pass does ahead of its writer: one task reads, another maps, and channels with one place each hold them
//! back, so that memory does not grow with the table.

use std::collections::HashMap;
use std::sync::Arc;

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::{Chain, SourceError};
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::{self, MappedBatch};
use b24sync_domain::mapping::schema::TableMapping;
use b24sync_domain::ports::{ListQuery, RecordStore};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::RecordBatch;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;

/// Batches that wait for the next stage, besides the one that each stage has in its hands.
const WAITING: usize = 1;

/// Rows that are mapped and written at once. An answer has up to 2,500 records, because requests are what a portal counts;
/// in parts, its rows are never in memory all together. Records without rows, because they are as before, do not count.
const PART: usize = 1_000;

/// A batch, or a part of one, that is to be written.
pub(crate) struct Ready {
    /// As it was read.
    pub(crate) batch: RecordBatch,
    /// As it goes into the table; `None` when the table is too narrow for it.
    mapped: Option<Mapped>,
}

struct Mapped {
    /// By which it was mapped: the table may have been widened since.
    mapping: Arc<TableMapping>,
    rows: MappedBatch,
}

impl Ready {
    /// The batch, and its rows if it was mapped for the table as it is now.
    pub(crate) fn for_table(self, mapping: &TableMapping) -> (RecordBatch, Option<MappedBatch>) {
        let rows = self.mapped.filter(|mapped| *mapped.mapping == *mapping).map(|mapped| mapped.rows);
        (self.batch, rows)
    }
}

/// The stages before the writer. Dropped, for whatever reason, it ends them.
pub(crate) struct Pipeline {
    ready: mpsc::Receiver<Result<Ready, SourceError>>,
    mapping: watch::Sender<Arc<TableMapping>>,
    _stages: JoinSet<()>,
}

impl Pipeline {
    /// Begins to read what `query` asks for. Nothing is remembered of the records of a `new` table.
    pub(crate) fn start(
        ports: Ports,
        query: ListQuery,
        mapping: &TableMapping,
        new: bool,
        stop: CancellationToken,
    ) -> Pipeline {
        let (read, batches) = mpsc::channel(WAITING);
        let (map, ready) = mpsc::channel(WAITING);
        let (mapping, current) = watch::channel(Arc::new(mapping.clone()));
        let records = (!new).then(|| Arc::clone(&ports.records));
        let mut stages = JoinSet::new();
        stages.spawn(read_ahead(ports, query, read, stop));
        stages.spawn(map_ahead(records, batches, current, map));
        Pipeline { ready, mapping, _stages: stages }
    }

    /// The next batch; `None` after the last one, or when the run is to stop.
    pub(crate) async fn next(&mut self) -> Option<Result<Ready, SourceError>> {
        self.ready.recv().await
    }

    /// Batches are mapped like this from now on.
    pub(crate) fn map_by(&self, mapping: &TableMapping) {
        self.mapping.send_if_modified(|current| {
            let is_new = **current != *mapping;
            if is_new {
                *current = Arc::new(mapping.clone());
            }
            is_new
        });
    }
}

/// Reads until the listing is exhausted, fails, or nobody wants more.
async fn read_ahead(
    ports: Ports,
    mut query: ListQuery,
    batches: mpsc::Sender<Result<RecordBatch, SourceError>>,
    stop: CancellationToken,
) {
    loop {
        // The place for a batch is taken before it is asked for.
        let Ok(place) = batches.reserve().await else { return };
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            answer = ports.source.list(&query, &ports.order) => answer,
        };
        let last = match &answer {
            Ok(batch) if !batch.exhausted => batch.ids().last().copied(),
            _ => None,
        };
        place.send(answer);
        let Some(last) = last else { return };
        query.cursor = Cursor::after(last.get());
    }
}

/// Maps what was read and is not known already. What does not fit the table is left to the writer, who can widen it.
async fn map_ahead(
    records: Option<Arc<dyn RecordStore>>,
    mut batches: mpsc::Receiver<Result<RecordBatch, SourceError>>,
    mapping: watch::Receiver<Arc<TableMapping>>,
    ready: mpsc::Sender<Result<Ready, SourceError>>,
) {
    while let Some(answer) = batches.recv().await {
        let batch = match answer {
            Ok(batch) => batch,
            Err(error) => {
                // Nobody listens any more if this fails, and it is the last one anyway.
                let _ = ready.send(Err(error)).await;
                return;
            }
        };
        let remembered = remembered(records.as_deref(), &batch).await;
        let mut first = 0;
        loop {
            let mapping = Arc::clone(&mapping.borrow());
            let (end, rows) = rows::map_some(&mapping, &batch, first, &remembered, PART);
            let mapped = rows.ok().map(|rows| Mapped { mapping, rows });
            if ready.send(Ok(Ready { batch: batch.part(first..end), mapped })).await.is_err() {
                return;
            }
            first = end;
            if first >= batch.len() {
                break;
            }
        }
    }
}

/// By which answers the rows of these records were written. Where the store cannot say it, all of them are mapped.
async fn remembered(records: Option<&dyn RecordStore>, batch: &RecordBatch) -> HashMap<RecordId, AnswerHash> {
    let Some(records) = records.filter(|_| !batch.is_empty()) else { return HashMap::new() };
    records.answers(batch.entity, batch.ids()).await.unwrap_or_else(|error| {
        tracing::debug!(entity = %batch.entity, error = %Chain(&error), "could not look what is remembered of records");
        HashMap::new()
    })
}
