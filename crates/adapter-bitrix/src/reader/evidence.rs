//! Single records by their ids: the only answer that tells "deleted" from "not readable" (Bitrix24 REST 9.5).

use std::ops::RangeInclusive;

use b24sync_domain::entity::RecordId;
use b24sync_domain::ports::{Evidence, Lane};
use b24sync_domain::record::ReadToken;

use super::BATCH;
use crate::budget::Budget;
use crate::command::{self, Command};
use crate::envelope::{self, Envelope, Named, PortalTime};
use crate::error::{self, Refusal};
use crate::failure::Failure;
use crate::lenient;
use crate::transport::{Answer, Exchange, refuse};

/// The universal method; older ones say it in free text only, so that it is asked in both dialects.
const METHOD: &str = "crm.item.get";

/// Name of the command for the control record.
const CONTROL: &str = "control";

/// Asks for records one by one.
pub(crate) struct ReadEvidence<'a> {
    pub(crate) type_id: i16,
    pub(crate) ids: &'a [RecordId],
    pub(crate) control: RecordId,
}

/// What one command's answer says of its record.
enum Presence {
    Found,
    Missing,
    Denied,
}

impl ReadEvidence<'_> {
    fn command(&self, id: RecordId) -> Command {
        Command::new(METHOD).with("entityTypeId", self.type_id).with("id", id)
    }

    fn presence(results: &Named<'_>, errors: &Named<'_>, name: &str, id: RecordId) -> Result<Presence, Failure> {
        if let Some(entry) = errors.get(name) {
            let refusal = envelope::command_refusal(entry);
            return match refusal.code.trim().to_lowercase().as_str() {
                "not_found" => Ok(Presence::Missing),
                "access_denied" => Ok(Presence::Denied),
                _ => Err(Self::failure(&refusal)),
            };
        }
        let item = results.get(name).map(Named::of).and_then(|result| result.get("item"));
        let shown = item.map(Named::of).and_then(|item| item.get("id")).and_then(lenient::integer);
        if shown == Some(id.get()) {
            return Ok(Presence::Found);
        }
        Err(Failure::malformed(METHOD, "a command was not answered, or with another record"))
    }

    fn failure(refusal: &Refusal) -> Failure {
        error::classify(METHOD, None, refusal, None)
    }
}

fn name_of(id: RecordId) -> String {
    let mut name = id.to_string();
    name.insert(0, 'g');
    name
}

impl Exchange for ReadEvidence<'_> {
    type Output = Evidence;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Full
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), METHOD.to_owned()]
    }

    fn commands(&self) -> RangeInclusive<usize> {
        let commands = self.ids.len() + 1;
        commands..=commands
    }

    fn request(&self) -> Vec<u8> {
        let mut commands = vec![(CONTROL.to_owned(), self.command(self.control))];
        commands.extend(self.ids.iter().map(|id| (name_of(*id), self.command(*id))));
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Evidence, Failure> {
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        budget.time(BATCH, &envelope.time());
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(BATCH, answer.status, &refusal, budget));
        }
        let result = envelope.result.ok_or_else(|| Failure::malformed(BATCH, "the answer has no `result`"))?;
        let result = Named::of(result);
        let results = result.get("result").map(Named::of).unwrap_or_default();
        let errors = result.get("result_error").map(Named::of).unwrap_or_default();
        let times = result.get("result_time").map(Named::of).unwrap_or_default();
        for (_, time) in times.iter() {
            budget.time(METHOD, &PortalTime::of(time));
        }
        for (_, entry) in errors.iter() {
            budget.refusal(METHOD, None, &envelope::command_refusal(entry));
        }
        let control = Self::presence(&results, &errors, CONTROL, self.control)?;
        let mut evidence = Evidence {
            read: answer.token.unwrap_or(ReadToken(0)),
            control_found: matches!(control, Presence::Found),
            found: Vec::new(),
            missing: Vec::new(),
            denied: Vec::new(),
        };
        for id in self.ids {
            let said = Self::presence(&results, &errors, &name_of(*id), *id)?;
            match said {
                Presence::Found => evidence.found.push(*id),
                Presence::Missing => evidence.missing.push(*id),
                Presence::Denied => evidence.denied.push(*id),
            }
        }
        Ok(evidence)
    }
}
