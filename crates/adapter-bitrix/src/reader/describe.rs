//! The fields of an entity.

use b24sync_domain::ports::Lane;

use super::BATCH;
use crate::budget::Budget;
use crate::command::{self, Command};
use crate::dialect::EntityDialect;
use crate::envelope::{self, Envelope, Named, PortalTime};
use crate::error;
use crate::failure::Failure;
use crate::fields::{self, Metadata};
use crate::transport::{Answer, Exchange, refuse};

const FIELDS: &str = "fields";
const USER_FIELDS: &str = "user_fields";

/// Reads the descriptions; in the classic dialect together with those of the user fields.
pub(crate) struct Describe<'a> {
    pub(crate) dialect: &'a EntityDialect,
}

impl Exchange for Describe<'_> {
    type Output = (Metadata, PortalTime);

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Incremental
    }

    fn charged(&self) -> Vec<String> {
        let mut methods = vec![BATCH.to_owned(), self.dialect.fields_method.clone()];
        methods.extend(self.dialect.user_fields_method.clone());
        methods
    }

    fn request(&self) -> Vec<u8> {
        let mut fields = Command::new(&self.dialect.fields_method);
        if let Some(type_id) = self.dialect.type_id {
            fields = fields.with("entityTypeId", type_id);
        }
        let mut commands = vec![(FIELDS.to_owned(), fields)];
        if let Some(method) = &self.dialect.user_fields_method {
            // Without a language there are no labels. Those of `fields`, in the user's language, are preferred anyway.
            let user_fields = Command::new(method).with("order[SORT]", "ASC").with("filter[LANG]", "en");
            commands.push((USER_FIELDS.to_owned(), user_fields));
        }
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Self::Output, Failure> {
        let method = self.dialect.fields_method.as_str();
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        let time = envelope.time();
        budget.time(BATCH, &time);
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(BATCH, answer.status, &refusal, budget));
        }
        let result = envelope.result.map(Named::of).unwrap_or_default();
        let errors = result.get("result_error").map(Named::of).unwrap_or_default();
        if let Some(entry) = errors.get(FIELDS) {
            let refusal = envelope::command_refusal(entry);
            budget.refusal(method, None, &refusal);
            return Err(error::classify(method, None, &refusal, budget.resets_at(method)));
        }
        let results = result.get("result").map(Named::of).unwrap_or_default();
        let fields = results.get(FIELDS).ok_or_else(|| Failure::malformed(method, "the answer describes no fields"))?;
        if results.get(USER_FIELDS).is_none() && self.dialect.user_fields_method.is_some() {
            tracing::warn!(method, "the portal did not list the user fields; some labels and options are missing");
        }
        let metadata = fields::decode(self.dialect, fields, results.get(USER_FIELDS))
            .ok_or_else(|| Failure::malformed(method, "the answer describes no fields"))?;
        Ok((metadata, time))
    }
}
