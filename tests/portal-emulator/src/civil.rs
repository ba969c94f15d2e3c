//! Calendar arithmetic without a time zone database: the portal has one fixed offset.

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// A day of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    pub(crate) year: i64,
    pub(crate) month: i64,
    /// Day of the month.
    pub(crate) date: i64,
}

impl Day {
    /// The day `days` after 1970-01-01.
    pub(crate) fn from_epoch_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, date }
    }

    /// Days since 1970-01-01.
    pub(crate) fn epoch_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + self.date - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// Reads `YYYY-MM-DD`; `None` for days that do not exist.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let day = Self { year: number()?, month: number()?, date: number()? };
        (Self::from_epoch_days(day.epoch_days()) == day).then_some(day)
    }
}

fn digit(value: i64) -> u8 {
    b'0' + u8::try_from(value.rem_euclid(10)).unwrap_or(0)
}

fn two(out: &mut Vec<u8>, value: i64) {
    out.extend([digit(value / 10), digit(value)]);
}

/// Writes `YYYY-MM-DD`.
pub(crate) fn write_day(out: &mut Vec<u8>, day: Day) {
    out.extend([digit(day.year / 1000), digit(day.year / 100), digit(day.year / 10), digit(day.year), b'-']);
    two(out, day.month);
    out.push(b'-');
    two(out, day.date);
}

/// Writes an instant as `YYYY-MM-DDThh:mm:ss±hh:mm`, as seen from `offset_minutes`.
pub(crate) fn write_stamp(out: &mut Vec<u8>, epoch_seconds: i64, offset_minutes: i32) {
    let offset = i64::from(offset_minutes);
    let local = epoch_seconds + offset * 60;
    write_day(out, Day::from_epoch_days(local.div_euclid(DAY)));
    let clock = local.rem_euclid(DAY);
    out.push(b'T');
    two(out, clock / 3_600);
    out.push(b':');
    two(out, clock / 60 % 60);
    out.push(b':');
    two(out, clock % 60);
    out.push(if offset < 0 { b'-' } else { b'+' });
    two(out, offset.abs() / 60);
    out.push(b':');
    two(out, offset.abs() % 60);
}

/// How a moment was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StampForm {
    /// `2024-08-30T14:29:00+02:00`, with or without the offset.
    Atom,
    /// `2024-08-30 14:29:00`.
    Space,
    /// `2024-08-30`.
    DayOnly,
}

/// Reads a moment in any of the accepted forms; without an offset it is read in `offset_minutes`.
pub(crate) fn parse_stamp(text: &str, offset_minutes: i32) -> Option<(i64, StampForm)> {
    let text = text.trim();
    let (day, rest) = (text.get(..10)?, text.get(10..)?);
    let midnight = Day::parse(day)?.epoch_days() * DAY;
    let server = i64::from(offset_minutes) * 60;
    let Some(separator) = rest.chars().next() else {
        return Some((midnight - server, StampForm::DayOnly));
    };
    let form = match separator {
        'T' => StampForm::Atom,
        ' ' => StampForm::Space,
        _ => return None,
    };
    let clock = parse_clock(rest.get(1..9)?)?;
    let offset = match rest.get(9..)? {
        "" => server,
        "Z" => 0,
        zone => parse_zone(zone)?,
    };
    Some((midnight + clock - offset, form))
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let mut number = |below: i64| parts.next()?.parse::<i64>().ok().filter(|part| (0..below).contains(part));
    Some(number(24)? * 3_600 + number(60)? * 60 + number(60)?)
}

fn parse_zone(text: &str) -> Option<i64> {
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: i64, offset: i32) -> String {
        let mut out = Vec::new();
        write_stamp(&mut out, epoch, offset);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn days_survive_the_round_trip() {
        for days in (-400_000..400_000).step_by(37) {
            assert_eq!(Day::from_epoch_days(days).epoch_days(), days);
        }
        assert_eq!(Day::parse("2023-02-29"), None);
        assert!(Day::parse("2024-02-29").is_some());
    }

    #[test]
    fn an_instant_is_written_with_the_offset_of_the_portal() {
        assert_eq!(stamp(1_718_292_234, 180), "2024-06-13T18:23:54+03:00");
        assert_eq!(stamp(1_718_292_234, -330), "2024-06-13T09:53:54-05:30");
    }

    #[test]
    fn every_accepted_form_of_a_moment_is_read() {
        assert_eq!(parse_stamp("2024-06-13T18:23:54+03:00", 0), Some((1_718_292_234, StampForm::Atom)));
        assert_eq!(parse_stamp("2024-06-13T15:23:54Z", 180), Some((1_718_292_234, StampForm::Atom)));
        assert_eq!(parse_stamp("2024-06-13 18:23:54", 180), Some((1_718_292_234, StampForm::Space)));
        assert_eq!(parse_stamp("1970-01-02", 180), Some((DAY - 3 * 3_600, StampForm::DayOnly)));
        assert_eq!(parse_stamp("yesterday", 180), None);
        assert_eq!(parse_stamp("2024-06-13T25:00:00", 180), None);
    }
}
