//! Events and canonical JSON.

use std::collections::BTreeMap;

use comity_core::pdu::{
    Pdu, RoomVersion,
    canonical_json::{JsonError, parse, to_canonical_string},
    format::{MAX_AUTH_EVENTS, MAX_EVENT_BYTES, MAX_PREV_EVENTS},
    signing::{required_signers, verify_event},
};
use serde_json::Value;

/// What is read as canonical JSON is written in one way only, and is what another parser reads.
pub fn canonical_json(bytes: &[u8]) {
    let by_another: Result<Value, _> = serde_json::from_slice(bytes);
    match parse(bytes) {
        Ok(value) => {
            let has_minus_zero = bytes.windows(2).any(|pair| pair == b"-0");
            assert!(has_minus_zero || by_another.is_ok_and(|other| other == value));
            let text = to_canonical_string(&value);
            assert_eq!(parse(text.as_bytes()), Ok(value), "{text}");
            assert_eq!(again_text(&text), text);
        }
        Err(JsonError::Syntax(_) | JsonError::Encoding(_)) => assert!(by_another.is_err()),
        Err(_) => {}
    }
}

/// An event that is accepted keeps its id, however often it is stored, read back and redacted.
pub fn pdu_from_bytes(bytes: &[u8]) {
    for version in RoomVersion::SUPPORTED {
        if let Ok(event) = Pdu::parse(bytes, *version) {
            check(&event);
        }
    }
}

fn check(event: &Pdu) {
    assert!(event.json().len() <= MAX_EVENT_BYTES);
    assert!(event.prev_events().len() <= MAX_PREV_EVENTS);
    assert!(event.auth_events().len() <= MAX_AUTH_EVENTS);

    let version = event.room_version();
    let again = Pdu::parse(event.json(), version);
    assert_eq!(again.ok().as_ref(), Some(event), "read otherwise");
    let stored = Pdu::from_stored(event.event_id().to_owned(), event.json(), version);
    assert_eq!(stored.ok().as_ref(), Some(event));

    let redacted = event.redacted();
    let parsed = Pdu::parse(redacted.json(), version);
    assert_eq!(
        parsed.as_ref().map(Pdu::event_id).ok(),
        Some(event.event_id())
    );
    assert_eq!(redacted.redacted(), redacted);

    // Nobody's keys are known, so nobody can have signed.
    let is_genuine = verify_event(event, &BTreeMap::new()).is_ok();
    let somebody_signs = required_signers(event).map(|mut signers| signers.next().is_some());
    assert!(!is_genuine || somebody_signs == Ok(false));
    let _ = event.has_claimed_content();
}

fn again_text(text: &str) -> String {
    parse(text.as_bytes())
        .map(|value| to_canonical_string(&value))
        .unwrap_or_default()
}
