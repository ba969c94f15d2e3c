//! Whose webhook this is and what it may do, for checking a connection.

use b24sync_domain::portal::PortalProfile;
use b24sync_domain::ports::Lane;
use chrono::{DateTime, FixedOffset, Offset, TimeDelta};
use chrono_tz::Tz;

use super::BATCH;
use crate::budget::Budget;
use crate::command::{self, Command};
use crate::envelope::{self, Envelope, Named};
use crate::error;
use crate::failure::Failure;
use crate::lenient;
use crate::transport::{Answer, Exchange, refuse};

const PROFILE: &str = "profile";
const SCOPE: &str = "scope";
const TIME: &str = "server.time";

/// Reads a [`PortalProfile`].
pub(crate) struct ReadProfile;

impl Exchange for ReadProfile {
    type Output = PortalProfile;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Hint
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned()]
    }

    fn request(&self) -> Vec<u8> {
        let commands = [("c_profile", PROFILE), ("c_scope", SCOPE), ("c_time", TIME)];
        let commands = commands.map(|(name, method)| (name.to_owned(), Command::new(method)));
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<PortalProfile, Failure> {
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        let time = envelope.time();
        budget.time(BATCH, &time);
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(BATCH, answer.status, &refusal, budget));
        }
        let result = envelope.result.map(Named::of).unwrap_or_default();
        let results = result.get("result").map(Named::of).unwrap_or_default();
        let Some(profile) = results.get("c_profile").map(Named::of) else {
            let errors = result.get("result_error").map(Named::of).unwrap_or_default();
            return Err(match errors.get("c_profile") {
                Some(entry) => error::classify(PROFILE, None, &envelope::command_refusal(entry), None),
                None => Failure::malformed(PROFILE, "the answer has no profile"),
            });
        };
        let scopes = results.get("c_scope").map(Named::of).unwrap_or_default();
        let server_time = results.get("c_time").and_then(lenient::instant).or(time.start).or(answer.sent_at);
        let time_zone = profile.get("TIME_ZONE").and_then(lenient::text).filter(|zone| !zone.is_empty());
        let server_time = server_time.ok_or_else(|| Failure::malformed(TIME, "the answer does not say its time"))?;
        Ok(PortalProfile {
            behind: behind(time_zone.as_deref(), server_time),
            user_id: profile
                .get("ID")
                .and_then(lenient::integer)
                .ok_or_else(|| Failure::malformed(PROFILE, "the profile has no `ID`"))?,
            admin: profile.get("ADMIN").and_then(lenient::boolean),
            time_zone,
            scopes: scopes.iter().filter_map(|(_, scope)| lenient::text(scope)).collect(),
            server_time,
        })
    }
}

/// How far a user's zone is behind the portal's clock at this moment; zero when it is not, or when nobody knows the zone.
fn behind(zone: Option<&str>, server_time: DateTime<FixedOffset>) -> TimeDelta {
    let Some(Ok(zone)) = zone.map(str::parse::<Tz>) else { return TimeDelta::zero() };
    let theirs = server_time.with_timezone(&zone).offset().fix().local_minus_utc();
    let seconds = server_time.offset().local_minus_utc() - theirs;
    TimeDelta::seconds(i64::from(seconds.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_zone_that_is_behind_counts() {
        let time = DateTime::parse_from_rfc3339("2026-01-15T12:00:00+03:00").unwrap();
        let seconds = |zone| behind(zone, time).num_seconds();
        assert_eq!(seconds(Some("Europe/Kaliningrad")), 3_600);
        assert_eq!(seconds(Some("America/New_York")), 8 * 3_600);
        assert_eq!((seconds(Some("Europe/Moscow")), seconds(Some("Asia/Yekaterinburg"))), (0, 0));
        assert_eq!((seconds(Some("Mars/Olympus")), seconds(None)), (0, 0));
    }
}
