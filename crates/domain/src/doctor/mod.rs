//! What a self-test finds: one line for each promise of the service, with what was seen and what to do about it.
//!
//! - [`catalogue`]: every check that there is, by its name.
//! - [`facts`]: what is found out about a database before anybody judges it.
//!
//! To add a check, add a constant to [`catalogue`], judge it in the application's `doctor`, and give it a line in
//! `docs/operations.md`; a test compares the two lists.

pub mod catalogue;
pub mod facts;

use std::fmt;

use crate::entity::EntityType;

/// A promise that is checked. The part of its name before the dot is its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Check {
    name: &'static str,
    promise: &'static str,
}

impl Check {
    const fn new(name: &'static str, promise: &'static str) -> Check {
        Check { name, promise }
    }

    /// Its name for programs; stays the same for ever.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What holds when it is [`Verdict::Ok`].
    pub fn promise(self) -> &'static str {
        self.promise
    }

    /// The part of its name that it shares with others.
    pub fn group(self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(group, _)| group)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a promise stands; the worst one last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Verdict {
    /// It is kept.
    #[default]
    Ok,
    /// The service works, but somebody should look at this.
    Warn,
    /// It is broken: the service, or a part of it, does not work.
    Fail,
}

impl Verdict {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// What one check found. Texts hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub check: Check,
    /// Of which entity, where entities differ.
    pub entity: Option<EntityType>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What a person should do about it; `None` when there is nothing to do.
    pub cure: Option<String>,
    /// Whether this run of the self-test has mended it.
    pub fixed: bool,
}

impl Finding {
    /// The promise is kept.
    pub fn ok(check: Check, seen: impl Into<String>) -> Finding {
        Finding { check, entity: None, verdict: Verdict::Ok, seen: seen.into(), cure: None, fixed: false }
    }

    /// Somebody should look at it.
    pub fn warn(check: Check, seen: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Warn, cure: Some(cure.into()), ..Finding::ok(check, seen) }
    }

    /// The promise is broken.
    pub fn fail(check: Check, seen: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fail, ..Finding::warn(check, seen, cure) }
    }

    /// The same, of one entity.
    #[must_use]
    pub fn of(self, entity: EntityType) -> Finding {
        Finding { entity: Some(entity), ..self }
    }

    /// The same, mended just now.
    #[must_use]
    pub fn mended(self) -> Finding {
        Finding { fixed: true, ..self }
    }
}

/// Everything that a self-test found, in the catalogue's order of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds what a group of checks found.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or_default()
    }

    /// How many findings have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_is_that_of_the_report() {
        let check = catalogue::PORTAL_REACHABLE;
        let mut report = Report::default();
        assert_eq!(report.verdict(), Verdict::Ok);
        report.add([Finding::warn(check, "", ""), Finding::ok(check, "")]);
        assert_eq!(report.verdict(), Verdict::Warn);
        report.add([Finding::fail(check, "", ""), Finding::ok(check, "")]);
        assert_eq!((report.verdict(), report.count(Verdict::Ok)), (Verdict::Fail, 2));
    }

    #[test]
    fn names_are_unique_and_groups_stand_together() {
        let names: std::collections::HashSet<_> = catalogue::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), catalogue::ALL.len());
        let mut groups: Vec<_> = catalogue::ALL.iter().map(|check| check.group()).collect();
        groups.dedup();
        assert_eq!(groups, ["settings", "database", "portal", "replica", "api", "events"]);
    }
}
