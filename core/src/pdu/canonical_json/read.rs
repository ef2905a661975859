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
                object.insert(unescaped(key).into_owned(), value);
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
        Some(b'"') => Value::String(scanner.characters()?.into_owned()),
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
    Some(unescaped(json.strip_prefix('"')?.strip_suffix('"')?))
}

/// The characters of a string that was scanned, by how it is written between its quotes.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    match has_escapes(raw) {
        // Escapes are rare, so they are left to the parser that is there anyway.
        true => Cow::Owned(serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_default()),
        false => Cow::Borrowed(raw),
    }
}

fn has_escapes(text: &str) -> bool {
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
#[derive(Clone, Debug)]
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

    /// Those of the object at this key, if there is one.
    pub(in crate::pdu) fn inside(mut self, key: &str) -> Option<Self> {
        while self.next_key()? != key {
            self.scanner.skip().ok()?;
        }
        self.separator = b'{';
        (self.scanner.peek() == Some(b'{')).then_some(self)
    }

    /// Reads up to the next value.
    fn next_key(&mut self) -> Option<&'a str> {
        let scanner = &mut self.scanner;
        if !scanner.take(self.separator) || scanner.peek() == Some(b'}') {
            return None;
        }
        self.separator = b',';
        let key = scanner.string().ok()?;
        scanner.take(b':');
        Some(key)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.next_key()?;
        let start = self.scanner.position();
        self.scanner.skip().ok()?;
        Some((key, self.scanner.since(start)))
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
