//! The portal as one owner's client sees it: calls that take time, fail, or do their work and lose their answer.

use std::sync::Arc;

use async_trait::async_trait;
use b24sync_domain::appraisal::Appraisal;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SourceError;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::portal::{BoundStyle, EntityProbe, PortalProfile, Probed};
use b24sync_domain::ports::{CrmSource, Evidence, ListQuery, News, NewsQuery, ReadOrder};
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch, RecordBatchBuilder};
use b24sync_testkit::build::{deal_fields, id, portal_time};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use crate::owner::Process;
use crate::portal::Version;
use crate::world::World;

/// Pages that one request chains at most.
const PAGES_AT_ONCE: i64 = 3;

/// One owner's client.
pub struct ModelSource {
    /// Everything shared.
    pub world: Arc<World>,
    /// Whose client it is.
    pub process: Arc<Process>,
}

struct Listing {
    found: Vec<(i64, Version)>,
    exhausted: bool,
}

impl ModelSource {
    async fn send(&self, method: &str) -> Result<(), SourceError> {
        self.process.gate().await;
        self.world.travel().await;
        self.process.gate().await;
        self.fault(self.world.weather().fails, method, "no connection")
    }

    async fn receive(&self, method: &str) -> Result<(), SourceError> {
        self.world.travel().await;
        self.process.gate().await;
        self.fault(self.world.weather().loses, method, "the answer was lost")
    }

    fn fault(&self, odds: u32, method: &str, what: &'static str) -> Result<(), SourceError> {
        if !self.world.chance.one_in(odds) {
            return Ok(());
        }
        self.note(|| format!("{method}: {what}"));
        Err(SourceError::Unavailable { method: method.to_owned(), source: what.into() })
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.world.audit(|audit| audit.note(&self.process.name(), what));
    }

    fn time(&self) -> DateTime<FixedOffset> {
        portal_time(self.world.portal(|portal| portal.second()))
    }

    /// One page, at one moment.
    fn page(&self, read: ReadToken, window: Window, cursor: Cursor) -> Vec<(i64, Version)> {
        let world = &self.world;
        let mut limit = world.page_size;
        if world.chance.one_in(world.weather().short_pages) {
            limit = usize::try_from(world.chance.between(1..=3)).unwrap_or(1).min(limit);
        }
        let found = world.portal(|portal| portal.page(window, cursor, limit));
        world.audit(|audit| audit.read(read.0, &found));
        let listing = if window == Window::Everything { "all" } else { "changes" };
        self.note(|| format!("read {} lists {listing} after {}: {}", read.0, cursor.get(), show(&found)));
        found
    }

    /// Pages of one request, one after another while the portal goes on.
    async fn chain(&self, read: ReadToken, window: Window, mut cursor: Cursor) -> Listing {
        let mut listing = Listing { found: Vec::new(), exhausted: false };
        for _ in 0..self.world.chance.between(1..=PAGES_AT_ONCE) {
            let page = self.page(read, window, cursor);
            let Some((last, _)) = page.last() else {
                listing.exhausted = true;
                break;
            };
            cursor = Cursor::after(*last);
            let short = page.len() < self.world.page_size;
            listing.found.extend(page);
            if short && self.world.chance.one_in(2) {
                // What comes after a short page of the same answer is not used.
                break;
            }
            self.world.chance.wait(1..=300).await;
        }
        listing
    }

    fn render(
        (entity, layout): (EntityType, &Arc<Layout>),
        read: ReadToken,
        time: DateTime<FixedOffset>,
        listing: &Listing,
    ) -> RecordBatch {
        let mut builder = RecordBatchBuilder::new(entity, Arc::clone(layout), read, time, String::new());
        for (number, version) in &listing.found {
            let modified = portal_time(version.modified);
            builder.begin(id(*number), Some(modified.with_timezone(&Utc)));
            for (position, field) in layout.fields().iter().enumerate() {
                match field.as_str() {
                    "OPPORTUNITY" => builder.set_derived(position, &format!("\"{}\"", version.number)),
                    "DATE_MODIFY" => builder.set_derived(position, &format!("\"{}\"", modified.to_rfc3339())),
                    _ => {}
                }
            }
        }
        builder.finish(listing.exhausted)
    }

    fn ended(&self, changes: bool, listing: &Listing) {
        if listing.exhausted {
            self.world.audit(|audit| audit.listing_ended(&self.process.name(), changes));
        }
    }
}

fn show(found: &[(i64, Version)]) -> String {
    let shown = found.iter().map(|(id, version)| format!("{id}=v{}@{}", version.number, version.modified));
    format!("[{}]", shown.collect::<Vec<_>>().join(" "))
}

async fn draw(order: &Arc<dyn ReadOrder>) -> Result<ReadToken, SourceError> {
    order.next().await.map_err(SourceError::ReadOrder)
}

#[async_trait]
impl CrmSource for ModelSource {
    fn address(&self) -> String {
        "model.example".to_owned()
    }

    async fn profile(&self) -> Result<PortalProfile, SourceError> {
        self.send("profile").await?;
        let server_time = self.time();
        self.receive("profile").await?;
        Ok(PortalProfile {
            user_id: 1,
            admin: Some(true),
            time_zone: None,
            scopes: Vec::new(),
            server_time,
            behind: TimeDelta::zero(),
        })
    }

    async fn probe(&self, entity: EntityType) -> Result<Probed, SourceError> {
        self.send("probe").await?;
        let bounds = Some(BoundStyle::default());
        self.receive("probe").await?;
        Ok(Probed::Answered(EntityProbe { entity, bounds, keyset: true, ahead: TimeDelta::zero() }))
    }

    async fn fields(&self, _entity: EntityType) -> Result<Vec<FieldDescription>, SourceError> {
        self.send("fields").await?;
        self.receive("fields").await?;
        Ok(deal_fields())
    }

    async fn list(&self, query: &ListQuery, order: &Arc<dyn ReadOrder>) -> Result<RecordBatch, SourceError> {
        let changes = query.window != Window::Everything;
        if !changes {
            self.world.audit(|audit| audit.listed_from(&self.process.name(), query.cursor.get()));
        }
        let read = draw(order).await?;
        self.send("list").await?;
        let time = self.time();
        let listing = self.chain(read, query.window, query.cursor).await;
        self.receive("list").await?;
        self.ended(changes, &listing);
        Ok(Self::render((query.entity, &query.layout), read, time, &listing))
    }

    async fn news(&self, query: &NewsQuery, order: &Arc<dyn ReadOrder>) -> Result<News, SourceError> {
        let read = draw(order).await?;
        self.send("news").await?;
        let time = self.time();
        let (since, cursor) = query.changed;
        let changed = self.page(read, Window::ModifiedSince(since), cursor);
        let changed = Listing { exhausted: changed.is_empty(), found: changed };
        if self.world.chance.one_in(self.world.weather().surprises) {
            let id = self.world.portal(|portal| portal.surprise(&self.world.chance));
            self.note(|| format!("record {id:?} changes right after the first look"));
        }
        self.world.chance.wait(1..=300).await;
        let created = self.page(read, Window::Everything, query.created);
        let created = Listing { exhausted: created.is_empty(), found: created };
        self.receive("news").await?;
        self.ended(true, &changed);
        self.ended(false, &created);
        let render = |listing| Self::render((query.entity, &query.layout), read, time, listing);
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
        let read = draw(order).await?;
        self.send("by_ids").await?;
        let time = self.time();
        let mut ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        let found =
            self.world.portal(|portal| ids.iter().filter_map(|id| Some((*id, portal.read(*id)?))).collect::<Vec<_>>());
        self.world.audit(|audit| audit.read(read.0, &found));
        self.note(|| format!("read {} of {ids:?}: {}", read.0, show(&found)));
        self.receive("by_ids").await?;
        Ok(Self::render((entity, layout), read, time, &Listing { found, exhausted: false }))
    }

    async fn evidence(
        &self,
        _entity: EntityType,
        ids: &[RecordId],
        control: RecordId,
        order: &Arc<dyn ReadOrder>,
    ) -> Result<Evidence, SourceError> {
        let read = draw(order).await?;
        self.send("evidence").await?;
        if self.world.chance.one_in(self.world.weather().surprises) {
            self.world.portal(|portal| portal.lose(control.get()));
            self.note(|| format!("the control record {control} is deleted right before the look"));
        }
        let evidence = self.world.portal(|portal| {
            let readable = |id: &RecordId| portal.read(id.get()).is_some();
            let missing = |id: &RecordId| portal.not_found(id.get());
            let ids_where = |wanted: &dyn Fn(&RecordId) -> bool| ids.iter().copied().filter(wanted).collect();
            Evidence {
                read,
                control_found: readable(&control),
                found: ids_where(&|id| readable(id)),
                missing: ids_where(&|id| missing(id)),
                denied: ids_where(&|id| !missing(id) && !readable(id)),
            }
        });
        self.note(|| format!("evidence, control {control}: {evidence:?}"));
        self.receive("evidence").await?;
        Ok(evidence)
    }

    async fn appraise(
        &self,
        _entity: EntityType,
        _layout: &Arc<Layout>,
        _window: Window,
    ) -> Result<Option<Appraisal>, SourceError> {
        Ok(None)
    }

    async fn count(&self, _entity: EntityType) -> Result<Option<u64>, SourceError> {
        self.send("count").await?;
        Ok(None)
    }
}
