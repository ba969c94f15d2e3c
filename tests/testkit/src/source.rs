//! A portal in memory: records by id, pages of 50, and faults on order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::appraisal::Appraisal;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SourceError;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::portal::{BoundStyle, EntityProbe, PortalProfile, Probed};
use b24sync_domain::ports::{CrmSource, Evidence, ListQuery, News, NewsQuery, ReadOrder};
use b24sync_domain::progress::{Cursor, PAGE_SIZE, Window};
use b24sync_domain::record::{Layout, RecordBatch, RecordBatchBuilder};
use chrono::{TimeDelta, Utc};

use crate::build::{id, portal_time};

/// One record: the second of its last change, and JSON texts by field name.
#[derive(Debug, Clone, Default)]
pub struct FakeRecord {
    /// Second of the last change on [`portal_time`].
    pub modified: i64,
    /// Values.
    pub values: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    fields: Vec<FieldDescription>,
    records: BTreeMap<i64, FakeRecord>,
    clock: i64,
    pages_per_answer: usize,
    /// Records that the user may not read: left out of listings, refused by id.
    hidden: HashSet<i64>,
    /// Records that listings leave out although they can be read by id.
    omitted: HashSet<i64>,
    /// The entity is gone: listings are empty, and nothing is found by id.
    type_removed: bool,
    /// How bounds of times must be written; `None`: in no way.
    bounds: Option<BoundStyle>,
    probes: u64,
    delay: Duration,
    silent: bool,
    /// Out of reach: nothing is answered.
    out: bool,
    failures: VecDeque<Option<SourceError>>,
    requests: u64,
    on_list: Option<Box<dyn FnMut(u64) + Send>>,
}

impl State {
    /// How the next listing or read by id fails, if it does.
    fn next_failure(&mut self) -> Option<SourceError> {
        if self.out { Some(unreachable()) } else { self.failures.pop_front().flatten() }
    }

    /// Whether the user may read this record.
    fn shows(&self, id: i64) -> bool {
        !self.type_removed && !self.hidden.contains(&id)
    }

    fn page(&self, window: Window, cursor: Cursor, limit: usize) -> Vec<(i64, FakeRecord)> {
        let wanted = |record: &FakeRecord| match window {
            Window::Everything => true,
            // A bound that is not understood selects nothing.
            Window::ModifiedSince(bound) => {
                self.bounds == Some(bound.style) && portal_time(record.modified).with_timezone(&Utc) >= bound.at
            }
        };
        let above = self
            .records
            .range(cursor.get() + 1..)
            .filter(|(id, record)| self.shows(**id) && !self.omitted.contains(id) && wanted(record));
        above.take(limit).map(|(number, record)| (*number, record.clone())).collect()
    }
}

fn unreachable() -> SourceError {
    SourceError::Unavailable { method: "batch".to_owned(), source: "out of reach".into() }
}

/// A portal with one entity's records.
#[derive(Clone)]
pub struct FakeSource(Arc<Mutex<State>>);

impl FakeSource {
    /// A portal with these fields, no records, and two pages in an answer.
    pub fn new(fields: Vec<FieldDescription>) -> FakeSource {
        FakeSource(Arc::new(Mutex::new(State {
            fields,
            pages_per_answer: 2,
            bounds: Some(BoundStyle::default()),
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Adds or replaces a record; values are JSON texts.
    pub fn put(&self, id: i64, modified: i64, values: &[(&str, &str)]) {
        let values = values.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        self.state().records.insert(id, FakeRecord { modified, values });
    }

    /// Removes a record.
    pub fn remove(&self, id: i64) {
        self.state().records.remove(&id);
    }

    /// Takes the right to read these records away.
    pub fn hide(&self, ids: impl IntoIterator<Item = i64>) {
        self.state().hidden.extend(ids);
    }

    /// Makes listings leave these records out.
    pub fn omit(&self, ids: impl IntoIterator<Item = i64>) {
        self.state().omitted.extend(ids);
    }

    /// Removes the whole entity, or brings it back.
    pub fn remove_type(&self, removed: bool) {
        self.state().type_removed = removed;
    }

    /// Adds a field.
    pub fn add_field(&self, field: FieldDescription) {
        self.state().fields.push(field);
    }

    /// Removes a field; the records keep their values of it.
    pub fn remove_field(&self, name: &str) {
        self.state().fields.retain(|field| field.name.as_str() != name);
    }

    /// Takes the values of a field out of all records, without a change of their times.
    pub fn forget_values(&self, name: &str) {
        self.state().records.values_mut().for_each(|record| {
            record.values.remove(name);
        });
    }

    /// Sets a value without a change of the record's time.
    pub fn set_quietly(&self, id: i64, name: &str, json: &str) {
        if let Some(record) = self.state().records.get_mut(&id) {
            record.values.insert(name.to_owned(), json.to_owned());
        }
    }

    /// Sets the portal's clock, in seconds of [`portal_time`].
    pub fn set_clock(&self, second: i64) {
        self.state().clock = second;
    }

    /// Makes bounds of times understood in this way only, or not at all.
    pub fn understand_bounds(&self, bounds: Option<BoundStyle>) {
        self.state().bounds = bounds;
    }

    /// Probes asked for so far.
    pub fn probes(&self) -> u64 {
        self.state().probes
    }

    /// Makes every listing take this long.
    pub fn slow_down(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Never answers again when it is asked who it is.
    pub fn fall_silent(&self) {
        self.state().silent = true;
    }

    /// Goes out of reach, or comes back.
    pub fn go_out(&self, out: bool) {
        self.state().out = out;
    }

    /// The next listings and reads by id fail like this; `None` lets one succeed.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Option<SourceError>>) {
        self.state().failures.extend(failures);
    }

    /// Calls this before every listing, with the listing's number.
    pub fn on_list(&self, action: impl FnMut(u64) + Send + 'static) {
        self.state().on_list = Some(Box::new(action));
    }

    /// Listings asked for so far.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Counts a listing, and lets the test have its say. The action may change this portal, so the lock is not held.
    fn begin_request(&self) {
        let action = {
            let mut state = self.state();
            state.requests += 1;
            state.on_list.take()
        };
        if let Some(mut action) = action {
            action(self.requests());
            let mut state = self.state();
            if state.on_list.is_none() {
                state.on_list = Some(action);
            }
        }
    }

    /// What an answer with records takes.
    async fn take_time(&self) {
        let delay = self.state().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn render(
        state: &State,
        entity: EntityType,
        layout: &Arc<Layout>,
        read: b24sync_domain::record::ReadToken,
        records: &[(i64, FakeRecord)],
        exhausted: bool,
    ) -> RecordBatch {
        let time = portal_time(state.clock);
        let mut builder = RecordBatchBuilder::new(entity, Arc::clone(layout), read, time, String::new());
        for (number, record) in records {
            builder.begin(id(*number), Some(portal_time(record.modified).with_timezone(&Utc)));
            for (position, field) in layout.fields().iter().enumerate() {
                if field.as_str() == "DATE_MODIFY" {
                    builder.set_derived(position, &format!("\"{}\"", portal_time(record.modified).to_rfc3339()));
                } else if let Some(json) = record.values.get(field.as_str()) {
                    builder.set_derived(position, json);
                }
            }
        }
        builder.finish(exhausted)
    }
}

#[async_trait]
impl CrmSource for FakeSource {
    fn address(&self) -> String {
        "portal.example".to_owned()
    }

    async fn profile(&self) -> Result<PortalProfile, SourceError> {
        let silent = self.state().silent;
        if silent {
            std::future::pending::<()>().await;
        }
        if self.state().out {
            return Err(unreachable());
        }
        Ok(PortalProfile {
            user_id: 1,
            admin: Some(true),
            time_zone: None,
            scopes: vec!["crm".to_owned()],
            server_time: portal_time(self.state().clock),
            behind: TimeDelta::zero(),
        })
    }

    async fn probe(&self, entity: EntityType) -> Result<Probed, SourceError> {
        let mut state = self.state();
        state.probes += 1;
        if state.records.is_empty() {
            return Ok(Probed::Empty);
        }
        let probe = EntityProbe { entity, bounds: state.bounds, keyset: true, ahead: TimeDelta::zero() };
        Ok(Probed::Answered(probe))
    }

    async fn fields(&self, _entity: EntityType) -> Result<Vec<FieldDescription>, SourceError> {
        Ok(self.state().fields.clone())
    }

    async fn list(&self, query: &ListQuery, order: &Arc<dyn ReadOrder>) -> Result<RecordBatch, SourceError> {
        let read = order.next().await.map_err(SourceError::ReadOrder)?;
        self.begin_request();
        self.take_time().await;
        let mut state = self.state();
        if let Some(error) = state.next_failure() {
            return Err(error);
        }
        let limit = state.pages_per_answer * PAGE_SIZE;
        let found = state.page(query.window, query.cursor, limit);
        // Only an empty first page is a valid empty page here: after a short page the portal's answer proves nothing.
        let exhausted = found.is_empty();
        Ok(Self::render(&state, query.entity, &query.layout, read, &found, exhausted))
    }

    async fn news(&self, query: &NewsQuery, order: &Arc<dyn ReadOrder>) -> Result<News, SourceError> {
        let read = order.next().await.map_err(SourceError::ReadOrder)?;
        self.begin_request();
        let mut state = self.state();
        if let Some(error) = state.next_failure() {
            return Err(error);
        }
        let (since, cursor) = query.changed;
        let changed = state.page(Window::ModifiedSince(since), cursor, PAGE_SIZE);
        let created = state.page(Window::Everything, query.created, PAGE_SIZE);
        let render = |found: &[(i64, FakeRecord)]| {
            Self::render(&state, query.entity, &query.layout, read, found, found.is_empty())
        };
        Ok(News { changed: render(&changed), created: render(&created) })
    }

    fn ids_at_once(&self, _entity: EntityType) -> usize {
        2_500
    }

    async fn by_ids(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        ids: &[RecordId],
        order: &Arc<dyn ReadOrder>,
    ) -> Result<RecordBatch, SourceError> {
        let read = order.next().await.map_err(SourceError::ReadOrder)?;
        self.take_time().await;
        let mut state = self.state();
        if let Some(error) = state.next_failure() {
            return Err(error);
        }
        let shown = ids.iter().map(|id| id.get()).filter(|id| state.shows(*id));
        let mut found: Vec<(i64, FakeRecord)> =
            shown.filter_map(|id| state.records.get(&id).map(|record| (id, record.clone()))).collect();
        found.sort_by_key(|(number, _)| *number);
        Ok(Self::render(&state, entity, layout, read, &found, false))
    }

    async fn evidence(
        &self,
        _entity: EntityType,
        ids: &[RecordId],
        control: RecordId,
        order: &Arc<dyn ReadOrder>,
    ) -> Result<Evidence, SourceError> {
        let read = order.next().await.map_err(SourceError::ReadOrder)?;
        let state = self.state();
        let exists = |id: &RecordId| !state.type_removed && state.records.contains_key(&id.get());
        let readable = |id: &RecordId| exists(id) && !state.hidden.contains(&id.get());
        let ids_where = |wanted: &dyn Fn(&RecordId) -> bool| ids.iter().copied().filter(wanted).collect();
        Ok(Evidence {
            read,
            control_found: readable(&control),
            found: ids_where(&|id| readable(id)),
            missing: ids_where(&|id| !exists(id)),
            denied: ids_where(&|id| exists(id) && !readable(id)),
        })
    }

    async fn appraise(
        &self,
        _entity: EntityType,
        _layout: &Arc<Layout>,
        window: Window,
    ) -> Result<Option<Appraisal>, SourceError> {
        let state = self.state();
        let found = state.page(window, Cursor::START, usize::MAX).len();
        let pages = u64::try_from(found.div_ceil(PAGE_SIZE)).unwrap_or(u64::MAX);
        Ok(Some(Appraisal {
            records: u64::try_from(found).unwrap_or(u64::MAX),
            requests: pages + 1,
            pages,
            page: Duration::from_millis(50),
            page_operating: None,
            limits: RateLimits::new(2.0, 50),
            operating_limit: 480.0,
        }))
    }

    async fn count(&self, _entity: EntityType) -> Result<Option<u64>, SourceError> {
        Ok(u64::try_from(self.state().records.len()).ok())
    }
}
