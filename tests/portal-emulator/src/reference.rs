//! `$result[name][path]` in the parameters of batch commands (REST.md 6.1).

use std::borrow::Cow;

use crate::json::child;
use crate::param::Param;

/// The answers of the commands before, as far as references can reach them.
pub(crate) trait Answers {
    /// The JSON text of one command's result.
    fn result(&self, name: &str) -> Option<&[u8]>;
    /// The JSON text of one row of a list, found without reading the rows before it.
    fn row(&self, name: &str, number: usize) -> Option<&[u8]>;
}

/// A reference that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unresolved;

const MARK: &str = "$result[";

/// Replaces every reference; one that leads nowhere becomes an empty text. Returns the parameters and whether all
/// of them were resolved.
pub(crate) fn resolve(params: &Param, answers: &dyn Answers) -> (Param, Result<(), Unresolved>) {
    let mut outcome = Ok(());
    let resolved = walk(params, answers, &mut outcome);
    (resolved, outcome)
}

fn walk(param: &Param, answers: &dyn Answers, outcome: &mut Result<(), Unresolved>) -> Param {
    match param {
        Param::Map(members) => {
            let walked = members.iter().map(|(name, value)| (name.clone(), walk(value, answers, outcome)));
            Param::Map(walked.collect())
        }
        Param::Text(text) if text.contains(MARK) => replace(text, answers, outcome),
        other => other.clone(),
    }
}

fn replace(text: &str, answers: &dyn Answers, outcome: &mut Result<(), Unresolved>) -> Param {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        replaced.push_str(before);
        let (path, tail) = path(after);
        let value = lookup(&path, answers);
        if value.is_none() {
            *outcome = Err(Unresolved);
        }
        let whole = replaced.is_empty() && tail.is_empty();
        match value {
            Some(list @ Param::Map(_)) if whole => return list,
            Some(scalar) => replaced.push_str(&scalar.text().unwrap_or(Cow::Borrowed("Array"))),
            None => {}
        }
        rest = tail;
    }
    replaced.push_str(rest);
    Param::Text(replaced)
}

/// Splits `name][49][ID]rest` into its keys and what follows.
fn path(text: &str) -> (Vec<&str>, &str) {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((key, tail)) = rest.split_once(']') {
        keys.push(key.trim_matches(['\'', '"']));
        match tail.strip_prefix('[') {
            Some(next) => rest = next,
            None => return (keys, tail),
        }
    }
    (keys, rest)
}

fn lookup(path: &[&str], answers: &dyn Answers) -> Option<Param> {
    let (name, keys) = path.split_first()?;
    let row = match keys {
        ["items", number, rest @ ..] | [number, rest @ ..] => {
            number.parse().ok().and_then(|number| Some((answers.row(name, number)?, rest)))
        }
        [] => None,
    };
    let (mut text, keys) = match row {
        Some(found) => found,
        None => (answers.result(name)?, keys),
    };
    for key in keys {
        text = child(text, key)?;
    }
    match serde_json::from_slice(text).ok()? {
        Param::Null => None,
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Answers for One {
        fn result(&self, name: &str) -> Option<&[u8]> {
            (name == "p00").then_some(br#"[{"ID":"5","N":null},{"ID":"9"}]"#)
        }

        fn row(&self, _name: &str, _number: usize) -> Option<&[u8]> {
            None
        }
    }

    fn resolved(query: &str) -> (String, bool) {
        let (params, outcome) = resolve(&Param::from_query(query), &One);
        (params.get("v").unwrap().text().unwrap().into_owned(), outcome.is_ok())
    }

    #[test]
    fn references_reach_into_rows() {
        assert_eq!(resolved("v=$result[p00][1][ID]"), ("9".to_owned(), true));
        assert_eq!(resolved("v=a$result[p00][0][ID]b$result['p00'][1][ID]"), ("a5b9".to_owned(), true));
        let (params, outcome) = resolve(&Param::from_query("v=$result[p00][0]"), &One);
        assert_eq!(params.get("v").unwrap().get("ID").unwrap().text().unwrap(), "5");
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn what_leads_nowhere_becomes_empty_and_is_reported() {
        for query in ["v=$result[p00][2][ID]", "v=$result[p01][0][ID]", "v=$result[p00][0][N]"] {
            assert_eq!(resolved(query), (String::new(), false));
        }
    }
}
