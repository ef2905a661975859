//! Numbers: which there may be, and how they are written.
//!
//! Every function takes a number as the grammar of JSON has it.

use std::borrow::Cow;

use serde_json::Number;

use super::{MAX_INTEGER, Numbers};

/// No integer of so few characters is out of range.
const SHORT: usize = 15;

pub(super) fn is_in_range(raw: &str, is_integer: bool, numbers: Numbers) -> bool {
    match numbers {
        Numbers::Strict if raw.len() <= SHORT => true,
        Numbers::Strict => raw
            .parse()
            .is_ok_and(|integer: i64| integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs()),
        Numbers::Any => is_integer || raw.parse().is_ok_and(f64::is_finite),
    }
}

pub(super) fn is_canonical(raw: &str, is_integer: bool) -> bool {
    match is_integer {
        true => !raw.starts_with('-') || raw != "-0",
        false => canonical(raw) == raw,
    }
}

/// The canonical text of a number.
pub(super) fn canonical(raw: &str) -> Cow<'_, str> {
    match raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        true => Cow::Owned(float_text(raw.parse().unwrap_or_default())),
        false if raw == "-0" => Cow::Borrowed("0"),
        false => Cow::Borrowed(raw),
    }
}

/// The shortest decimal text that reads back as the same double. From 10^16 on and below 10^-4 with
/// an exponent of at least two digits, otherwise with a fraction, `.0` if there is none.
fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..=15 if float.fract() == 0.0 => format!("{float}.0"),
        -4..=15 => format!("{float}"),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
    }
}

/// The number as a value. What is out of reach for both integers of 64 bits and doubles becomes the
/// largest double: such an integer is only ever compared with ranges that it exceeds.
pub(super) fn value(raw: &str) -> Number {
    let raw = canonical(raw);
    if let Ok(integer) = raw.parse::<i64>() {
        return Number::from(integer);
    }
    if let Ok(integer) = raw.parse::<u64>() {
        return Number::from(integer);
    }
    let float: f64 = raw.parse().unwrap_or_default();
    Number::from_f64(float.clamp(f64::MIN, f64::MAX)).unwrap_or_else(|| Number::from(0))
}
