//! Reading values out of text.

use std::borrow::Cow;

use serde_json::Value;

use super::{JsonError, Numbers, Object, number, scan::Scanner};

/// Parses a text.
pub(super) fn value(json: &str, numbers: Numbers) -> Result<Value, JsonError> {
    let mut scanner = Scanner::new(json, numbers);
    let value = next_value(&mut scanner)?;
    scanner.finish().map(|_| value)
}

fn next_value(scanner: &mut Scanner<'_>) -> Result<Value, JsonError> {
    Ok(match scanner.peek() {
        Some(b'{') => {
            let mut object = Object::new();
            scanner.object(|scanner, key| {
                let value = next_value(scanner)?;
                object.insert(key.unescaped().into_owned(), value);
                Ok(())
            })?;
            Value::Object(object)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            scanner.array(|scanner| {
                items.push(next_value(scanner)?);
                Ok(())
            })?;
            Value::Array(items)
        }
        Some(b'"') => Value::String(scanner.string()?.unescaped().into_owned()),
        _ => match scanner.scalar()? {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number => Value::Number(number::value(number)),
        },
    })
}

/// Parses an object out of text that was scanned before; it is empty if the text is something else.
pub(in crate::pdu) fn object(json: &str) -> Object {
    match value(json, Numbers::Any) {
        Ok(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

/// The string that this text is, if it is one. For text that was scanned before.
pub(in crate::pdu) fn text(json: &str) -> Option<Cow<'_, str>> {
    let raw = json.strip_prefix('"')?.strip_suffix('"')?;
    Some(match has_escapes(raw) {
        true => Cow::Owned(unescape(raw)),
        false => Cow::Borrowed(raw),
    })
}

/// Whether some string in this text is written with escapes.
pub(in crate::pdu) fn has_escapes(text: &str) -> bool {
    // Without a branch for each byte, so that many are looked at together.
    let found = |found, byte| found | u8::from(byte == b'\\');
    text.bytes().fold(0, found) != 0
}

/// The text of the value at this key of an object; the key is one that needs no escapes. For
/// canonical text that was scanned before.
pub(in crate::pdu) fn member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    Members::of(json).find_map(|(name, value)| (name == key).then_some(value))
}

/// Every key of an object, as it is written, and the text of its value, in canonical text that was
/// scanned before; nothing if it is no object.
pub(in crate::pdu) struct Members<'a> {
    scanner: Scanner<'a>,
    separator: u8,
}

impl<'a> Members<'a> {
    pub(in crate::pdu) fn of(json: &'a str) -> Self {
        Self {
            scanner: Scanner::new(json, Numbers::Any),
            separator: b'{',
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let scanner = &mut self.scanner;
        if !scanner.take(self.separator) || scanner.peek() == Some(b'}') {
            return None;
        }
        self.separator = b',';
        let key = scanner.string().ok()?;
        scanner.take(b':');
        let start = scanner.position();
        scanner.skip().ok()?;
        Some((key.raw, scanner.since(start)))
    }
}

/// The text of each item of an array, in canonical text that was scanned before; nothing if it is no
/// array.
pub(in crate::pdu) struct Items<'a> {
    scanner: Scanner<'a>,
    separator: u8,
}

impl<'a> Items<'a> {
    pub(in crate::pdu) fn of(json: &'a str) -> Self {
        Self {
            scanner: Scanner::new(json, Numbers::Any),
            separator: b'[',
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let scanner = &mut self.scanner;
        if !scanner.take(self.separator) || scanner.peek() == Some(b']') {
            return None;
        }
        self.separator = b',';
        let start = scanner.position();
        scanner.skip().ok()?;
        Some(scanner.since(start))
    }
}

/// The characters of a string with escapes, which the scanner has found to be right.
pub(super) fn unescape(raw: &str) -> String {
    // Escapes are rare, so they are left to the parser that is there anyway.
    serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_default()
}
