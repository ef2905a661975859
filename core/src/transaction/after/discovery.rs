//! Who offers a stream.
//!
//! A server that does says so in the answer to `GET /_matrix/federation/v1/version`, which anybody
//! may ask of any server: in `server`, with the key and the value of [`OFFER`].

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::{persistence::tables::PeerStream, time::WallTime};

/// The key and the value by which a server says that it offers its stream.
pub const OFFER: (&str, &str) = ("org.comity.after", "1");

/// How long we believe that a server offers no stream: it may have learnt to meanwhile.
const BELIEVED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whether this answer to `GET /version` offers a stream.
#[must_use]
pub fn is_offered(body: &Bytes) -> bool {
    let (key, value) = OFFER;
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let offer = answer.get("server").and_then(|server| server.get(key));
    offer.and_then(Value::as_str) == Some(value)
}

/// Whether a server should be asked, given what we know of it.
#[must_use]
pub fn is_due(known: Option<&PeerStream>, now: WallTime) -> bool {
    known.is_none_or(|known| known.cursor.is_none() && now.since(known.asked_at) > BELIEVED_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_words_are_an_offer() {
        let offered = |body: &str| is_offered(&Bytes::from(body.to_owned()));
        assert!(offered(
            r#"{"server":{"name":"X","version":"1","org.comity.after":"1"}}"#
        ));
        for other in [
            r#"{"server":{"name":"Synapse","version":"1.99"}}"#,
            r#"{"server":{"org.comity.after":"2"}}"#,
            r#"{"server":{"org.comity.after":1}}"#,
            r#"{"org.comity.after":"1"}"#,
            r#"{"server":[]}"#,
            "[]",
            "<html>",
        ] {
            assert!(!offered(other), "{other}");
        }
    }

    #[test]
    fn a_server_without_a_stream_is_asked_once_a_month() {
        let known = PeerStream {
            server: "one".try_into().unwrap(),
            asked_at: WallTime(1_000),
            cursor: None,
        };
        assert!(is_due(None, WallTime(1_000)));
        let month_later = WallTime(1_000).plus(BELIEVED_FOR);
        assert!(!is_due(Some(&known), month_later));
        assert!(is_due(
            Some(&known),
            month_later.plus(Duration::from_millis(1))
        ));
    }
}
