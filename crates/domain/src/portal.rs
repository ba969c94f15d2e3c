//! The portal behind a replica: who it is, what the webhook's user may do there, and how it understands what it is asked.

use std::str::FromStr;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use crate::entity::EntityType;

/// How an instant is written as the bound of a filter. The documentation names one form, reports say that some portals
/// understand only the other (Bitrix24 REST 8.3), so that each portal is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BoundStyle {
    /// With the offset from UTC: `2026-01-31T10:00:00+03:00`.
    #[default]
    WithOffset,
    /// By the portal's clock, without an offset: `2026-01-31 10:00:00`.
    PortalClock,
}

impl BoundStyle {
    /// Every way, the documented one first.
    pub const ALL: [BoundStyle; 2] = [BoundStyle::WithOffset, BoundStyle::PortalClock];

    /// The word for programs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            BoundStyle::WithOffset => "with_offset",
            BoundStyle::PortalClock => "portal_clock",
        }
    }
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to write a bound")]
pub struct UnknownStyle(pub String);

impl FromStr for BoundStyle {
    type Err = UnknownStyle;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        BoundStyle::ALL.into_iter().find(|style| style.as_str() == word).ok_or_else(|| UnknownStyle(word.to_owned()))
    }
}

/// The user behind the webhook, and the portal's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalProfile {
    /// Id of the webhook's owner; every read has this user's rights.
    pub user_id: i64,
    /// Whether the owner is an administrator; `None` when the portal does not say.
    pub admin: Option<bool>,
    /// The owner's time zone; `None` means that of the portal.
    pub time_zone: Option<String>,
    /// Granted scopes; `crm` is needed.
    pub scopes: Vec<String>,
    /// The portal's clock, with its offset.
    pub server_time: DateTime<FixedOffset>,
    /// How far behind that clock times may be shown, because the owner's time zone is behind the portal's (Bitrix24 REST
    /// 8.4: values are converted to the user's zone, and printed with the portal's offset). Zero where it is not.
    pub behind: TimeDelta,
}

/// How the portal understands listings of one entity, found by asking for a record that is known (Bitrix24 REST 17,
/// tests 3, 4 and 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityProbe {
    /// Which entity.
    pub entity: EntityType,
    /// How the bound of a time must be written; `None` when no way selects just what it should: then filter and values
    /// use different clocks, or the filter is not understood, and only complete listings can be trusted.
    pub bounds: Option<BoundStyle>,
    /// Whether a listing by id begins above the id it is asked for.
    pub keyset: bool,
    /// How far the newest record's modified time lies ahead of the portal's clock: more than a moment proves that times
    /// are shown in another zone than that of the clock (Bitrix24 REST 8.4). Zero when it does not.
    pub ahead: TimeDelta,
}

impl EntityProbe {
    /// Whether a listing of changes since an instant can be trusted.
    pub fn allows_incremental(&self) -> bool {
        self.bounds.is_some() && self.keyset
    }
}

/// What a probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// There is no record to ask for.
    Empty,
    /// The record that was asked for changed meanwhile, again and again.
    Unsettled,
    /// Every question was answered.
    Answered(EntityProbe),
}

/// The portal as the replica remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPortal {
    /// Host, and port where it is not the usual one. Not a secret: the webhook's code is not in it.
    pub address: String,
    /// As it was at the last look.
    pub profile: Option<PortalProfile>,
    /// When that was, by the database's clock.
    pub checked_at: Option<DateTime<Utc>>,
}

/// A probe as the replica remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptProbe {
    /// What it found.
    pub probe: EntityProbe,
    /// When that was, by the database's clock.
    pub checked_at: DateTime<Utc>,
    /// Whether it is too old to be relied on, or was made by another user's webhook.
    pub stale: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_is_read_back() {
        for style in BoundStyle::ALL {
            assert_eq!(style.as_str().parse::<BoundStyle>(), Ok(style));
        }
        assert!("atom".parse::<BoundStyle>().is_err());
    }
}
