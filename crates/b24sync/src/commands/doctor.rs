//! `b24sync doctor`: a check for each promise, and the cure where it is not kept.

use std::process::ExitCode;

use b24sync_application::doctor::examine;
use b24sync_domain::doctor::{Finding, Report, Verdict};
use b24sync_domain::entity::EntityType;
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{DatabaseSettings, PortalSettings, Problems, ServiceSettings};
use crate::wiring::doctor::{Clinic, DoctorSettings};

/// Everything, for programs.
#[derive(Debug, Serialize)]
struct Examined {
    verdict: &'static str,
    ok: usize,
    warn: usize,
    fail: usize,
    checks: Vec<Line>,
}

/// One finding, for programs.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    entity: Option<&'static str>,
    verdict: &'static str,
    promise: &'static str,
    seen: String,
    cure: Option<String>,
    fixed: bool,
}

impl From<&Finding> for Line {
    fn from(finding: &Finding) -> Line {
        Line {
            name: finding.check.name(),
            entity: finding.entity.map(EntityType::key),
            verdict: finding.verdict.as_str(),
            promise: finding.check.promise(),
            seen: finding.seen.clone(),
            cure: finding.cure.clone(),
            fixed: finding.fixed,
        }
    }
}

impl From<&Report> for Examined {
    fn from(report: &Report) -> Examined {
        Examined {
            verdict: report.verdict().as_str(),
            ok: report.count(Verdict::Ok),
            warn: report.count(Verdict::Warn),
            fail: report.count(Verdict::Fail),
            checks: report.findings.iter().map(Line::from).collect(),
        }
    }
}

/// Examines and prints; exit code 1 when something failed.
///
/// # Errors
/// Never: what cannot be looked at is a finding.
pub async fn run(args: DoctorArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let loopback = PortalSettings::loopback_allowed(&args.portal);
    let settings = DoctorSettings {
        database: DatabaseSettings::new(&args.database, &mut problems),
        portal: PortalSettings::optional(&args.portal, &mut problems),
        service: ServiceSettings::new(&args.service, loopback, &mut problems),
        host: args.host,
    };
    let clinic = Clinic::open(&settings, problems, output).await;
    let report = examine(&clinic.premises, args.fix).await;
    clinic.close(output).await;
    print(&report, output);
    Ok(if report.verdict() == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(report: &Report, output: Output) {
    let examined = Examined::from(report);
    output.result(&examined, &["check", "", "what was seen"], report.findings.iter().map(row).collect());
    for finding in &report.findings {
        if let Some(cure) = &finding.cure {
            output.say(&format!("{}: {}: {cure}", finding.verdict.as_str(), named(finding)));
        }
    }
    output.say(&format!("{} ok, {} to look at, {} failed", examined.ok, examined.warn, examined.fail));
}

fn named(finding: &Finding) -> String {
    match finding.entity {
        Some(entity) => format!("{} ({entity})", finding.check),
        None => finding.check.to_string(),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let verdict = if finding.fixed { "fixed" } else { finding.verdict.as_str() };
    vec![named(finding), verdict.to_owned(), finding.seen.clone()]
}

#[cfg(test)]
mod tests {
    use b24sync_domain::doctor::catalogue;

    #[test]
    fn the_documentation_lists_every_check_with_its_promise_and_no_other() {
        let text = include_str!("../../../../docs/operations.md");
        let (_, section) = text.split_once("## Doctor\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let listed: Vec<_> = rows.map(|(name, rest)| (name, rest.split(" | ").next().unwrap())).collect();
        let known: Vec<_> = catalogue::ALL.iter().map(|check| (check.name(), check.promise())).collect();
        assert_eq!(listed, known);
    }
}
