//! Scripted misbehaviour: what goes wrong, when, and with which methods.

use serde::{Deserialize, Serialize};

/// One way in which an answer goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// This status with a page of a gateway; the call is not carried out.
    Status {
        /// 500, 502, 503…
        status: u16,
    },
    /// Status 200 with a page of a gateway; the call is not carried out.
    HtmlWith200,
    /// `Content-Length` promises more than is sent before the connection closes.
    TruncatedBody,
    /// A complete HTTP answer whose JSON text is cut in the middle.
    CutJson,
    /// A complete HTTP answer with a PHP warning before the JSON text.
    InvalidJson,
    /// The answer comes late.
    Delay {
        /// How late.
        milliseconds: u64,
    },
    /// The connection is reset; the call is not carried out.
    ConnectionReset,
    /// The call is carried out, then the connection closes without an answer.
    LostAfterExecution,
    /// An error of the API instead of the answer. In a rule for a method it also spoils commands of batches.
    ErrorCode {
        /// The HTTP status; the documented one of the code if absent.
        #[serde(default)]
        status: Option<u16>,
        /// The code; digits alone become a JSON number unless documented as text.
        code: String,
        /// The text; the documented one if absent.
        #[serde(default)]
        description: Option<String>,
    },
    /// One command in the middle of a batch fails; answers to other calls stay whole.
    BatchPartialError {
        /// The code of that command's error.
        code: String,
    },
    /// A page has fewer rows than it should although more follow; one at least.
    ShortPage,
    /// The rows of a page come in falling order.
    WrongOrder,
    /// Conditions on the id have no effect.
    IgnoredFilter,
    /// The JSON text is padded with blanks.
    OversizedBody {
        /// Length of the padding.
        bytes: usize,
    },
    /// Arrays inside arrays instead of the answer; the call is not carried out.
    DeepNesting {
        /// How many.
        depth: usize,
    },
    /// A redirect to the new address of the portal; the call is not carried out.
    Redirect302 {
        /// Scheme and host of that address.
        location: String,
    },
}

impl Fault {
    /// An API error by its code, with the documented status and text.
    pub fn error(code: &str) -> Self {
        Self::ErrorCode { status: None, code: code.to_owned(), description: None }
    }

    /// Whether it changes what a list or a batch holds, not how the answer travels.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self, Self::BatchPartialError { .. } | Self::ShortPage | Self::WrongOrder | Self::IgnoredFilter)
    }
}

/// When a rule spoils an answer. Only answers to matching methods are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Every time.
    Always,
    /// Every n-th time.
    Every(u64),
    /// The next n times, then never again.
    Next(u64),
    /// Once, after n answers.
    After(u64),
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The method, in any case, or the beginning of its name with `*` at the end; any method if absent. The
    /// authorisation server counts as the method `oauth.token`, which only a rule that names it concerns.
    #[serde(default)]
    pub method: Option<String>,
    /// When it applies.
    pub when: When,
    /// What happens; several take turns.
    pub faults: Vec<Fault>,
}

/// What goes wrong. The first rule that applies wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// The rules, in order.
    pub rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Spoils every answer.
    pub fn always(fault: Fault) -> Self {
        Self::none().and(None, When::Always, vec![fault])
    }

    /// Spoils the next `count` answers.
    pub fn next(count: u64, fault: Fault) -> Self {
        Self::none().and(None, When::Next(count), vec![fault])
    }

    /// Spoils every `nth` answer.
    pub fn every(nth: u64, fault: Fault) -> Self {
        Self::none().and(None, When::Every(nth), vec![fault])
    }

    /// Spoils every `nth` answer, each time in another of the ways a client can recover from by asking again.
    pub fn rotating(nth: u64) -> Self {
        let faults = vec![
            Fault::Status { status: 500 },
            Fault::HtmlWith200,
            Fault::TruncatedBody,
            Fault::LostAfterExecution,
            Fault::error("QUERY_LIMIT_EXCEEDED"),
            Fault::CutJson,
            Fault::Status { status: 502 },
            Fault::ConnectionReset,
            Fault::BatchPartialError { code: "INTERNAL_SERVER_ERROR".to_owned() },
            Fault::InvalidJson,
            Fault::Delay { milliseconds: 30 },
            Fault::error("INTERNAL_SERVER_ERROR"),
            Fault::Status { status: 503 },
            Fault::ShortPage,
        ];
        Self::none().and(None, When::Every(nth), faults)
    }

    /// Adds a rule after those already there.
    #[must_use]
    pub fn and(mut self, method: Option<&str>, when: When, faults: Vec<Fault>) -> Self {
        self.rules.push(FaultRule { method: method.map(str::to_owned), when, faults });
        self
    }

    /// Limits the last rule to a method.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.method = Some(method.to_owned());
        }
        self
    }
}

/// A plan at work.
#[derive(Debug, Default)]
pub(crate) struct FaultEngine {
    rules: Vec<(FaultRule, Progress)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    seen: u64,
    fired: usize,
}

impl FaultEngine {
    pub(crate) fn set(&mut self, plan: FaultPlan) {
        self.rules = plan.rules.into_iter().map(|rule| (rule, Progress::default())).collect();
    }

    /// Decides about the answer to a request.
    pub(crate) fn for_request(&mut self, method: &str) -> Option<Fault> {
        self.decide(|rule, _| rule.method.as_deref().is_none_or(|pattern| matches_method(pattern, method)))
    }

    /// Decides about something that only rules that name it concern.
    pub(crate) fn for_named(&mut self, name: &str) -> Option<Fault> {
        self.decide(|rule, _| rule.method.as_deref().is_some_and(|pattern| matches_method(pattern, name)))
    }

    /// Decides about one command of a batch: only rules that name a method, and kinds that fit into a batch.
    pub(crate) fn for_command(&mut self, method: &str) -> Option<Fault> {
        self.decide(|rule, fault| {
            let fits = fault.is_content() || matches!(fault, Fault::ErrorCode { .. });
            fits && rule.method.as_deref().is_some_and(|pattern| matches_method(pattern, method))
        })
    }

    fn decide(&mut self, concerns: impl Fn(&FaultRule, &Fault) -> bool) -> Option<Fault> {
        let mut chosen = None;
        for (rule, progress) in &mut self.rules {
            let turn = progress.fired.checked_rem(rule.faults.len()).unwrap_or(0);
            let Some(fault) = rule.faults.get(turn).filter(|fault| concerns(rule, fault)) else { continue };
            progress.seen += 1;
            let due = match rule.when {
                When::Always => true,
                When::Every(nth) => progress.seen % nth.max(1) == 0,
                When::Next(count) => progress.seen <= count,
                When::After(count) => progress.seen == count + 1,
            };
            if due && chosen.is_none() {
                progress.fired += 1;
                chosen = Some(fault.clone());
            }
        }
        chosen
    }
}

fn matches_method(pattern: &str, method: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => method.to_ascii_lowercase().starts_with(&start.to_ascii_lowercase()),
        None => pattern.eq_ignore_ascii_case(method),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(plan: FaultPlan) -> FaultEngine {
        let mut engine = FaultEngine::default();
        engine.set(plan);
        engine
    }

    #[test]
    fn every_nth_answer_is_spoilt_with_the_next_kind() {
        let mut engine = engine(FaultPlan::rotating(7));
        let fired: Vec<Fault> = (0..7 * 14).filter_map(|_| engine.for_request("batch")).collect();
        assert_eq!(fired.len(), 14);
        assert!((1..14).all(|at| !fired[..at].contains(&fired[at])));
    }

    #[test]
    fn a_rule_counts_only_its_own_method() {
        let mut engine = engine(FaultPlan::next(1, Fault::ShortPage).on("crm.deal.*"));
        assert_eq!(engine.for_request("crm.lead.list"), None);
        assert_eq!(engine.for_command("CRM.DEAL.list"), Some(Fault::ShortPage));
        assert_eq!(engine.for_command("crm.deal.list"), None);
    }

    #[test]
    fn transport_faults_never_hit_single_commands() {
        let mut engine = engine(FaultPlan::always(Fault::CutJson).on("crm.deal.list"));
        assert_eq!(engine.for_command("crm.deal.list"), None);
        assert_eq!(engine.for_request("crm.deal.list"), Some(Fault::CutJson));
    }

    #[test]
    fn a_plan_survives_the_way_through_json() {
        let plan = FaultPlan::rotating(7).and(Some("batch"), When::Next(3), vec![Fault::error("X")]);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<FaultPlan>(&json).unwrap(), plan);
    }
}
