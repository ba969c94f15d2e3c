//! A Bitrix24 portal in memory behind HTTP: an independent witness for tests and the demo.
//!
//! It speaks both dialects of the CRM API, `crm.{entity}.*` and `crm.item.*`, over generated records of four
//! entities. It imports no other crate of this workspace, so that an error in the product's reading of the API is not
//! repeated here; its only source is what is written down about the vendor's REST API, quoted by section as "REST.md".
//!
//! ```
//! use b24sync_portal_emulator::{Counts, Entity, Portal, PortalConfig};
//!
//! let portal = Portal::new(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() });
//! let running = portal.start()?;
//! let webhook = running.webhook_url(); // a client reads crm.deal.list and the like below it
//! let id = portal.ids(Entity::Deal)[0];
//! portal.edit(Entity::Deal, id, [("TITLE", "новое название".into())]);
//! assert_eq!(portal.truth(Entity::Deal, id).unwrap().fields["TITLE"], "новое название".into());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Events
//! A portal tells others of its changes while it runs: [`Portal::add_outgoing_webhook`] makes a listener by hand, and
//! an application that [`Portal::install_application`] installs binds its own with `event.bind`, or reads the offline
//! queue. [`DeliveryPlan`] says how late, how often and in which order; nothing is ever sent again. [`Portal::answered_ok`]
//! tells which events a handler confirmed.
//!
//! # How it is made
//! - `data`: every value follows from (seed, entity, id); a record that nobody reads costs eight bytes.
//! - `store`: the ids in order and what was edited.
//! - `schema`: fields of both dialects; one more standard field is one more line in a table there.
//! - `filter`, `list`, `render`: which rows, in which order, as which JSON text. No DOM is built. With
//!   [`PortalConfig::keep_rows`] the text of generated records is kept, so that a portal is no bound for who is measured.
//! - `methods`, `batch`, `rest`: the API without HTTP; one more method is one more branch in `methods`.
//! - `changes`: the one way to change records and user fields, so that no listener misses one.
//! - `events`, `delivery`: who is told what, and how late, how often and in which order; one more event is one more
//!   constructor in `events`.
//! - `application`, `lifecycle`: an application with its tokens, handlers and offline queue; the authorisation server
//!   answers on the same port as the portal.
//! - `faults`, `limits`, `access`: what keeps an answer from being the right one.
//! - `server`, `admin`: HTTP.
//!
//! What REST.md leaves open or contradictory is a switch in [`PortalConfig`]; those about moments ([`Times`]) can also be
//! changed while the portal runs. A portal that does not honour `>ID` is a fault: [`Fault::IgnoredFilter`].
//!
//! # Driving it from another process
//! `/__admin/{command}` takes and answers JSON; `entity` is `lead`, `deal`, `contact` or `company`:
//!
//! | Command | Body or query | Answer |
//! |---|---|---|
//! | `GET stats` | | `{"rest": {"http_requests", "throttled", …}, "deliveries": {"queued", "answered", …}, "oauth": {"refreshes", "refused_refreshes", …}}`, see [`StatsSnapshot`], [`Deliveries`] and [`OauthStats`] |
//! | `POST reset` | `{}` | counters to zero, limits unused |
//! | `GET ids?entity=` | | `[1, 5, …]` |
//! | `GET truth?entity=&id=` | | [`TrueRecord`] or null |
//! | `GET fields?entity=` | | list of [`TrueField`] |
//! | `POST edit` | `{"entity", "id", "fields": {NAME: value}}` | `{"ok"}` |
//! | `POST edit_random` | `{"entity", "count", "seed"}` | `{"ids"}` |
//! | `POST add` | `{"entity", "fields", "created"?, "modified"?}` in epoch seconds | `{"id"}` |
//! | `POST delete`, `POST restore` | `{"entity", "id"}` | `{"ok"}` |
//! | `POST bulk_edit` | `{"entity", "ids"}` | `{"modified"}` |
//! | `POST hide` | `{"entity", "ids"}` or `{"entity", "all": true}` | `{"ok"}` |
//! | `POST unhide` | `{"entity"}` | `{"ok"}` |
//! | `POST entity_type` | `{"entity", "removed"}` | `{"ok"}` |
//! | `POST userfield` | `{"entity", "action": "add"\|"rename_label"\|"retype"\|"make_multiple"\|"remove", "name", "label", "user_type", "multiple", "filled"}` | `{"ok"}` or `{"name"}` |
//! | `POST access` | `{"scopes"?, "active"?, "admin"?, "crm_rights"?}` | `{"ok"}` |
//! | `POST clock` | `{"advance_milliseconds"?, "freeze_at"?, "follow_with_skew"?}` | `{"now"}` |
//! | `POST times` | `{"date_filter"?: "both"\|"atom_only"\|"space_only"\|"ignored", "unreadable_date"?: "ignored"\|"matches_nothing", "user_zone_shift_seconds"?, "filter_sees_shift"?}`, see [`Times`] | `{"ok"}` |
//! | `POST rate` | `{"per_second", "burst"}` or `null` | `{"ok"}` |
//! | `POST outgoing_webhook` | [`OutgoingWebhook`], or `null` to remove all | `{"event_handler_id"}` or `{"ok"}` |
//! | `POST delivery` | [`DeliveryPlan`]; what is absent is kind | `{"ok"}` |
//! | `POST pause_delivery` | `{"paused"}` | `{"ok"}` |
//! | `GET deliveries` | | list of [`DeliveryRecord`] |
//! | `GET answered_ok` | | `[["ONCRMDEALADD", 5], …]` |
//! | `POST install_application` | [`Application`]; what is absent is as in its default | [`IssuedTokens`] |
//! | `POST update_application` | | `{"ok"}` |
//! | `POST uninstall_application` | `{"clean"?}` | `{"ok"}` |
//! | `GET application_tokens` | | [`IssuedTokens`] or null |
//! | `POST expire_access_tokens` | | `{"ok"}` |
//! | `GET handlers` | | list of [`BoundHandler`] |
//! | `GET offline_events` | | list of [`OfflineRecord`] |
//! | `POST faults` | [`FaultPlan`]: `{"rules": [{"method": "crm.deal.*", "when": {"every": 7}, "faults": [{"kind": "status", "status": 502}]}]}`; empty clears | `{"ok"}` |

mod access;
mod address;
mod admin;
mod application;
mod batch;
mod changes;
mod civil;
mod clock;
mod coerce;
mod config;
mod data;
mod delivery;
mod entity;
mod envelope;
mod error;
mod events;
mod faults;
mod filter;
mod inner;
mod json;
mod lifecycle;
mod limits;
mod list;
mod methods;
mod param;
mod portal;
mod realtime;
mod reference;
mod render;
mod rest;
mod schema;
mod server;
mod stats;
mod store;
mod times;
mod truth;
mod view;

pub use application::{Application, ApplicationRules, BoundHandler, IssuedTokens, OauthStats, OfflineRecord};
pub use clock::{ClockSource, PortalClock};
pub use config::{
    Accounting, BatchOverflow, Counts, DateFilter, DefaultOrder, ItemUpperNames, MinusOneTotal, OperatingInTime,
    OperatingLimit, PortalConfig, RateLimit, UnreadableDate, UnresolvedReference,
};
pub use delivery::{Deliveries, DeliveryPlan, DeliveryRecord};
pub use entity::{Dialect, Entity};
pub use error::{KNOWN_ERRORS, KnownError};
pub use events::OutgoingWebhook;
pub use faults::{Fault, FaultPlan, FaultRule, When};
pub use portal::Portal;
pub use schema::{UserFieldSpec, UserType};
pub use server::RunningPortal;
pub use stats::StatsSnapshot;
pub use times::Times;
pub use truth::{MultifieldValue, TrueField, TrueRecord, Truth};
