//! Who else may use our tables (CORRECTNESS I14, S9).

use b24sync_domain::doctor::facts::{ObjectKind, OpenObject};
use b24sync_domain::doctor::{Check, Finding, catalogue};
use b24sync_domain::ports::DatabaseExaminer;

use super::limit::{self, Problem, limited};
use super::some_of;

pub(super) async fn check(examiner: &dyn DatabaseExaminer, fix: bool) -> Vec<Finding> {
    let before = match limited(limit::DATABASE, examiner.open_objects()).await {
        Ok(open) => open,
        Err(problem) => return vec![problem.warn(catalogue::DATABASE_GRANTS)],
    };
    if !fix || !before.iter().any(|object| is_open_control(object) || is_unguarded(object)) {
        return judge(&before, None);
    }
    match limited(limit::DATABASE, close_and_look(examiner)).await {
        Ok(after) => judge(&after, Some(&before)),
        Err(problem) => {
            let mut findings = judge(&before, None);
            findings.push(
                Problem { seen: format!("could not be closed: {}", problem.seen), ..problem }
                    .fail(catalogue::DATABASE_GRANTS),
            );
            findings
        }
    }
}

async fn close_and_look(examiner: &dyn DatabaseExaminer) -> Result<Vec<OpenObject>, b24sync_domain::error::StoreError> {
    examiner.close().await?;
    examiner.open_objects().await
}

/// Nobody shares the control schema.
fn is_open_control(object: &OpenObject) -> bool {
    object.control && !object.grantees.is_empty()
}

/// A table that this program made, and that had row level security once.
fn is_unguarded(object: &OpenObject) -> bool {
    object.ours && !object.row_security
}

fn judge(open: &[OpenObject], before: Option<&[OpenObject]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let closed = group(
        catalogue::DATABASE_GRANTS,
        (open, before),
        is_open_control,
        "web roles or PUBLIC have rights on",
        "`b24sync doctor --fix` takes them back",
    );
    let shared: Vec<Finding> =
        open.iter().filter(|object| !object.control && !object.grantees.is_empty()).map(shared).collect();
    match closed {
        Some(finding) => findings.push(finding),
        None if shared.is_empty() => {
            findings.push(Finding::ok(
                catalogue::DATABASE_GRANTS,
                "anon, authenticated and PUBLIC may use nothing of ours",
            ));
        }
        None => {}
    }
    findings.extend(shared);
    let guarded = group(
        catalogue::DATABASE_ROW_SECURITY,
        (open, before),
        is_unguarded,
        "it is off for",
        "`b24sync doctor --fix` switches it on again",
    );
    findings.push(
        guarded.unwrap_or_else(|| {
            Finding::ok(catalogue::DATABASE_ROW_SECURITY, "on for every table that this program made")
        }),
    );
    findings
}

/// One finding for all objects that have the same fault, or had it before it was mended.
fn group(
    check: Check,
    (open, before): (&[OpenObject], Option<&[OpenObject]>),
    is_faulty: impl Fn(&OpenObject) -> bool,
    fault: &str,
    cure: &str,
) -> Option<Finding> {
    let names = |objects: &[OpenObject]| -> Vec<String> {
        objects.iter().filter(|object| is_faulty(object)).map(described).collect()
    };
    let (now, before) = (names(open), before.map(names).unwrap_or_default());
    match (now.is_empty(), before.is_empty()) {
        (false, _) => Some(Finding::fail(check, format!("{fault} {}", some_of(&now)), cure)),
        (true, false) => Some(Finding::ok(check, format!("mended: {fault} {}", some_of(&before))).mended()),
        (true, true) => None,
    }
}

fn described(object: &OpenObject) -> String {
    if object.grantees.is_empty() {
        object.name.clone()
    } else {
        format!("{} ({})", object.name, object.grantees.join(", "))
    }
}

/// A grant on a table of the replica may be meant: it is shown, and stays.
fn shared(object: &OpenObject) -> Finding {
    let to = object.grantees.join(", ");
    let rows = match (object.kind, object.row_security, object.policies) {
        (ObjectKind::Table, false, _) => "; without row level security they see every row".to_owned(),
        (ObjectKind::Table, true, 0) => "; no policy lets them see a row".to_owned(),
        (ObjectKind::Table, true, policies) => format!("; {policies} policies say which rows they see"),
        _ => String::new(),
    };
    let kind = match object.kind {
        ObjectKind::Table | ObjectKind::View => "",
        ObjectKind::Sequence => "sequence ",
        ObjectKind::Schema => "schema ",
    };
    let seen = format!("{} is open to {to}{rows}", object.name);
    let cure = format!("if nobody means to share it: `revoke all on {kind}{} from {to}`", object.name);
    Finding::warn(catalogue::DATABASE_GRANTS, seen, cure)
}
