//! Batches of list commands of which only the ids and the modified times matter.

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::json::{self, Token};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::value::RawValue;

use super::BATCH;
use crate::budget::Budget;
use crate::command::Command;
use crate::dialect::EntityDialect;
use crate::envelope::{self, Envelope, Named, PortalTime};
use crate::error;
use crate::failure::Failure;
use crate::lenient;
use crate::transport::{Answer, refuse};

/// A list of ids and modified times. `order`: `ASC` or `DESC`, by id; `filter`: conditions by their keys.
pub(super) fn command(dialect: &EntityDialect, order: &str, filter: &[(String, String)]) -> Command {
    let id = dialect.id_name;
    let mut command = Command::new(&dialect.list_method);
    if let Some(type_id) = dialect.type_id {
        command = command.with("entityTypeId", type_id);
    }
    command = command.with(&format!("order[{id}]"), order);
    for (key, value) in filter {
        command = command.with(&format!("filter[{key}]"), value);
    }
    command.with("select[]", id).with("select[]", &dialect.modified_name).with("start", -1)
}

/// What a list shows of a record. Equal when the times are the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: RecordId,
    /// `None` where the portal shows no time.
    pub(crate) modified: Option<DateTime<FixedOffset>>,
}

/// An answer whose frame is in order.
pub(super) struct Lists<'a> {
    dialect: &'a EntityDialect,
    /// The portal's time.
    pub(super) source_time: DateTime<FixedOffset>,
    results: Named<'a>,
    errors: Named<'a>,
    resets_at: Option<DateTime<Utc>>,
}

impl<'a> Lists<'a> {
    /// Reads the frame, and notes what it says about the budget.
    pub(super) fn open(
        answer: &'a Answer,
        dialect: &'a EntityDialect,
        budget: &mut Budget<'_>,
    ) -> Result<Lists<'a>, Failure> {
        let method = dialect.list_method.as_str();
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        let time = envelope.time();
        budget.time(BATCH, &time);
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(BATCH, answer.status, &refusal, budget));
        }
        let result = envelope.result.map(Named::of).unwrap_or_default();
        let results = result.get("result").ok_or_else(|| Failure::malformed(BATCH, "the answer has no `result`"))?;
        let times = result.get("result_time").map(Named::of).unwrap_or_default();
        for (_, time) in times.iter() {
            budget.time(method, &PortalTime::of(time));
        }
        let errors = result.get("result_error").map(Named::of).unwrap_or_default();
        for (_, entry) in errors.iter() {
            budget.refusal(method, None, &envelope::command_refusal(entry));
        }
        let inner_start = || times.first().and_then(|time| PortalTime::of(time).start);
        let source_time = time.start.or_else(inner_start).or(answer.sent_at);
        let source_time = source_time.ok_or_else(|| Failure::malformed(BATCH, "the answer does not say its time"))?;
        let resets_at = budget.resets_at(method);
        Ok(Lists { dialect, source_time, results: Named::of(results), errors, resets_at })
    }

    /// What a command listed, or why it did not.
    pub(super) fn rows(&self, name: &str) -> Result<Vec<Seen>, Failure> {
        let method = self.dialect.list_method.as_str();
        if let Some(entry) = self.errors.get(name) {
            return Err(error::classify(method, None, &envelope::command_refusal(entry), self.resets_at));
        }
        let result = self
            .results
            .get(name)
            .ok_or_else(|| Failure::malformed(method, "a command of the batch was not executed"))?;
        let rows = self.unwrap(result).ok_or_else(|| Failure::malformed(method, "the result of a list is no list"))?;
        rows.iter().map(|(_, row)| self.row(row)).collect()
    }

    /// The records of a result. Anything but a list is no empty list: nothing found is an answer that counts.
    fn unwrap(&self, result: &'a RawValue) -> Option<Named<'a>> {
        let list = match self.dialect.list_wrapper {
            Some(wrapper) => Named::of(result).get(wrapper)?,
            None => result,
        };
        let is_list = matches!(json::token(list.get()), Ok(Token::Array(_) | Token::Object(_)));
        is_list.then(|| Named::of(list))
    }

    fn row(&self, row: &RawValue) -> Result<Seen, Failure> {
        let row = Named::of(row);
        let id = row.get(self.dialect.id_name).and_then(lenient::integer).and_then(RecordId::new);
        let modified = row.get(&self.dialect.modified_name).and_then(lenient::instant);
        match id {
            Some(id) => Ok(Seen { id, modified }),
            None => Err(Failure::malformed(&self.dialect.list_method, "a record came without a valid id")),
        }
    }
}

#[cfg(test)]
mod tests {
    use b24sync_domain::error::SourceError;

    use super::*;
    use crate::budget::Resets;
    use crate::config::Dialect;

    /// What the command `a` of an answer listed.
    fn rows(dialect: Dialect, body: &str) -> Result<Vec<(i64, Option<String>)>, SourceError> {
        let text = format!(r#"{{"result":{body},"time":{{"date_start":"2026-01-31T10:00:00+03:00"}}}}"#);
        let answer = Answer { status: 200, text, token: None, sent_at: None };
        let dialect = EntityDialect::of(dialect, "deal".parse().unwrap());
        let resets = Resets::default();
        let rows = Lists::open(&answer, &dialect, &mut Budget::new(&resets)).and_then(|lists| lists.rows("a"));
        let shown = |seen: Seen| (seen.id.get(), seen.modified.map(|modified| modified.to_rfc3339()));
        rows.map(|rows| rows.into_iter().map(shown).collect()).map_err(|failure| failure.error)
    }

    #[test]
    fn lists_come_bare_and_wrapped_with_texts_and_numbers() {
        const TIME: &str = "2026-01-31T09:00:00+03:00";
        let classic = format!(r#"{{"result":{{"a":[{{"ID":"7","DATE_MODIFY":"{TIME}"}}]}},"result_error":[]}}"#);
        assert_eq!(rows(Dialect::Classic, &classic).unwrap(), [(7, Some(TIME.to_owned()))]);
        let item = format!(r#"{{"result":{{"a":{{"items":{{"3":{{"id":7,"updatedTime":"{TIME}"}}}}}}}}}}"#);
        assert_eq!(rows(Dialect::Item, &item).unwrap(), [(7, Some(TIME.to_owned()))]);
        for nothing in [r#""""#, "null", r#""soon""#] {
            let item = format!(r#"{{"result":{{"a":{{"items":[{{"id":"7","updatedTime":{nothing}}}]}}}}}}"#);
            assert_eq!(rows(Dialect::Item, &item).unwrap(), [(7, None)]);
        }
        assert_eq!(rows(Dialect::Classic, r#"{"result":{"a":[]}}"#).unwrap(), []);
        assert_eq!(rows(Dialect::Item, r#"{"result":{"a":{"items":[]}}}"#).unwrap(), []);
    }

    #[test]
    fn what_is_no_list_is_no_empty_one() {
        for (dialect, body) in [
            (Dialect::Classic, r#"{"result":{"a":null}}"#),
            (Dialect::Classic, r#"{"result":{"a":false}}"#),
            (Dialect::Classic, r#"{"result":{"a":[{"ID":"0"}]}}"#),
            (Dialect::Item, r#"{"result":{"a":[]}}"#),
            (Dialect::Item, r#"{"result":{"a":{"items":null}}}"#),
            (Dialect::Item, r#"{"result":[],"result_error":[]}"#),
            (Dialect::Item, "[]"),
        ] {
            let error = rows(dialect, body).unwrap_err();
            assert!(matches!(error, SourceError::Malformed { .. }), "{body}: {error:?}");
        }
        let refused = r#"{"result":[],"result_error":{"a":{"error":0,"error_description":"x"}}}"#;
        assert!(matches!(rows(Dialect::Item, refused).unwrap_err(), SourceError::Rejected { .. }));
    }
}
