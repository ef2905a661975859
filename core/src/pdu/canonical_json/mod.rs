//! Canonical JSON: the one text of a value that every server hashes and signs (appendices,
//! "Canonical JSON").
//!
//! What comes in is scanned once. The scan refuses what is not JSON and what is nested deeper than
//! [`MAX_DEPTH`], so that walking a value may recurse, and it notices whether the text is canonical
//! already. It nearly always is; then it is used as it stands, and only otherwise written anew.
//!
//! Two things the specification leaves open: of duplicate keys the last one wins, and a lone
//! surrogate is refused. What numbers may be depends on the room version: see [`Numbers`].

mod number;
mod read;
mod rewrite;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

use serde_json::{Map, Value};
use thiserror::Error;

pub use self::write::{object_to_canonical_string, to_canonical_string};
pub(super) use self::{
    read::{Items, Members, member, object, text},
    rewrite::rewrite,
    scan::Scanner,
};

/// A JSON object.
pub type Object = Map<String, Value>;

/// The largest integer in canonical JSON; the smallest is its negative.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// How deeply arrays and objects may be nested.
pub const MAX_DEPTH: usize = 127;

/// What numbers a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Integers in ±(2^53−1), written without a fraction and without an exponent: `1.0` is refused.
    /// This is what canonical JSON demands, and room versions since 6 enforce it.
    Strict,
    /// Any number, as in room versions 1 to 5, whose events were hashed and signed by servers that
    /// took what came: integers of any size digit by digit, all others as the shortest decimal text
    /// of the nearest double, in the notation of those servers. What no double can hold is refused.
    Any,
}

/// Why a text is not acceptable as canonical JSON. Positions count bytes from 0.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not UTF-8 at byte {0}")]
    Encoding(usize),
    /// Not JSON.
    #[error("not valid JSON at byte {0}")]
    Syntax(usize),
    /// A number with a fraction or an exponent.
    #[error("the number at byte {0} has a fraction or an exponent")]
    NotAnInteger(usize),
    /// A number outside of what its [`Numbers`] allow.
    #[error("the number at byte {0} is out of range")]
    OutOfRange(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// The value is no object where one is needed.
    #[error("expected a JSON object")]
    NotAnObject,
}

pub(crate) fn as_text(json: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(json).map_err(|error| JsonError::Encoding(error.valid_up_to()))
}

/// The canonical text of what `json` says, which is `json` itself if that is canonical.
pub fn canonical(json: &str, numbers: Numbers) -> Result<Cow<'_, str>, JsonError> {
    let mut scanner = Scanner::new(json, numbers);
    scanner.skip()?;
    match scanner.finish()? {
        true => Ok(Cow::Borrowed(json)),
        false => rewrite(json, numbers).map(Cow::Owned),
    }
}

/// Parses any value, with strict numbers.
pub fn parse(json: &[u8]) -> Result<Value, JsonError> {
    read::value(as_text(json)?, Numbers::Strict)
}

/// Parses an object, with strict numbers.
pub fn parse_object(json: &[u8]) -> Result<Object, JsonError> {
    match parse(json)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}
