//! Canonical JSON: the one text of a value that every server hashes and signs (appendices,
//! "Canonical JSON").
//!
//! [`parse`] is strict, as room versions since 6 demand: an integer outside ±(2^53−1), or any
//! number written with a fraction or an exponent, even `1.0`, is refused. Two things the
//! specification leaves open: of duplicate keys the last one wins, and a lone surrogate is refused.
//! Nesting is bounded by [`MAX_DEPTH`], so that walking a value may recurse.

use serde_json::{Map, Number, Value};
use thiserror::Error;

/// A JSON object.
pub type Object = Map<String, Value>;

/// The largest integer in canonical JSON; the smallest is its negative.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// How deeply arrays and objects may be nested.
pub const MAX_DEPTH: usize = 127;

/// Why a text is not acceptable as canonical JSON.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Not JSON, or nested deeper than the parser follows.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A number with a fraction or an exponent.
    #[error("a number at byte {0} has a fraction or an exponent")]
    NotAnInteger(usize),
    /// A number that is no integer in ±(2^53−1).
    #[error("{0} is not an integer in ±(2^53−1)")]
    OutOfRange(Number),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// The value is no object where one is needed.
    #[error("expected a JSON object")]
    NotAnObject,
}

/// Parses any value under the rules of the module.
pub fn parse(json: &[u8]) -> Result<Value, JsonError> {
    if let Some(position) = fraction_or_exponent(json) {
        return Err(JsonError::NotAnInteger(position));
    }
    let mut value = serde_json::from_slice(json)?;
    check(&mut value, MAX_DEPTH)?;
    Ok(value)
}

/// Parses an object under the rules of the module.
pub fn parse_object(json: &[u8]) -> Result<Object, JsonError> {
    match parse(json)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Where a number is written with `.`, `e` or `E`.
///
/// The parser cannot tell: it reads both `-0` and `-0.0` as the same float. Outside of strings a
/// digit is followed by one of these three bytes in no other place of a JSON text.
fn fraction_or_exponent(json: &[u8]) -> Option<usize> {
    let (mut in_string, mut escaped, mut after_digit) = (false, false, false);
    for (position, &byte) in json.iter().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        if after_digit && matches!(byte, b'.' | b'e' | b'E') {
            return Some(position);
        }
        after_digit = byte.is_ascii_digit();
        in_string = byte == b'"';
    }
    None
}

/// Holds an object that was not parsed here to the same rules, turning `-0` into `0`.
pub fn check_object(object: &mut Object) -> Result<(), JsonError> {
    object
        .values_mut()
        .try_for_each(|value| check(value, MAX_DEPTH - 1))
}

/// Checks all numbers, and that arrays and objects are nested at most so deeply.
fn check(value: &mut Value, depth_left: usize) -> Result<(), JsonError> {
    let inside = || depth_left.checked_sub(1).ok_or(JsonError::TooDeep);
    match value {
        Value::Number(number) => check_number(number),
        Value::Array(items) => {
            let inside = inside()?;
            items.iter_mut().try_for_each(|item| check(item, inside))
        }
        Value::Object(object) => {
            let inside = inside()?;
            object
                .values_mut()
                .try_for_each(|value| check(value, inside))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn check_number(number: &mut Number) -> Result<(), JsonError> {
    if number.as_f64() == Some(0.0) {
        *number = Number::from(0);
    }
    match number.as_i64() {
        Some(integer) if integer.abs_diff(0) <= MAX_INTEGER.unsigned_abs() => Ok(()),
        _ => Err(JsonError::OutOfRange(number.clone())),
    }
}

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
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::String(text) => write_string(out, text),
        Value::Number(number) => out.push_str(&number.to_string()),
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
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

fn write_string(out: &mut String, text: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        to_canonical_string(&parse(json.as_bytes()).unwrap())
    }

    /// CJ-1, with the examples of the appendix
    #[test]
    fn cj_1_sorts_keys_by_code_point_and_drops_white_space() {
        for (json, expected) in [
            ("{}", "{}"),
            (r#"{ "one": 1, "two": "Two" }"#, r#"{"one":1,"two":"Two"}"#),
            (r#"{ "b": "2", "a": "1" }"#, r#"{"a":"1","b":"2"}"#),
            (r#"{ "本": 2, "日": 1 }"#, r#"{"日":1,"本":2}"#),
            (r#"{ "a": "\u65E5" }"#, r#"{"a":"日"}"#),
            (r#"{ "a": null }"#, r#"{"a":null}"#),
            (
                r#"{"a": [ {"c": [ ], "b": true } , false ]}"#,
                r#"{"a":[{"b":true,"c":[]},false]}"#,
            ),
        ] {
            assert_eq!(canonical(json), expected);
        }
    }

    /// CJ-1: UTF-16 units would sort U+1F600 (surrogates from 0xD83D) before U+FF21.
    #[test]
    fn cj_1_does_not_sort_by_utf_16_units() {
        assert_eq!(canonical(r#"{"😀":1,"Ａ":2}"#), r#"{"Ａ":2,"😀":1}"#);
    }

    #[test]
    fn cj_2_escapes_nothing_but_quotes_backslashes_and_controls() {
        assert_eq!(
            canonical(
                r#"["\u0000\u0008\u0009\u000A\u000b\u000c\u000d\u001F\u007f\/\"\\é\uD83D\uDE00"]"#
            ),
            "[\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}/\\\"\\\\é😀\"]"
        );
    }

    #[test]
    fn cj_3_integers_keep_their_value_and_minus_zero_is_zero() {
        assert_eq!(
            canonical(r#"{"a":-0,"b":9007199254740991,"c":-9007199254740991}"#),
            r#"{"a":0,"b":9007199254740991,"c":-9007199254740991}"#
        );
    }

    #[test]
    fn cj_4_refuses_fractions_exponents_and_large_integers() {
        for json in [
            "1.0",
            "[1e10]",
            "1E+2",
            "-0.0",
            r#"{"a":[0.5]}"#,
            r#"{"\"":1.5}"#,
        ] {
            assert!(
                matches!(parse(json.as_bytes()), Err(JsonError::NotAnInteger(_))),
                "{json}"
            );
        }
        for json in [
            "9007199254740992",
            "-9007199254740992",
            "[18446744073709551615]",
            "99999999999999999999999",
        ] {
            assert!(
                matches!(parse(json.as_bytes()), Err(JsonError::OutOfRange(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn cj_4_looks_for_fractions_outside_of_strings_only() {
        assert_eq!(
            canonical(r#"{"v1.0":"2.5\\","1e5":["\"1.5",7,true,false]}"#),
            r#"{"1e5":["\"1.5",7,true,false],"v1.0":"2.5\\"}"#
        );
    }

    #[test]
    fn cj_6_takes_the_last_duplicate_and_refuses_lone_surrogates() {
        assert_eq!(canonical(r#"{"a":1,"a":2}"#), r#"{"a":2}"#);
        assert!(parse(br#""\ud800""#).is_err());
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(100_000)).is_err());
    }

    /// What a client sends becomes the content of an event, without having been parsed here.
    #[test]
    fn values_parsed_elsewhere_are_held_to_the_same_rules() {
        let check = |json: &str| check_object(&mut serde_json::from_str(json).unwrap());
        assert!(check(r#"{"a":[{"b":1}]}"#).is_ok());
        assert!(matches!(
            check(r#"{"a":[{"b":1.5}]}"#),
            Err(JsonError::OutOfRange(_))
        ));
        assert!(matches!(
            check(r#"{"a":-9007199254740992}"#),
            Err(JsonError::OutOfRange(_))
        ));
        let nested =
            |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::from(vec![inner]));
        let check = |inner| check_object(&mut Object::from_iter([("a".to_owned(), inner)]));
        assert!(check(nested(MAX_DEPTH - 1)).is_ok());
        assert!(matches!(check(nested(MAX_DEPTH)), Err(JsonError::TooDeep)));
    }
}
