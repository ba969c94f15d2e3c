//! The handle through which tests look at a portal and change it while it runs.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use crate::application::OauthStats;
use crate::changes::{Addition, Origin, defined};
use crate::clock::PortalClock;
use crate::config::{PortalConfig, RateLimit};
use crate::data::{below, mix, salt_of};
use crate::entity::Entity;
use crate::events::{FieldVerb, Verb};
use crate::faults::FaultPlan;
use crate::inner::Inner;
use crate::schema::{UserFieldSpec, UserType, set_type};
use crate::server::{RunningPortal, serve_until_signal};
use crate::stats::StatsSnapshot;
use crate::times::Times;
use crate::truth::{TrueField, TrueRecord, Truth};

/// A portal. Clones are handles on the same one; every change is visible in the next answer.
#[derive(Clone, Debug)]
pub struct Portal {
    inner: Arc<Inner>,
}

fn owned<'c>(changes: impl IntoIterator<Item = (&'c str, Truth)>) -> Vec<(String, Truth)> {
    changes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Portal {
    /// Generates a portal.
    pub fn new(config: PortalConfig) -> Self {
        Self { inner: Arc::new(Inner::new(config)) }
    }

    /// Serves the portal on a free port of 127.0.0.1, on a thread and a runtime of its own.
    ///
    /// # Errors
    /// Fails when no port can be bound or no thread started.
    pub fn start(&self) -> io::Result<RunningPortal> {
        self.start_on(0)
    }

    /// Serves the portal on a port of 127.0.0.1.
    ///
    /// # Errors
    /// Fails when the port cannot be bound or no thread started.
    pub fn start_on(&self, port: u16) -> io::Result<RunningPortal> {
        RunningPortal::start(self.clone(), port)
    }

    /// Serves the portal on this thread until the process gets SIGTERM or SIGINT.
    ///
    /// # Errors
    /// Fails when the server cannot be started.
    pub fn serve_until_signal(&self, listener: TcpListener) -> io::Result<()> {
        serve_until_signal(self, listener)
    }

    /// The path of the webhook: `/rest/USER/CODE/`.
    pub fn webhook_path(&self) -> String {
        format!("/rest/{}/{}/", self.config().user_id, self.config().webhook_code)
    }

    /// What the portal was made with.
    pub fn config(&self) -> &PortalConfig {
        &self.inner.config
    }

    /// The portal's clock, to be read or moved.
    pub fn clock(&self) -> &PortalClock {
        &self.inner.clock
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    // Records.

    /// The ids of all records, rising, also of those that the user may not see.
    pub fn ids(&self, entity: Entity) -> Vec<i64> {
        self.inner.stores().of(entity).ids().to_vec()
    }

    /// The record as the portal holds it; `None` if it does not exist. Hidden records exist.
    pub fn truth(&self, entity: Entity, id: i64) -> Option<TrueRecord> {
        self.inner.stores().of(entity).truth(&self.inner.world, id)
    }

    /// The fields of an entity as they stand.
    pub fn fields_truth(&self, entity: Entity) -> Vec<TrueField> {
        self.inner.stores().of(entity).schema.fields().iter().map(crate::schema::Field::truth).collect()
    }

    /// Changes fields, named as in [`TrueRecord::fields`], and the modified time. Text is read as the field's type;
    /// unknown names are ignored. Returns whether the record exists.
    pub fn edit<'c>(&self, entity: Entity, id: i64, changes: impl IntoIterator<Item = (&'c str, Truth)>) -> bool {
        let now = self.inner.clock.now_seconds();
        self.inner.edit_record(&mut self.inner.stores_mut(), Origin::default(), entity, id, owned(changes), now)
    }

    /// Edits `count` records chosen by `seed`, each in a few fields. Returns their ids.
    pub fn edit_random(&self, entity: Entity, count: usize, seed: u64) -> Vec<i64> {
        let ids = self.ids(entity);
        let limit = u64::try_from(ids.len()).unwrap_or(0);
        let chosen = (0..count).filter_map(|step| {
            let roll = mix(seed ^ mix(u64::try_from(step).unwrap_or(0) ^ salt_of(entity.name())));
            let id = *ids.get(usize::try_from(below(roll, limit)).ok()?)?;
            self.edit(entity, id, random_changes(entity, roll)).then_some(id)
        });
        chosen.collect()
    }

    /// Adds a record that is as believable as the others, with these fields; created and modified now.
    pub fn add<'c>(&self, entity: Entity, fields: impl IntoIterator<Item = (&'c str, Truth)>) -> i64 {
        let now = self.inner.clock.now_seconds();
        self.import_with_old_dates(entity, fields, now, now)
    }

    /// Adds a record with a history, as an import by an administrator does: date windows never see it.
    pub fn import_with_old_dates<'c>(
        &self,
        entity: Entity,
        fields: impl IntoIterator<Item = (&'c str, Truth)>,
        created: i64,
        modified: i64,
    ) -> i64 {
        let addition = Addition { fields: owned(fields), created, modified, blank: false };
        self.inner.add_record(&mut self.inner.stores_mut(), Origin::default(), entity, addition)
    }

    /// Deletes a record; returns whether it was there.
    pub fn delete(&self, entity: Entity, id: i64) -> bool {
        self.inner.delete_record(&mut self.inner.stores_mut(), Origin::default(), entity, id)
    }

    /// Takes a deleted record out of the recycle bin, with its id and its old modified time.
    pub fn restore(&self, entity: Entity, id: i64) -> bool {
        self.inner.restore_record(&mut self.inner.stores_mut(), entity, id)
    }

    /// Edits all these records in one second. Returns that second.
    pub fn bulk_edit_in_one_second(&self, entity: Entity, ids: &[i64]) -> i64 {
        let now = self.inner.clock.now_seconds();
        let mut stores = self.inner.stores_mut();
        for id in ids {
            let changes = owned([("ASSIGNED_BY_ID", Truth::Reference(1 + id % 14)), ("COMMENTS", "bulk edit".into())]);
            self.inner.edit_record(&mut stores, Origin::default(), entity, *id, changes, now);
        }
        now
    }

    // User fields.

    /// Adds a user field; returns its name. A name that is taken is returned unchanged.
    pub fn add_user_field(&self, entity: Entity, spec: &UserFieldSpec) -> String {
        self.inner.add_user_field(entity, spec)
    }

    /// Gives a user field another label; returns whether it exists.
    pub fn rename_label(&self, entity: Entity, name: &str, label: &str) -> bool {
        self.inner.change_user_field(entity, name, [FieldVerb::Record(Verb::Update)], |store| {
            store.schema.change_user_field(name, |_, user| label.clone_into(&mut user.label))
        })
    }

    /// Gives a user field another type, as deleting it and making it anew does; edits of its values are lost.
    pub fn retype_user_field(&self, entity: Entity, name: &str, user_type: UserType) -> bool {
        let verbs = std::iter::once(FieldVerb::Record(Verb::Delete)).chain(defined(user_type));
        self.inner.change_user_field(entity, name, verbs, |store| {
            store.forget_field(name);
            store.schema.change_user_field(name, |field, user| set_type(field, user, user_type))
        })
    }

    /// Makes a user field multiple or single; edits of its values are lost.
    pub fn make_multiple(&self, entity: Entity, name: &str, multiple: bool) -> bool {
        self.inner.change_user_field(entity, name, [FieldVerb::Record(Verb::Update)], |store| {
            store.forget_field(name);
            store.schema.change_user_field(name, |field, _| field.multiple = multiple)
        })
    }

    /// Removes a user field with its values; returns whether it existed.
    pub fn remove_user_field(&self, entity: Entity, name: &str) -> bool {
        self.inner.change_user_field(entity, name, [FieldVerb::Record(Verb::Delete)], |store| {
            store.forget_field(name);
            store.schema.remove_user_field(name)
        })
    }

    // Rights.

    /// Takes the right to read these records from the user: lists skip them, `get` is denied.
    pub fn hide(&self, entity: Entity, ids: &[i64]) {
        self.inner.stores_mut().of_mut(entity).hide(ids);
    }

    /// Takes the right to read any record of an entity: lists are empty, `get` is denied.
    pub fn hide_all(&self, entity: Entity) {
        self.inner.stores_mut().of_mut(entity).hide_all();
    }

    /// Gives the rights to read all records back.
    pub fn unhide(&self, entity: Entity) {
        self.inner.stores_mut().of_mut(entity).unhide();
    }

    /// Removes an entity type, or brings it back: its methods answer `NOT_FOUND`.
    pub fn remove_entity_type(&self, entity: Entity, removed: bool) {
        self.inner.stores_mut().of_mut(entity).removed = removed;
    }

    /// Grants exactly these scopes.
    pub fn set_scopes<'s>(&self, scopes: impl IntoIterator<Item = &'s str>) {
        self.inner.access_mut().scopes = scopes.into_iter().map(str::to_owned).collect();
    }

    /// Whether the user may read CRM at all.
    pub fn set_crm_rights(&self, granted: bool) {
        self.inner.access_mut().crm_rights = granted;
    }

    /// Whether the user is an administrator.
    pub fn set_admin(&self, admin: bool) {
        self.inner.access_mut().admin = admin;
    }

    /// Revokes the webhook: every call answers 401.
    pub fn revoke_webhook(&self) {
        self.inner.access_mut().active = false;
    }

    /// Makes a revoked webhook work again.
    pub fn reinstate_webhook(&self) {
        self.inner.access_mut().active = true;
    }

    // Moments.

    /// How moments are shown and read.
    pub fn times(&self) -> Times {
        self.inner.times()
    }

    /// Changes how moments are shown and read, from the next answer on.
    pub fn set_times(&self, times: Times) {
        self.inner.set_times(times);
    }

    // Limits, faults, counters.

    /// Replaces the rate limit; the bucket is empty afterwards.
    pub fn set_rate(&self, rate: Option<RateLimit>) {
        self.inner.bucket().set_limit(rate);
    }

    /// Replaces the plan of faults.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.inner.faults().set(plan);
    }

    /// What was counted since the start or the last reset.
    pub fn stats(&self) -> StatsSnapshot {
        self.inner.stats.snapshot()
    }

    /// Sets the counters to zero and both limits to unused.
    pub fn reset_stats(&self) {
        self.inner.stats.reset();
        self.inner.bucket().empty();
        self.inner.operating().clear();
        self.inner.hub.office.reset();
        self.inner.hub.count_oauth(|stats| *stats = OauthStats::default());
    }
}

fn random_changes(entity: Entity, roll: u64) -> Vec<(&'static str, Truth)> {
    let text = format!("изменено {}", roll % 100_000);
    let mut changes: Vec<(&str, Truth)> = vec![("COMMENTS", text.into())];
    match entity {
        Entity::Deal => {
            let stage = crate::data::pick(roll, &["NEW", "PREPARATION", "EXECUTING", "WON", "LOSE"]);
            changes.push(("STAGE_ID", stage.into()));
            changes.push(("OPPORTUNITY", Truth::Decimal(format!("{}.50", roll % 1_000_000))));
        }
        Entity::Lead => {
            let status = crate::data::pick(roll, &["NEW", "IN_PROCESS", "CONVERTED", "JUNK"]);
            changes.push(("STATUS_ID", status.into()));
        }
        Entity::Contact => changes.push(("POST", Truth::Null)),
        Entity::Company => changes.push(("REVENUE", Truth::Decimal((roll % 1_000_000).to_string()))),
    }
    changes
}
