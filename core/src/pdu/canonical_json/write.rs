//! Writing a parsed value as canonical JSON.

use serde_json::Value;

use super::{Object, number};

/// The canonical text of a value: no white space, keys sorted by code point, the shortest escapes.
pub fn to_canonical_string(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The canonical text of an object, leaving out some of its top-level keys.
pub fn object_to_canonical_string(object: &Object, left_out: &[&str]) -> String {
    let mut out = String::new();
    write_object(&mut out, object, left_out);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Object(object) => write_object(out, object, &[]),
        Value::Array(items) => write_items(out, '[', items, ']', write_value),
        Value::String(text) => write_string(out, text),
        // The parser reads `-0` as a double, whose text has a fraction.
        Value::Number(number) if number.as_f64() == Some(0.0) => out.push('0'),
        Value::Number(number) => out.push_str(&number::canonical(&number.to_string())),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Null => out.push_str("null"),
    }
}

fn write_object(out: &mut String, object: &Object, left_out: &[&str]) {
    let mut entries: Vec<_> = object
        .iter()
        .filter(|(key, _)| !left_out.contains(&key.as_str()))
        .collect();
    // The parser's own map is sorted only while nobody enables its feature to keep insertion order.
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    write_items(out, '{', entries, '}', |out, (key, value)| {
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    });
}

/// Writes items between brackets, with commas.
pub(super) fn write_items<T>(
    out: &mut String,
    opening: char,
    items: impl IntoIterator<Item = T>,
    closing: char,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(opening);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(closing);
}

pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(position) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (plain, from_escaped) = rest.split_at(position);
        out.push_str(plain);
        let mut characters = from_escaped.chars();
        characters
            .next()
            .into_iter()
            .for_each(|character| write_escaped(out, character));
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn write_escaped(out: &mut String, character: char) {
    let short = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        other => return out.push_str(&format!("\\u{:04x}", u32::from(other))),
    };
    out.push_str(short);
}
