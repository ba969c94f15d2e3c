//! `batch`: up to 50 commands in one request (REST.md 6).

use std::ops::Range;

use crate::access::Caller;
use crate::config::{BatchOverflow, UnresolvedReference};
use crate::envelope::{Timing, write_time};
use crate::error::ApiError;
use crate::faults::Fault;
use crate::inner::Inner;
use crate::json::{Json, first_value};
use crate::methods::{Call, Extras, Mischief};
use crate::param::Param;
use crate::reference::{Answers, resolve};
use crate::rest::{self, method_name};
use crate::stats::count;

const COMMANDS: usize = 50;

/// One command that succeeded.
struct Done {
    name: String,
    range: Range<usize>,
    extras: Extras,
    timing: Timing,
}

/// The commands so far; their results stand one after another in `results`.
struct Run {
    caller: Caller,
    results: Json,
    done: Vec<Done>,
    errors: Vec<(String, ApiError)>,
}

impl Answers for Run {
    fn result(&self, name: &str) -> Option<&[u8]> {
        let done = self.done.iter().find(|done| done.name == name)?;
        self.results.bytes().get(done.range.clone())
    }

    fn row(&self, name: &str, number: usize) -> Option<&[u8]> {
        let done = self.done.iter().find(|done| done.name == name)?;
        first_value(self.results.bytes().get(*done.extras.rows.get(number)?..done.range.end)?)
    }
}

/// Runs a batch and writes its `result`. `fault` spoils the content of one command.
pub(crate) fn execute(
    inner: &Inner,
    caller: Caller,
    params: &Param,
    fault: Option<&Fault>,
    out: &mut Json,
) -> Result<(), ApiError> {
    let commands = params.get("cmd").map_or(&[][..], Param::members);
    if commands.len() > COMMANDS && inner.config.batch_overflow == BatchOverflow::Refused {
        return Err(ApiError::injected(None, "ERROR_BATCH_LENGTH_EXCEEDED", None));
    }
    let halt = params.get("halt").is_some_and(Param::truthy);
    let mut run = Run { caller, results: Json::new(inner.config.php_escapes), done: Vec::new(), errors: Vec::new() };
    let mut pending = Pending::new(fault, commands.len());
    for (number, (name, command)) in commands.iter().enumerate() {
        count(&inner.stats.batch_commands, 1);
        let outcome = if number >= COMMANDS {
            Err(ApiError::injected(None, "ERROR_BATCH_LENGTH_EXCEEDED", None))
        } else {
            let command = command.text().unwrap_or_default();
            one(inner, &mut run, number, name, &command, &mut pending)
        };
        if let Err(error) = outcome {
            run.errors.push((name.clone(), error));
            if halt {
                break;
            }
        }
    }
    write(inner, &run, out);
    Ok(())
}

/// A content fault on its way to the command that it will spoil.
struct Pending {
    partial_error: Option<(usize, String)>,
    mischief: Mischief,
}

impl Pending {
    fn new(fault: Option<&Fault>, commands: usize) -> Self {
        let partial_error = match fault {
            Some(Fault::BatchPartialError { code }) => Some((commands / 2, code.clone())),
            _ => None,
        };
        Self { partial_error, mischief: rest::mischief(fault) }
    }

    /// The error for command `number`, if it is the one.
    fn error(&self, number: usize) -> Option<ApiError> {
        let (unlucky, code) = self.partial_error.as_ref()?;
        (*unlucky == number).then(|| ApiError::injected(None, code, None))
    }
}

fn one(
    inner: &Inner,
    run: &mut Run,
    number: usize,
    name: &str,
    command: &str,
    pending: &mut Pending,
) -> Result<(), ApiError> {
    let (method, query) = command.split_once('?').unwrap_or((command, ""));
    let method = method_name(method);
    if method == "batch" {
        return Err(ApiError::injected(None, "ERROR_BATCH_METHOD_NOT_ALLOWED", None));
    }
    inner.stats.called(&method);
    if let Some(error) = pending.error(number) {
        return Err(error);
    }
    let fault = inner.faults().for_command(&method);
    if let Some(Fault::ErrorCode { status, code, description }) = &fault {
        return Err(ApiError::injected(*status, code, description.as_deref()));
    }
    if let Some(Fault::BatchPartialError { code }) = &fault {
        return Err(ApiError::injected(None, code, None));
    }
    let (params, resolved) = resolve(&Param::from_query(query), run);
    let mut mischief = rest::mischief(fault.as_ref());
    if mischief == Mischief::default() && method.rsplit('.').next() == Some("list") {
        mischief = std::mem::take(&mut pending.mischief);
    }
    let start = run.results.len();
    let start_micros = inner.clock.now_micros();
    let account = rest::Account::open_in_batch(inner, &method, run.done.is_empty())?;
    let extras = match (resolved, inner.config.unresolved_reference) {
        (Err(_), UnresolvedReference::Halted) => {
            return Err(ApiError::new(400, "INVALID_ARG_VALUE", "Invalid filter"));
        }
        (Err(_), UnresolvedReference::Empty) => {
            run.results.raw(if method.starts_with("crm.item.") { "{\"items\":[]}" } else { "[]" });
            Extras { list_counts: Some(false), ..Extras::default() }
        }
        _ => {
            let call = Call { inner, caller: run.caller, method: &method, params: &params, mischief };
            crate::methods::execute(call, &mut run.results)?
        }
    };
    let reading = account.close(extras.list_counts);
    let timing = Timing { start_micros, finish_micros: inner.clock.now_micros(), reading };
    run.done.push(Done { name: name.to_owned(), range: start..run.results.len(), extras, timing });
    Ok(())
}

fn write(inner: &Inner, run: &Run, out: &mut Json) {
    out.open_object();
    out.key("result");
    php_map(out, run.done.iter().map(|done| (done.name.as_str(), done)), |out, done| {
        out.raw_bytes(run.results.bytes().get(done.range.clone()).unwrap_or_default());
    });
    out.key("result_error");
    php_map(out, run.errors.iter().map(|(name, error)| (name.as_str(), error)), |out, error| error.write(out));
    out.key("result_total");
    // Lists that did not count have no entry, whatever they answer on their own.
    let totals = run.done.iter().filter_map(|done| {
        let total = done.extras.total.filter(|_| done.extras.list_counts != Some(false))?;
        Some((done.name.as_str(), total))
    });
    php_map(out, totals, Json::integer);
    out.key("result_next");
    let nexts = run.done.iter().filter_map(|done| Some((done.name.as_str(), done.extras.next?)));
    php_map(out, nexts, Json::integer);
    out.key("result_time");
    php_map(out, run.done.iter().map(|done| (done.name.as_str(), done.timing)), |out, timing| {
        write_time(out, &inner.config, timing);
    });
    out.close_object();
}

/// Writes a map as PHP does: `[]` when it is empty, an array when its keys are 0, 1, 2… in order.
fn php_map<'n, T>(out: &mut Json, entries: impl Iterator<Item = (&'n str, T)>, mut write: impl FnMut(&mut Json, T)) {
    let entries: Vec<_> = entries.collect();
    let is_list = entries.iter().enumerate().all(|(number, (name, _))| *name == number.to_string());
    if is_list {
        out.open_array();
    } else {
        out.open_object();
    }
    for (name, value) in entries {
        if is_list {
            out.comma();
        } else {
            out.key(name);
        }
        write(out, value);
    }
    if is_list {
        out.close_array();
    } else {
        out.close_object();
    }
}
