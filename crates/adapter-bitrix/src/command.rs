//! Requests as the portal reads them: `batch` with commands in the form of query strings (Bitrix24 REST 6).

use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use url::form_urlencoded::byte_serialize;

/// Commands a batch holds at most.
pub(crate) const MAX_COMMANDS: usize = 50;

/// A method with parameters, in the query form that commands of a batch have.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    text: String,
    first: bool,
}

impl Command {
    pub(crate) fn new(method: &str) -> Command {
        Command { text: method.to_owned(), first: true }
    }

    /// Adds a parameter. `path` is its place in brackets form, such as `filter[>id]`; the value is encoded.
    pub(crate) fn with(self, path: &str, value: impl Display) -> Command {
        let value: String = byte_serialize(value.to_string().as_bytes()).collect();
        self.push(path, &value)
    }

    /// Adds a reference to the result of an earlier command of the batch.
    pub(crate) fn with_reference(self, path: &str, reference: &str) -> Command {
        self.push(path, reference)
    }

    fn push(mut self, path: &str, value: &str) -> Command {
        self.text.push(if self.first { '?' } else { '&' });
        self.first = false;
        for character in path.chars() {
            match character {
                '[' | ']' => self.text.push(character),
                character => self.text.extend(byte_serialize(character.encode_utf8(&mut [0; 4]).as_bytes())),
            }
        }
        self.text.push('=');
        self.text.push_str(value);
        self
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of a list command. Names are never numbers: the portal would answer with a list instead of a map.
pub(crate) fn page_name(position: usize) -> String {
    let mut name = String::from("p");
    // Writing to a string cannot fail.
    let _ = write!(name, "{position:02}");
    name
}

/// The body of a `batch` request. With `halt` the first command that fails is the last one that runs.
pub(crate) fn batch(halt: bool, commands: &[(String, Command)]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Batch<'a> {
        halt: u8,
        cmd: Commands<'a>,
    }
    struct Commands<'a>(&'a [(String, Command)]);
    impl Serialize for Commands<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // In order: the portal runs them as they come.
            let mut map = serializer.serialize_map(Some(self.0.len()))?;
            for (name, command) in self.0 {
                map.serialize_entry(name, &command.text)?;
            }
            map.end()
        }
    }
    // Strings and numbers always serialise.
    serde_json::to_vec(&Batch { halt: u8::from(halt), cmd: Commands(commands) }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_once_and_references_not_at_all() {
        let command = Command::new("crm.deal.list")
            .with("order[ID]", "ASC")
            .with("filter[>=DATE_MODIFY]", "2024-09-01T10:00:00+03:00")
            .with_reference("filter[>ID]", "$result[p00][49][ID]")
            .with("start", -1);
        let body = batch(true, &[(page_name(1), command)]);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"halt":1,"cmd":{"p01":"crm.deal.list?order[ID]=ASC&filter[%3E%3DDATE_MODIFY]=2024-09-01T10%3A00%3A00%2B03%3A00&filter[%3EID]=$result[p00][49][ID]&start=-1"}}"#
        );
    }
}
