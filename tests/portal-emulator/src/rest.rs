//! One REST request from its parts to the text of its answer, without HTTP.

use std::fmt::Write as _;

use crate::access::{Caller, Credentials};
use crate::application;
use crate::batch;
use crate::config::Accounting;
use crate::envelope::{Timing, write_time};
use crate::error::ApiError;
use crate::faults::Fault;
use crate::inner::Inner;
use crate::json::Json;
use crate::limits::Reading;
use crate::methods::{Call, Extras, Mischief, execute};
use crate::param::Param;
use crate::stats::count;

/// What a request consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    pub(crate) credentials: Credentials<'r>,
    pub(crate) method: &'r str,
    pub(crate) input: Input<'r>,
}

/// Where the parameters of a request are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'r> {
    pub(crate) query: &'r str,
    pub(crate) is_json: bool,
    pub(crate) body: &'r [u8],
}

/// What is sent back, and what a fault does to it on the way.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) html: bool,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
    /// The fault that spoils the way.
    pub(crate) transport: Option<Fault>,
}

impl Answer {
    fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, html: false, location: None, body, transport: None }
    }

    fn html(status: u16) -> Self {
        let reason = match status {
            200 => "200 OK",
            500 => "500 Internal Server Error",
            502 => "502 Bad Gateway",
            503 => "503 Service Temporarily Unavailable",
            504 => "504 Gateway Time-out",
            _ => "Error",
        };
        let center = format!("<center><h1>{reason}</h1></center><hr><center>nginx</center>");
        let page = format!("<html><head><title>{reason}</title></head><body>{center}</body></html>");
        Self { html: true, ..Self::json(status, page.into_bytes()) }
    }
}

/// A method name in lower case, without blanks, slashes and the suffix for the format.
pub(crate) fn method_name(raw: &str) -> String {
    let name = raw.trim().trim_matches('/').to_ascii_lowercase();
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".xml"));
    stem.unwrap_or(&name).to_owned()
}

/// What a fault does to the rows of a list.
pub(crate) fn mischief(fault: Option<&Fault>) -> Mischief {
    Mischief {
        short_page: fault == Some(&Fault::ShortPage),
        wrong_order: fault == Some(&Fault::WrongOrder),
        ignored_filter: fault == Some(&Fault::IgnoredFilter),
    }
}

/// Answers a request.
pub(crate) fn answer(inner: &Inner, request: Request<'_>) -> Answer {
    let method = method_name(request.method);
    count(&inner.stats.http_requests, 1);
    inner.stats.called(&method);
    if !inner.bucket().admit(inner.clock.now_micros()) {
        count(&inner.stats.throttled, 1);
        return refuse(inner, &ApiError::too_many_requests());
    }
    let fault = inner.faults().for_request(&method);
    if fault.is_some() {
        count(&inner.stats.faults, 1);
    }
    if let Some(answer) = fault.as_ref().and_then(|fault| instead_of_execution(inner, fault)) {
        return answer;
    }
    let content = fault.as_ref().filter(|fault| fault.is_content());
    let params = params(request.input);
    let authorised = inner.authorise(request.credentials, &params);
    let outcome = authorised.and_then(|caller| carry_out(inner, caller, &method, &params, content));
    let answer = outcome.unwrap_or_else(|error| refuse(inner, &error));
    spoil(answer, fault)
}

/// Answers a request to the authorisation server (REST.md 12).
pub(crate) fn answer_oauth(inner: &Inner, input: Input<'_>) -> Answer {
    let fault = inner.faults().for_named("oauth.token");
    if fault.is_some() {
        count(&inner.stats.faults, 1);
    }
    if let Some(answer) = fault.as_ref().and_then(|fault| instead_of_execution(inner, fault)) {
        return answer;
    }
    let answer = match application::token(inner, &params(input)) {
        Ok(tokens) => Answer::json(200, tokens.to_string().into_bytes()),
        Err(refusal) => Answer::json(refusal.status, refusal.json().to_string().into_bytes()),
    };
    spoil(answer, fault)
}

fn refuse(inner: &Inner, error: &ApiError) -> Answer {
    let mut out = Json::new(inner.config.php_escapes);
    error.write(&mut out);
    Answer::json(error.status, out.into_bytes())
}

/// The parameters: the query string first, the body wins.
pub(crate) fn params(input: Input<'_>) -> Param {
    let mut params = Param::from_query(input.query);
    let looks_like_json = input.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let body = if input.is_json || looks_like_json {
        serde_json::from_slice(input.body).unwrap_or_default()
    } else {
        Param::from_query(&String::from_utf8_lossy(input.body))
    };
    params.absorb(body);
    params
}

/// The answer of a fault that keeps the call from being carried out.
fn instead_of_execution(inner: &Inner, fault: &Fault) -> Option<Answer> {
    match fault {
        Fault::Status { status } => Some(Answer::html(*status)),
        Fault::HtmlWith200 => Some(Answer::html(200)),
        Fault::ConnectionReset => Some(Answer { transport: Some(fault.clone()), ..Answer::json(500, Vec::new()) }),
        Fault::ErrorCode { status, code, description } => {
            Some(refuse(inner, &ApiError::injected(*status, code, description.as_deref())))
        }
        Fault::DeepNesting { depth } => {
            let body = format!("{{\"result\":{}{}}}", "[".repeat(*depth), "]".repeat(*depth));
            Some(Answer::json(200, body.into_bytes()))
        }
        Fault::Redirect302 { location } => Some(Answer { location: Some(location.clone()), ..Answer::html(302) }),
        _ => None,
    }
}

/// Changes a finished answer as a fault wants it.
fn spoil(mut answer: Answer, fault: Option<Fault>) -> Answer {
    match fault {
        Some(Fault::CutJson) => answer.body.truncate(answer.body.len() / 2),
        Some(Fault::InvalidJson) => {
            let warning = b"<br />\n<b>Warning</b>: Undefined array key in <b>/bitrix/modules/crm</b><br />\n";
            answer.body.splice(..0, warning.iter().copied());
        }
        Some(Fault::OversizedBody { bytes }) => {
            answer.body.splice(1..1, std::iter::repeat_n(b' ', bytes));
        }
        other => answer.transport = other.filter(|fault| !fault.is_content()),
    }
    answer
}

fn carry_out(
    inner: &Inner,
    caller: Caller,
    method: &str,
    params: &Param,
    fault: Option<&Fault>,
) -> Result<Answer, ApiError> {
    let start_micros = inner.clock.now_micros();
    let mut out = Json::new(inner.config.php_escapes);
    out.raw("{\"result\":");
    let (extras, reading) = if method == "batch" {
        refuse_blocked_batch(inner, start_micros)?;
        batch::execute(inner, caller, params, fault, &mut out)?;
        (Extras::default(), batch_reading(inner))
    } else {
        let account = Account::open(inner, method)?;
        let call = Call { inner, caller, method, params, mischief: mischief(fault) };
        let extras = execute(call, &mut out)?;
        let reading = account.close(extras.list_counts);
        (extras, reading)
    };
    let mut tail = String::new();
    for (name, value) in [("next", extras.next), ("total", extras.total)] {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(tail, ",\"{name}\":{value}");
        }
    }
    out.raw(&tail);
    out.raw(",\"time\":");
    write_time(&mut out, &inner.config, Timing { start_micros, finish_micros: inner.clock.now_micros(), reading });
    out.close_object();
    Ok(Answer::json(200, out.into_bytes()))
}

fn refuse_blocked_batch(inner: &Inner, now: i64) -> Result<(), ApiError> {
    let mut operating = inner.operating();
    if operating.accounting() == Accounting::Batch && operating.is_blocked("batch", now) {
        inner.stats.blocked("batch");
        return Err(ApiError::operation_time_limit());
    }
    Ok(())
}

/// What the envelope of a batch reports.
fn batch_reading(inner: &Inner) -> Reading {
    let mut operating = inner.operating();
    let reading = operating.read("batch", inner.clock.now_micros());
    match operating.accounting() {
        Accounting::Batch => reading,
        Accounting::PerMethod => reading.zero(),
    }
}

/// The operating time of one call: checked before, charged after.
pub(crate) struct Account<'a> {
    inner: &'a Inner,
    counter: String,
    /// Whether the call reports its counter, or 0.
    reports: bool,
}

impl<'a> Account<'a> {
    /// For a call on its own; fails if the method has spent its time.
    pub(crate) fn open(inner: &'a Inner, method: &str) -> Result<Self, ApiError> {
        if inner.operating().is_blocked(method, inner.clock.now_micros()) {
            inner.stats.blocked(method);
            return Err(ApiError::operation_time_limit());
        }
        Ok(Self { inner, counter: method.to_owned(), reports: true })
    }

    /// For a command of a batch, which the portal may charge to `batch`.
    pub(crate) fn open_in_batch(inner: &'a Inner, method: &str, first: bool) -> Result<Self, ApiError> {
        let accounting = inner.operating().accounting();
        match accounting {
            Accounting::PerMethod => Self::open(inner, method),
            Accounting::Batch => Ok(Self { inner, counter: "batch".to_owned(), reports: first }),
        }
    }

    /// Charges the call and returns what its `time` reports.
    pub(crate) fn close(&self, list_counts: Option<bool>) -> Reading {
        let (cost, takes_time) = {
            let operating = self.inner.operating();
            (operating.cost(list_counts), operating.takes_time())
        };
        if takes_time {
            std::thread::sleep(std::time::Duration::from_secs_f64(cost.max(0.0)));
        }
        let now = self.inner.clock.now_micros();
        let mut operating = self.inner.operating();
        operating.charge(&self.counter, cost, now);
        let reading = operating.read(&self.counter, now);
        if self.reports { reading } else { reading.zero() }
    }
}
