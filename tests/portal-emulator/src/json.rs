//! JSON text written straight into a byte buffer, and a scanner that finds one value in such text.

/// JSON text under construction. Separators are placed by looking at the last byte written, so callers
/// name members and elements and never think about commas.
#[derive(Debug, Default)]
pub(crate) struct Json {
    buf: Vec<u8>,
    /// Escape everything beyond ASCII and the slash, as PHP's `json_encode` does without flags.
    php_escapes: bool,
}

impl Json {
    pub(crate) fn new(php_escapes: bool) -> Self {
        Self { buf: Vec::with_capacity(4_096), php_escapes }
    }

    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Writes text that is JSON already.
    pub(crate) fn raw(&mut self, text: &str) {
        self.buf.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn raw_bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Writes a comma unless the next thing written is the first of its array or object.
    pub(crate) fn comma(&mut self) {
        if !matches!(self.buf.last(), None | Some(b'{' | b'[' | b':' | b',')) {
            self.buf.push(b',');
        }
    }

    pub(crate) fn open_object(&mut self) {
        self.buf.push(b'{');
    }

    pub(crate) fn close_object(&mut self) {
        self.buf.push(b'}');
    }

    /// Closes an object; one without members becomes `[]`, as PHP prints empty arrays.
    pub(crate) fn close_php_map(&mut self) {
        if self.buf.last() == Some(&b'{') {
            self.buf.pop();
            self.buf.extend_from_slice(b"[]");
        } else {
            self.buf.push(b'}');
        }
    }

    pub(crate) fn open_array(&mut self) {
        self.buf.push(b'[');
    }

    pub(crate) fn close_array(&mut self) {
        self.buf.push(b']');
    }

    pub(crate) fn key(&mut self, name: &str) {
        self.comma();
        self.string(name);
        self.buf.push(b':');
    }

    pub(crate) fn null(&mut self) {
        self.raw("null");
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(crate) fn integer(&mut self, value: i64) {
        use std::io::Write as _;
        // Writing to a vector cannot fail.
        let _ = write!(self.buf, "{value}");
    }

    /// Writes a quoted number.
    pub(crate) fn quoted(&mut self, value: i64) {
        self.buf.push(b'"');
        self.integer(value);
        self.buf.push(b'"');
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.buf.push(b'"');
        if self.php_escapes {
            self.escape_like_php(text);
        } else {
            self.escape(text);
        }
        self.buf.push(b'"');
    }

    pub(crate) fn member_string(&mut self, name: &str, value: &str) {
        self.key(name);
        self.string(value);
    }

    pub(crate) fn member_raw(&mut self, name: &str, value: &str) {
        self.key(name);
        self.raw(value);
    }

    pub(crate) fn member_integer(&mut self, name: &str, value: i64) {
        self.key(name);
        self.integer(value);
    }

    pub(crate) fn member_quoted(&mut self, name: &str, value: i64) {
        self.key(name);
        self.quoted(value);
    }

    pub(crate) fn member_boolean(&mut self, name: &str, value: bool) {
        self.key(name);
        self.boolean(value);
    }

    fn escape(&mut self, text: &str) {
        for run in text.as_bytes().split_inclusive(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            match run.split_last() {
                Some((last, clean)) if matches!(last, b'"' | b'\\' | 0..=0x1f) => {
                    self.buf.extend_from_slice(clean);
                    self.escape_byte(*last);
                }
                _ => self.buf.extend_from_slice(run),
            }
        }
    }

    fn escape_byte(&mut self, byte: u8) {
        match byte {
            b'"' => self.raw("\\\""),
            b'\\' => self.raw("\\\\"),
            b'\n' => self.raw("\\n"),
            b'\r' => self.raw("\\r"),
            b'\t' => self.raw("\\t"),
            other => self.unit(u16::from(other)),
        }
    }

    fn escape_like_php(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '/' => self.raw("\\/"),
                '"' | '\\' | '\0'..='\u{1f}' => self.escape_byte(u8::try_from(letter).unwrap_or(b'?')),
                ' '..='~' => self.buf.push(u8::try_from(letter).unwrap_or(b'?')),
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        self.unit(*unit);
                    }
                }
            }
        }
    }

    fn unit(&mut self, unit: u16) {
        use std::io::Write as _;
        let _ = write!(self.buf, "\\u{unit:04x}");
    }
}

/// Returns the text of the value that starts at `text`, or `None` when it is not complete.
pub(crate) fn first_value(text: &[u8]) -> Option<&[u8]> {
    text.get(..value_len(text)?)
}

fn value_len(text: &[u8]) -> Option<usize> {
    match *text.first()? {
        b'"' => string_len(text),
        b'{' | b'[' => nested_len(text),
        _ => Some(text.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b':')).unwrap_or(text.len())),
    }
}

fn string_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match (escaped, byte) {
            (true, _) => escaped = false,
            (false, b'\\') => escaped = true,
            (false, b'"') => return Some(at + 1),
            (false, _) => {}
        }
    }
    None
}

fn nested_len(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    loop {
        match *text.get(at)? {
            b'"' => {
                at += string_len(text.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Finds the member `key` of an object, or the element number `key` of an array, in compact JSON text.
pub(crate) fn child<'t>(text: &'t [u8], key: &str) -> Option<&'t [u8]> {
    let object = match text.first()? {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    let mut rest = text.get(1..)?;
    let mut index = 0_usize;
    loop {
        if matches!(rest.first()?, b'}' | b']') {
            return None;
        }
        let mut found = !object && key == index.to_string();
        if object {
            let name = first_value(rest)?;
            found = serde_json::from_slice::<String>(name).is_ok_and(|name| name == key);
            rest = rest.get(name.len() + 1..)?;
        }
        let value = first_value(rest)?;
        if found {
            return Some(value);
        }
        rest = rest.get(value.len()..)?;
        if rest.first()? == &b',' {
            rest = rest.get(1..)?;
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, php: bool) -> String {
        let mut json = Json::new(php);
        json.string(text);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn any_text_survives_in_both_styles() {
        for text in ["", "plain", "a\"b\\c\nd\re\tf\u{1}g", "Привет 🎉 \u{200b}\u{202e}", "/\u{7f}\u{2028}"] {
            for php in [false, true] {
                let json = written(text, php);
                assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
                assert!(!php || json.is_ascii());
            }
        }
        assert_eq!(written("a/б", true), "\"a\\/\\u0431\"");
    }

    #[test]
    fn commas_and_empty_maps_take_care_of_themselves() {
        let mut json = Json::new(false);
        json.open_object();
        json.member_integer("a", 1);
        json.key("b");
        json.open_object();
        json.close_php_map();
        json.member_quoted("c", 2);
        json.close_php_map();
        assert_eq!(json.bytes(), br#"{"a":1,"b":[],"c":"2"}"#);
    }

    #[test]
    fn children_are_found_by_key_and_by_index() {
        let text = br#"{"items":[{"id":5,"t":"a]}\"b"},{"id":7,"t":null}],"n":"x"}"#;
        let second = child(child(text, "items").unwrap(), "1").unwrap();
        assert_eq!(child(second, "id").unwrap(), b"7");
        assert_eq!(child(second, "t").unwrap(), b"null");
        assert_eq!(child(text, "n").unwrap(), b"\"x\"");
        assert_eq!(child(child(text, "items").unwrap(), "2"), None);
        assert_eq!(child(b"[]", "0"), None);
        assert_eq!(child(text, "absent"), None);
    }
}
