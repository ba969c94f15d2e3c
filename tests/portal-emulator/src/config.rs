//! Everything that can differ between portals.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::application::ApplicationRules;
use crate::clock::ClockSource;
use crate::entity::Entity;

/// How many records a generated portal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Deals.
    pub deals: u64,
    /// Leads.
    pub leads: u64,
    /// Contacts.
    pub contacts: u64,
    /// Companies.
    pub companies: u64,
}

impl Counts {
    /// Only deals, and this many.
    pub fn deals(deals: u64) -> Self {
        Self { deals, leads: 0, contacts: 0, companies: 0 }
    }

    /// The number of records of one entity.
    pub fn of(&self, entity: Entity) -> u64 {
        match entity {
            Entity::Lead => self.leads,
            Entity::Deal => self.deals,
            Entity::Contact => self.contacts,
            Entity::Company => self.companies,
        }
    }
}

/// The leaky bucket of REST.md 4.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Requests that drain from the bucket every second.
    pub per_second: f64,
    /// Requests that the bucket holds before the next one is refused.
    pub burst: f64,
}

/// The operating time of REST.md 4.2. Ten buckets of a tenth of the window each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingLimit {
    /// Seconds a method may spend inside the window; the call that crosses the limit still finishes.
    pub limit_seconds: f64,
    /// Length of the window in seconds; 600 on a real portal.
    pub window_seconds: f64,
    /// Seconds charged for a list command.
    pub cost_per_page: f64,
    /// Seconds charged on top when a list command counts (`start` is not -1).
    pub cost_per_count: f64,
    /// Seconds charged for any other call.
    pub cost_per_call: f64,
    /// Whether calls last as long as they cost; else their cost is only counted.
    pub takes_time: bool,
    /// Which counter a batch command is charged to.
    pub accounting: Accounting,
}

impl Default for OperatingLimit {
    fn default() -> Self {
        Self {
            limit_seconds: 480.0,
            window_seconds: 600.0,
            cost_per_page: 0.1,
            cost_per_count: 0.3,
            cost_per_call: 0.02,
            takes_time: false,
            accounting: Accounting::PerMethod,
        }
    }
}

/// The two readings of how batches are charged (REST.md 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// As documented: every command against its own method, the envelope reports 0.
    PerMethod,
    /// As measured: all commands against `batch`; the envelope and the first command report the counter, the others 0.
    Batch,
}

/// What `start=-1` answers as `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinusOneTotal {
    /// `total: 0`; in a batch there is no entry in `result_total` all the same.
    Zero,
    /// No `total`.
    Absent,
}

/// Which date notations filters understand (REST.md 8.3). Bare dates are always understood, unless all are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateFilter {
    /// `2024-08-30T14:29:00+02:00` and `2024-08-30 14:29:00`.
    Both,
    /// Only with the `T`.
    AtomOnly,
    /// Only with the blank.
    SpaceOnly,
    /// No condition on a date has any effect.
    Ignored,
}

/// What becomes of a condition whose date is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadableDate {
    /// It has no effect.
    Ignored,
    /// It matches nothing.
    MatchesNothing,
}

/// What a batch command does whose `$result` reference leads nowhere (REST.md 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnresolvedReference {
    /// It runs with an empty value; a keyset list returns its first page again.
    Restart,
    /// It returns nothing.
    Empty,
    /// It fails; with `halt=1` that ends the batch.
    Halted,
}

/// What becomes of a batch with more than 50 commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOverflow {
    /// The whole batch is refused.
    Refused,
    /// The commands after the fiftieth fail, each on its own.
    SurplusFails,
}

/// The `upperName`s of `crm.item.fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemUpperNames {
    /// The classic names: `DATE_CREATE`, `MODIFY_BY_ID`.
    Classic,
    /// As smart processes have them: `CREATED_TIME`, `UPDATED_BY`.
    SmartProcess,
}

/// How much of the operating time a `time` block shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatingInTime {
    /// `operating` and `operating_reset_at`.
    Full,
    /// `operating` alone.
    ValueOnly,
    /// Neither.
    Absent,
}

/// The order of a list without an `order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultOrder {
    /// By rising id.
    Ascending,
    /// By falling id.
    Descending,
    /// By something that changes with every request, so that pages repeat and skip rows.
    Shuffled,
}

/// A portal: its data, its settings, and how it reads what REST.md leaves open.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of one configuration")]
pub struct PortalConfig {
    /// Everything generated follows from it.
    pub seed: u64,
    /// How many records there are.
    pub counts: Counts,
    /// How many user fields every entity has; the first 38 cover every type, single and multiple.
    pub user_fields: usize,
    /// Records of every non-empty entity with a value that cannot be stored, on top of `counts`.
    pub poison: u64,
    /// Odd characters, unusual empty forms, edge days and integers beyond 32 bits.
    pub odd_values: bool,
    /// With `odd_values`: integers beyond 64 bits in very few records.
    pub huge_integers: bool,
    /// First and last epoch second of generated history.
    pub history: (i64, i64),

    /// What the portal is known by whatever its address: 32 hexadecimal digits.
    pub member_id: String,
    /// Scheme, host and port that the portal gives to others, for instance that of a proxy before it; by default the
    /// address that it listens on.
    pub public_url: Option<String>,
    /// How applications are treated.
    pub application_rules: ApplicationRules,
    /// The user id in the webhook address.
    pub user_id: i64,
    /// The secret in the webhook address.
    pub webhook_code: String,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// Granted scopes.
    pub scopes: BTreeSet<String>,

    /// The leaky bucket; off if `None`.
    pub rate: Option<RateLimit>,
    /// The operating time; not counted if `None`.
    pub operating: Option<OperatingLimit>,

    /// Offset of the server from UTC.
    pub offset_minutes: i32,
    /// Minutes by which instants in rows are shifted, although the offset says otherwise (REST.md 8.4).
    pub user_zone_shift_minutes: i32,
    /// Whether date filters use the shifted clock of the rows.
    pub filter_sees_shift: bool,
    /// Where the time comes from.
    pub clock: ClockSource,
    /// Seconds by which the portal is ahead of that source.
    pub clock_skew_seconds: i64,

    /// What `start=-1` answers as `total`.
    pub minus_one_total: MinusOneTotal,
    /// The order of lists without an `order`.
    pub default_order: DefaultOrder,
    /// Whether the classic `UF_*` includes multiple user fields.
    pub uf_star_includes_multiple: bool,
    /// Whether `*` in `crm.item.list` includes user fields.
    pub item_star_includes_user_fields: bool,
    /// Whether `useOriginalUfNames=Y` with an explicit `select` spoils system fields, as reported.
    pub original_names_bug: bool,
    /// The `upperName`s of `crm.item.fields`.
    pub item_upper_names: ItemUpperNames,
    /// Date notations that filters understand.
    pub date_filter: DateFilter,
    /// What becomes of the other ones.
    pub unreadable_date: UnreadableDate,
    /// What an unresolved `$result` does.
    pub unresolved_reference: UnresolvedReference,
    /// What more than 50 commands do.
    pub batch_overflow: BatchOverflow,
    /// What `time` says about operating time.
    pub operating_in_time: OperatingInTime,
    /// Print everything beyond ASCII as `\uXXXX`, and `/` as `\/`.
    pub php_escapes: bool,

    /// Compress answers for clients that accept gzip.
    pub gzip: bool,
    /// Keep rows of lists once they were written: for measuring others, who are not to wait for the portal. Costs some
    /// 3 KiB of memory a record and dialect.
    pub keep_rows: bool,
    /// Worker threads of the server.
    pub workers: usize,
}

impl Default for PortalConfig {
    /// Small, friendly, without limits: some hundred records, every type of user field.
    fn default() -> Self {
        Self {
            seed: 24,
            counts: Counts { deals: 260, leads: 130, contacts: 170, companies: 60 },
            user_fields: 38,
            poison: 0,
            odd_values: true,
            huge_integers: true,
            history: (1_577_836_800, 1_760_000_000),
            member_id: "0b24e000000000000000000000000001".to_owned(),
            public_url: None,
            application_rules: ApplicationRules::default(),
            user_id: 1,
            webhook_code: "f4k3w3bh00kc0d3x".to_owned(),
            admin: true,
            scopes: ["crm", "user", "userfieldconfig"].map(str::to_owned).into(),
            rate: None,
            operating: None,
            offset_minutes: 180,
            user_zone_shift_minutes: 0,
            filter_sees_shift: true,
            clock: ClockSource::Real,
            clock_skew_seconds: 0,
            minus_one_total: MinusOneTotal::Zero,
            default_order: DefaultOrder::Ascending,
            uf_star_includes_multiple: true,
            item_star_includes_user_fields: true,
            original_names_bug: true,
            item_upper_names: ItemUpperNames::Classic,
            date_filter: DateFilter::Both,
            unreadable_date: UnreadableDate::Ignored,
            unresolved_reference: UnresolvedReference::Restart,
            batch_overflow: BatchOverflow::Refused,
            operating_in_time: OperatingInTime::Full,
            php_escapes: false,
            gzip: false,
            keep_rows: false,
            workers: 2,
        }
    }
}

impl PortalConfig {
    /// A believable CRM with the limits of an ordinary cloud plan.
    pub fn demo() -> Self {
        Self {
            counts: Counts { deals: 12_000, leads: 6_000, contacts: 9_000, companies: 2_500 },
            user_fields: 55,
            huge_integers: false,
            rate: Some(RateLimit { per_second: 2.0, burst: 50.0 }),
            operating: Some(OperatingLimit { cost_per_page: 0.02, cost_per_count: 0.02, ..OperatingLimit::default() }),
            ..Self::default()
        }
    }
}
