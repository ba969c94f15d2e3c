//! How a portal shows moments in rows and reads them in filters; both can change while it runs.

use serde::Deserialize;

use crate::config::{DateFilter, PortalConfig, UnreadableDate};

/// What REST.md 8.3 and 8.4 leave open about moments. A running portal begins with what its [`PortalConfig`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Date notations that filters understand.
    pub date_filter: DateFilter,
    /// What becomes of the other ones.
    pub unreadable_date: UnreadableDate,
    /// Seconds by which instants in rows are shifted, although the offset says otherwise.
    pub user_zone_shift_seconds: i64,
    /// Whether date filters use the shifted clock of the rows; otherwise they compare with the true time.
    pub filter_sees_shift: bool,
}

impl Times {
    pub(crate) fn of(config: &PortalConfig) -> Self {
        Self {
            date_filter: config.date_filter,
            unreadable_date: config.unreadable_date,
            user_zone_shift_seconds: i64::from(config.user_zone_shift_minutes) * 60,
            filter_sees_shift: config.filter_sees_shift,
        }
    }
}

/// Changes to some of them, as a command brings them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct TimesChange {
    date_filter: Option<DateFilter>,
    unreadable_date: Option<UnreadableDate>,
    user_zone_shift_seconds: Option<i64>,
    filter_sees_shift: Option<bool>,
}

impl TimesChange {
    pub(crate) fn apply(self, known: Times) -> Times {
        Times {
            date_filter: self.date_filter.unwrap_or(known.date_filter),
            unreadable_date: self.unreadable_date.unwrap_or(known.unreadable_date),
            user_zone_shift_seconds: self.user_zone_shift_seconds.unwrap_or(known.user_zone_shift_seconds),
            filter_sees_shift: self.filter_sees_shift.unwrap_or(known.filter_sees_shift),
        }
    }
}
