//! The documents: links lead somewhere, and both READMEs give the same commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every document for readers.
fn documents() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    let found =
        [root(), root().join("docs"), root().join("docs/adr"), root().join("deploy")].into_iter().flat_map(markdown);
    let found: Vec<_> = found.collect();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Lines outside and inside of code blocks; those inside with the block's language.
fn lines(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut language = None;
    text.lines().filter_map(move |line| match (line.trim_start().strip_prefix("```"), language) {
        (Some(name), None) => {
            language = Some(name.split_whitespace().next().unwrap_or_default());
            None
        }
        (Some(_), Some(_)) => {
            language = None;
            None
        }
        (None, language) => Some((language, line)),
    })
}

/// What a heading is called in addresses.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    heading.to_lowercase().chars().filter(kept).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).filter(|(language, line)| language.is_none() && line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
}

fn links(text: &str) -> Vec<String> {
    let outside = lines(text).filter(|(language, _)| language.is_none());
    let links = outside.flat_map(|(_, line)| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    links.map(str::to_owned).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, it)| (file, Some(it)));
            let target = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let leads = target.exists()
                && heading.is_none_or(|heading| anchors(&std::fs::read_to_string(&target).unwrap()).contains(heading));
            if !leads {
                broken.push(format!("{}: {link}", document.file_name().unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Commands and queries, without remarks.
fn commands(readme: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(readme)).unwrap();
    let code = lines(&text).filter(|(language, _)| matches!(language, Some("sh" | "sql")));
    let code = code.map(|(_, line)| line.trim()).filter(|line| !line.is_empty() && !line.starts_with('#'));
    code.map(str::to_owned).collect()
}

#[test]
fn both_readmes_give_the_same_commands() {
    let commands = [commands("README.md"), commands("README.ru.md")];
    assert!(commands[0].iter().any(|command| command == "cargo run --release -- demo"));
    assert_eq!(commands[0], commands[1]);
}
