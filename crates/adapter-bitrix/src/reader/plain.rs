//! A call of one method that reads no records.

use b24sync_domain::ports::Lane;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::budget::Budget;
use crate::envelope::Envelope;
use crate::failure::Failure;
use crate::transport::{Answer, Exchange, refuse};

/// The method, what it is asked, and what its result says; `None` from `read` when that is nothing the method says.
pub(crate) struct Plain<T> {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
    pub(crate) read: fn(&RawValue) -> Option<T>,
}

impl<T: Send> Exchange for Plain<T> {
    type Output = T;

    fn method(&self) -> &str {
        self.method
    }

    fn lane(&self) -> Lane {
        Lane::Hint
    }

    fn charged(&self) -> Vec<String> {
        vec![self.method.to_owned()]
    }

    fn request(&self) -> Vec<u8> {
        self.params.to_string().into_bytes()
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<T, Failure> {
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(self.method, &error))?;
        budget.time(self.method, &envelope.time());
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(self.method, answer.status, &refusal, budget));
        }
        let result = envelope.result.ok_or_else(|| Failure::malformed(self.method, "the answer has no `result`"))?;
        (self.read)(result).ok_or_else(|| Failure::malformed(self.method, "the result has an unexpected shape"))
    }
}
