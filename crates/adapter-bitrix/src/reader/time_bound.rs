//! How the bound of a listing by time is written.

use b24sync_domain::portal::BoundStyle;
use b24sync_domain::progress::TimeBound;
use chrono::{FixedOffset, SecondsFormat};

/// The bound as the portal wants it. `offset`: that of the portal's clock.
pub(super) fn write(bound: TimeBound, offset: FixedOffset) -> String {
    let at = bound.at.with_timezone(&offset);
    match bound.style {
        BoundStyle::WithOffset => at.to_rfc3339_opts(SecondsFormat::Secs, false),
        BoundStyle::PortalClock => at.format("%Y-%m-%d %H:%M:%S").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_go_by_the_portals_clock() {
        let written = |style, hours: i32| {
            let at = "2026-01-31T22:30:05Z".parse().unwrap();
            write(TimeBound { at, style }, FixedOffset::east_opt(hours * 3600).unwrap())
        };
        assert_eq!(written(BoundStyle::WithOffset, 3), "2026-02-01T01:30:05+03:00");
        assert_eq!(written(BoundStyle::PortalClock, 3), "2026-02-01 01:30:05");
        assert_eq!(written(BoundStyle::WithOffset, 0), "2026-01-31T22:30:05+00:00");
        assert_eq!(written(BoundStyle::PortalClock, -5), "2026-01-31 17:30:05");
    }
}
