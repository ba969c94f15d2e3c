//! Prints results: tables for people, one JSON document for programs. Progress and failures go to standard error.

use std::io::IsTerminal;

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::cli::Format;

const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// Where and how results are printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output {
    format: Format,
}

impl Output {
    /// In this format.
    pub fn new(format: Format) -> Output {
        Output { format }
    }

    /// Whether results are for programs.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person watches, so that bars make sense.
    pub fn is_interactive(self) -> bool {
        !self.is_json() && std::io::stderr().is_terminal()
    }

    /// A line for people; programs do not get it.
    pub fn say(self, line: &str) {
        if !self.is_json() {
            println!("{line}");
        }
    }

    /// A document as it is, whatever the format.
    pub fn document(self, text: &str) {
        println!("{}", text.trim_end());
    }

    /// A line for people that tells good news.
    pub fn good(self, line: &str) {
        if !self.is_json() {
            println!("{GOOD}✓{GOOD:#} {line}");
        }
    }

    /// A line about what is going on, on standard error.
    pub fn note(self, line: &str) {
        eprintln!("{line}");
    }

    /// A warning on standard error.
    pub fn warn(self, line: &str) {
        eprintln!("{BAD}warning:{BAD:#} {line}");
    }

    /// A failure and what to do about it, on standard error.
    pub fn failure(self, message: &str, advice: &str) {
        if self.is_json() {
            eprintln!("{}", serde_json::json!({ "error": message, "advice": advice }));
            return;
        }
        eprintln!("{BAD}error:{BAD:#} {message}");
        if !advice.is_empty() {
            eprintln!("  {HINT}what to do:{HINT:#} {advice}");
        }
    }

    /// The result: `rows` as a table with this header, or `value` as JSON.
    pub fn result<T: Serialize>(self, value: &T, header: &[&str], rows: Vec<Vec<String>>) {
        if self.is_json() {
            // Our own types have string keys only, which JSON can always write.
            println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
        } else {
            println!("{}", table(header, rows));
        }
    }

    /// A table for people.
    pub fn table(self, header: &[&str], rows: Vec<Vec<String>>) {
        if !self.is_json() {
            println!("{}", table(header, rows));
        }
    }
}

/// A table as text.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(ToString::to_string).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// `12,345`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

/// An instant to the second, in UTC; a dash for none.
pub fn instant(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped: Vec<_> = [0, 12, 999, 1_000, 1_234_567, -5_000].into_iter().map(grouped).collect();
        assert_eq!(grouped, ["0", "12", "999", "1,000", "1,234,567", "-5,000"]);
    }
}
