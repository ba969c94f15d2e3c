//! Filters of both dialects (REST.md 8.1), compiled once for each list.

mod operand;

use operand::{Form, Operand};

use crate::civil::StampForm;
use crate::config::{DateFilter, UnreadableDate};
use crate::entity::Dialect;
use crate::error::ApiError;
use crate::param::Param;
use crate::schema::{ITEM_ONLY, Kind, NO_CLASSIC_ROW, Schema};
use crate::times::Times;
use crate::truth::Truth;

/// A condition on one record.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Test(Test),
    Nothing,
}

/// A comparison of one field.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    field: usize,
    kind: Kind,
    is_id: bool,
    operator: Operator,
    operands: Vec<Operand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    NotContains,
    Like,
    NotLike,
}

/// Prefixes, longest first.
const OPERATORS: &[(&str, Operator)] = &[
    ("!=%", Operator::NotLike),
    ("!%=", Operator::NotLike),
    ("!@", Operator::NotEqual),
    ("!=", Operator::NotEqual),
    ("!%", Operator::NotContains),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=%", Operator::Like),
    ("%=", Operator::Like),
    ("=", Operator::Equal),
    ("!", Operator::NotEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("@", Operator::Equal),
    ("%", Operator::Contains),
];

fn split(key: &str) -> (Operator, &str) {
    OPERATORS
        .iter()
        .find_map(|(prefix, operator)| Some((*operator, key.strip_prefix(prefix)?)))
        .unwrap_or((Operator::Equal, key))
}

/// Who reads the filter, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'r> {
    pub(crate) schema: &'r Schema,
    pub(crate) offset_minutes: i32,
    pub(crate) times: Times,
    pub(crate) dialect: Dialect,
    /// `useOriginalUfNames=Y`.
    pub(crate) original_names: bool,
    /// The fault that ignores conditions on the id.
    pub(crate) ignore_id: bool,
}

impl Reader<'_> {
    /// Compiles the `filter` parameter of a list.
    pub(crate) fn read(&self, filter: Option<&Param>) -> Result<Node, ApiError> {
        match filter {
            None | Some(Param::Null) => Ok(Node::All(Vec::new())),
            Some(Param::Text(text)) if text.is_empty() => Ok(Node::All(Vec::new())),
            Some(Param::Map(members)) => self.group(members),
            Some(_) => Err(ApiError::not_an_array("filter")),
        }
    }

    fn group(&self, members: &[(String, Param)]) -> Result<Node, ApiError> {
        let logic = self.dialect == Dialect::Item;
        let mut any = false;
        let mut nodes = Vec::new();
        for (key, value) in members {
            if logic && key.eq_ignore_ascii_case("logic") {
                any = value.text().is_some_and(|text| text.eq_ignore_ascii_case("OR"));
            } else if logic && key.bytes().all(|byte| byte.is_ascii_digit()) {
                nodes.push(self.group(value.members())?);
            } else {
                nodes.extend(self.test(key, value)?);
            }
        }
        Ok(if any { Node::Any(nodes) } else { Node::All(nodes) })
    }

    fn test(&self, key: &str, value: &Param) -> Result<Option<Node>, ApiError> {
        let (operator, name) = split(key);
        let found = match self.dialect {
            Dialect::Classic => self.schema.named(name).filter(|(_, field)| !field.has(NO_CLASSIC_ROW | ITEM_ONLY)),
            Dialect::Item if name == "ID" => self.schema.named(name),
            Dialect::Item => self
                .schema
                .item_named(name)
                .or_else(|| self.schema.named(name).filter(|(_, field)| self.original_names && field.user.is_some())),
        };
        let Some((at, field)) = found else {
            return match self.dialect {
                // Silent in the documentation; portals drop such conditions.
                Dialect::Classic => Ok(None),
                Dialect::Item => Err(ApiError::bad_field("filter", name)),
            };
        };
        let is_id = field.name == "ID";
        if is_id && self.ignore_id {
            return Ok(None);
        }
        if self.pattern_is_useless(operator, field.kind) {
            return Ok(Some(Node::Nothing));
        }
        let texts = value.texts();
        let operands: Vec<Operand> = texts.iter().map(|text| self.operand(text, field.kind)).collect();
        if self.is_unreadable(field.kind, &operands) {
            return Ok(match self.times.unreadable_date {
                UnreadableDate::Ignored => None,
                UnreadableDate::MatchesNothing => Some(Node::Nothing),
            });
        }
        Ok(Some(Node::Test(Test { field: at, kind: field.kind, is_id, operator, operands })))
    }

    /// Classic lists do not match patterns against links, dictionaries and multifields.
    fn pattern_is_useless(&self, operator: Operator, kind: Kind) -> bool {
        let pattern =
            matches!(operator, Operator::Contains | Operator::NotContains | Operator::Like | Operator::NotLike);
        let exact_only = matches!(kind, Kind::Status(_) | Kind::Link(_) | Kind::Multifield);
        pattern && exact_only && self.dialect == Dialect::Classic
    }

    fn operand(&self, text: &str, kind: Kind) -> Operand {
        let mut operand = Operand::read(text, self.offset_minutes);
        if self.times.filter_sees_shift {
            operand.shift_back(self.times.user_zone_shift_seconds);
        }
        if kind == Kind::Boolean && self.dialect == Dialect::Item {
            operand.only_digits_are_booleans();
        }
        operand
    }

    /// Whether a date of the condition is in a notation that this portal does not read.
    fn is_unreadable(&self, kind: Kind, operands: &[Operand]) -> bool {
        let is_date = matches!(kind, Kind::DateTime | Kind::Date);
        is_date
            && operands.iter().any(|operand| match (operand.form(), self.times.date_filter) {
                (Form::Empty, _) => false,
                (Form::NoDate, _) | (_, DateFilter::Ignored) => true,
                (Form::Date(StampForm::DayOnly), _) | (_, DateFilter::Both) => false,
                (Form::Date(form), DateFilter::AtomOnly) => form != StampForm::Atom,
                (Form::Date(form), DateFilter::SpaceOnly) => form != StampForm::Space,
            })
    }
}

impl Node {
    /// Whether every record passes.
    pub(crate) fn is_trivial(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(Self::is_trivial),
            _ => false,
        }
    }

    /// Whether nothing but the id is looked at.
    pub(crate) fn only_bounds_ids(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| match node {
                Self::Test(test) => test.is_id && test.bound().is_some(),
                other => other.is_trivial(),
            }),
            _ => false,
        }
    }

    /// The lowest and the highest id that can pass.
    pub(crate) fn id_bounds(&self) -> (i64, i64) {
        let Self::All(nodes) = self else { return (i64::MIN, i64::MAX) };
        nodes.iter().fold((i64::MIN, i64::MAX), |(low, high), node| {
            let (other_low, other_high) = match node {
                Self::Test(test) if test.is_id => test.range(),
                Self::All(_) => node.id_bounds(),
                _ => (i64::MIN, i64::MAX),
            };
            (low.max(other_low), high.min(other_high))
        })
    }

    /// The earliest value of the instant `field` that can pass, if there is a lower bound.
    pub(crate) fn earliest(&self, field: usize) -> Option<i64> {
        let Self::All(nodes) = self else { return None };
        nodes
            .iter()
            .filter_map(|node| match node {
                Self::Test(test) if test.field == field => match (test.operator, test.operands.as_slice()) {
                    (Operator::Greater | Operator::GreaterOrEqual | Operator::Equal, [bound]) => bound.instant(),
                    _ => None,
                },
                Self::All(_) => node.earliest(field),
                _ => None,
            })
            .max()
    }

    /// Whether a record passes; `value` gives what a field of it holds.
    pub(crate) fn passes(&self, id: i64, value: &mut dyn FnMut(usize) -> Truth) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.passes(id, value)),
            Self::Any(nodes) => nodes.iter().any(|node| node.passes(id, value)),
            Self::Nothing => false,
            Self::Test(test) if test.is_id => test.accepts_id(id),
            Self::Test(test) => test.accepts(&value(test.field)),
        }
    }
}

impl Test {
    /// The range of ids of a comparison with one id; text that is no number counts as 0, as PHP casts it.
    fn bound(&self) -> Option<(i64, i64)> {
        let [operand] = self.operands.as_slice() else { return None };
        let id = operand.id();
        match self.operator {
            Operator::Equal => Some((id, id)),
            Operator::Greater => Some((id.saturating_add(1), i64::MAX)),
            Operator::GreaterOrEqual => Some((id, i64::MAX)),
            Operator::Less => Some((i64::MIN, id.saturating_sub(1))),
            Operator::LessOrEqual => Some((i64::MIN, id)),
            _ => None,
        }
    }

    /// The range of ids in which all lie that a comparison accepts.
    fn range(&self) -> (i64, i64) {
        let anything = (i64::MIN, i64::MAX);
        if self.operator != Operator::Equal {
            return self.bound().unwrap_or(anything);
        }
        let ids = self.operands.iter().map(Operand::id);
        ids.clone().min().zip(ids.max()).unwrap_or(anything)
    }

    fn accepts_id(&self, id: i64) -> bool {
        if let Some((low, high)) = self.bound() {
            return (low..=high).contains(&id);
        }
        match self.operator {
            Operator::Equal => self.operands.iter().any(|operand| operand.id() == id),
            Operator::NotEqual => self.operands.iter().all(|operand| operand.id() != id),
            _ => self.accepts(&Truth::from(id)),
        }
    }

    fn accepts(&self, truth: &Truth) -> bool {
        match truth {
            Truth::List(items) if !items.is_empty() => match self.operator {
                Operator::NotEqual | Operator::NotContains | Operator::NotLike => {
                    items.iter().all(|item| self.accepts(item))
                }
                _ => items.iter().any(|item| self.accepts(item)),
            },
            Truth::Multifield(values) if !values.is_empty() => {
                let equal =
                    values.iter().any(|entry| self.operands.iter().any(|operand| operand.is_text(&entry.value)));
                equal == (self.operator == Operator::Equal)
            }
            single => self.accepts_single(single),
        }
    }

    fn accepts_single(&self, truth: &Truth) -> bool {
        let any = |accepts: &dyn Fn(&Operand) -> bool| self.operands.iter().any(accepts);
        let ordered = |wanted: &dyn Fn(std::cmp::Ordering) -> bool| {
            any(&|operand| operand.order(truth, self.kind).is_some_and(wanted))
        };
        match self.operator {
            Operator::Equal => any(&|operand| operand.equals(truth, self.kind)),
            Operator::NotEqual => !any(&|operand| operand.equals(truth, self.kind)),
            Operator::Greater => ordered(&std::cmp::Ordering::is_gt),
            Operator::GreaterOrEqual => ordered(&std::cmp::Ordering::is_ge),
            Operator::Less => ordered(&std::cmp::Ordering::is_lt),
            Operator::LessOrEqual => ordered(&std::cmp::Ordering::is_le),
            Operator::Contains => any(&|operand| operand.is_inside(truth)),
            Operator::NotContains => !any(&|operand| operand.is_inside(truth)),
            Operator::Like => any(&|operand| operand.is_pattern_of(truth)),
            Operator::NotLike => !any(&|operand| operand.is_pattern_of(truth)),
        }
    }
}
