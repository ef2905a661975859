//! One page of a stream, on the wire.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::transport::remote_response::{self, RemoteError};

/// How long another server's name for a position may be, in bytes.
const POSITION_BYTES_MAX: usize = 255;

/// A page that another server gave us. Nothing of what it says is checked but its measures.
#[derive(Debug, Deserialize)]
pub struct Page<'b> {
    /// The events, in the order of the stream.
    #[serde(borrow)]
    pub pdus: Vec<&'b RawValue>,
    /// Where the page ends: what follows is asked for with this.
    pub position: String,
    /// Whether more follows already.
    pub more: bool,
}

/// Writes a page. Events are JSON text already and are not serialised again.
#[must_use]
pub fn write<'e>(events: impl Iterator<Item = &'e str>, position: &str, more: bool) -> String {
    let events = events.collect::<Vec<_>>().join(",");
    format!(r#"{{"pdus":[{events}],"position":"{position}","more":{more}}}"#)
}

/// Reads the page that follows `from`, or the one that tells where the stream ends.
///
/// # Errors
/// [`RemoteError::Nonsense`] if it is no page, is larger than we asked for, or leads nowhere.
pub fn read<'b>(body: &'b Bytes, from: Option<&str>, limit: u32) -> Result<Page<'b>, RemoteError> {
    let page: Page<'b> = remote_response::parse_borrowed(body)?;
    let nonsense = |reason: &str| Err(RemoteError::Nonsense(reason.to_owned()));
    let is_position = |text: &str| {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        printable && (1..=POSITION_BYTES_MAX).contains(&text.len())
    };
    if !is_position(&page.position) {
        return nonsense("the page ends at no position");
    }
    if page.pdus.len() > limit as usize {
        return nonsense("the page holds more events than were asked for");
    }
    let stays = from == Some(&*page.position);
    if stays && (page.more || !page.pdus.is_empty()) {
        return nonsense("the stream does not move on");
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> Option<String> {
        let body = Bytes::from(body.to_owned());
        match read(&body, Some("here"), 2) {
            Ok(_) => None,
            Err(RemoteError::Nonsense(reason)) => Some(reason),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let body = write([r#"{"a":1}"#, r#"{"b":2}"#].into_iter(), "there", true).into();
        let page = read(&body, Some("here"), 2).unwrap();
        assert_eq!(page.pdus[1].get(), r#"{"b":2}"#);
        assert_eq!((&*page.position, page.more), ("there", true));
    }

    #[test]
    fn a_page_may_be_empty_at_the_end_and_on_the_way() {
        assert_eq!(
            problem(r#"{"pdus":[],"position":"here","more":false}"#),
            None
        );
        assert_eq!(
            problem(r#"{"pdus":[],"position":"there","more":true}"#),
            None
        );
    }

    #[test]
    fn a_stream_that_does_not_move_on_is_nonsense() {
        let reason = Some("the stream does not move on".to_owned());
        assert_eq!(
            problem(r#"{"pdus":[],"position":"here","more":true}"#),
            reason
        );
        assert_eq!(
            problem(r#"{"pdus":[{}],"position":"here","more":false}"#),
            reason
        );
    }

    #[test]
    fn odd_positions_and_pages_that_are_too_large_are_nonsense() {
        let long = "p".repeat(256);
        for position in ["", "a b", "é", &long] {
            let body = format!(r#"{{"pdus":[],"position":"{position}","more":false}}"#);
            assert!(problem(&body).is_some(), "{position}");
        }
        assert!(problem(r#"{"pdus":[1,2,3],"position":"there","more":false}"#).is_some());
        assert!(problem("[]").is_some() && problem(r#"{"pdus":[]}"#).is_some());
    }
}
