//! `application/x-www-form-urlencoded` as PHP's `http_build_query` writes it: brackets percent-encoded, blanks as `+`.

use std::fmt::Write as _;

use crate::param::Param;

/// A form body, or the query of an address, under construction.
#[derive(Debug, Default)]
pub(crate) struct Form {
    text: String,
}

impl Form {
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.name(&encoded(name));
        self.text.push_str(&encoded(value));
    }

    /// Writes a tree as `name[key][key]=value`; an empty map leaves no trace.
    pub(crate) fn tree(&mut self, name: &str, value: &Param) {
        self.branch(&encoded(name), value);
    }

    fn branch(&mut self, path: &str, value: &Param) {
        match value {
            Param::Map(members) => {
                for (key, value) in members {
                    self.branch(&format!("{path}%5B{}%5D", encoded(key)), value);
                }
            }
            scalar => {
                self.name(path);
                self.text.push_str(&encoded(&scalar.text().unwrap_or_default()));
            }
        }
    }

    fn name(&mut self, encoded: &str) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(encoded);
        self.text.push('=');
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // Writing to a string cannot fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_bracketed_names_and_can_be_read_back() {
        let tree: Param = serde_json::from_str(r#"{"FIELDS":{"ID":"5","N":"a b+c/Ж"},"EMPTY":[]}"#).unwrap();
        let mut form = Form::default();
        form.put("event", "ONX");
        form.tree("data", &tree);
        let text = form.into_text();
        assert_eq!(text, "event=ONX&data%5BFIELDS%5D%5BID%5D=5&data%5BFIELDS%5D%5BN%5D=a+b%2Bc%2F%D0%96");
        let back = Param::from_query(&text);
        assert_eq!(back.get("data").unwrap().get("FIELDS"), tree.get("FIELDS"));
    }
}
