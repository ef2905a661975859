//! The authorisation rules, asked about any event in any state.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion,
    authorisation::{AuthEvent, check_auth_events, check_state},
    event_type::{ALIASES, CREATE, MEMBER},
};
use serde_json::{Map, Value, json};

use super::events::MadeUpRoom;

/// So many events at most.
const EVENTS_MAX: usize = 24;
/// What a person is told of a refusal fits on a page.
const REASON_MAX: usize = 4_096;

/// Lines of JSON are the fields of events: the first is the room's create event, the last is
/// judged by all before it. The first byte chooses the room version.
///
/// Checked besides the verdict's constancy: what every version forbids, read off the state by
/// other means than the rules'.
pub fn authorise(bytes: &[u8]) {
    let Some((version, text)) = bytes.split_first() else {
        return;
    };
    let mut room = MadeUpRoom::new(*version);
    let mut state: Vec<Arc<Pdu>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n').take(EVENTS_MAX) {
        let cited = state.iter().map(|event| event.event_id().as_str());
        let cited: Vec<_> = cited.take(10).collect();
        if let Some(event) = fields(line).and_then(|fields| room.event(fields, &cited)) {
            judge(&event, &state);
            take_in(&mut state, event);
        }
    }
}

fn fields(line: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(line).ok()
}

/// A later event for the same key replaces an earlier one.
fn take_in(state: &mut Vec<Arc<Pdu>>, event: Arc<Pdu>) {
    if let Some(state_key) = event.state_key() {
        state.retain(|other| !other.is_state_for(event.event_type(), state_key));
        state.push(event);
    }
}

fn judge(event: &Pdu, state: &Vec<Arc<Pdu>>) {
    let auth: Vec<_> = state
        .iter()
        .map(|event| AuthEvent {
            event,
            rejected: false,
        })
        .collect();
    let create = state.iter().find(|event| event.is_state_for(CREATE, ""));
    let create_auth = create.map(|event| AuthEvent {
        event,
        rejected: false,
    });
    if let Err(denied) = check_auth_events(event, &auth, create_auth) {
        check_reason(&denied.to_string());
    }
    let Some(create) = create else { return };
    let verdict = check_state(event, create, state);
    let mut more = state.clone();
    more.extend(unrelated(event.room_version()));
    assert_eq!(check_state(event, create, &more), verdict);
    match verdict {
        Ok(()) => check_allowed(event, create, state),
        Err(denied) => check_reason(&denied.to_string()),
    }
}

/// State that no rule speaks of.
fn unrelated(version: RoomVersion) -> Option<Arc<Pdu>> {
    let index = RoomVersion::SUPPORTED
        .iter()
        .position(|one| *one == version)?;
    let fields = fields(br#"{"type":"m.room.topic","state_key":"","content":{"topic":"x"}}"#)?;
    MadeUpRoom::new(u8::try_from(index).ok()?).event(fields, &[])
}

fn check_reason(reason: &str) {
    assert!(
        !reason.is_empty() && reason.len() < REASON_MAX,
        "{reason:?}"
    );
}

/// What no room version allows.
fn check_allowed(event: &Pdu, create: &Pdu, state: &[Arc<Pdu>]) {
    let closed = create.content().get("m.federate") == Some(&json!(false));
    let is_create = event.event_type() == CREATE;
    assert!(is_create || !closed || event.origin() == create.origin());
    let sender_is = membership(state, event.sender().as_str());
    match event.event_type() {
        CREATE => {}
        ALIASES if event.room_version().rules().aliases_of_servers => {}
        MEMBER => check_allowed_membership(event, &sender_is, state),
        _ => assert_eq!(sender_is, "join", "{event:?}"),
    }
}

fn check_allowed_membership(event: &Pdu, sender_is: &str, state: &[Arc<Pdu>]) {
    let target = event.state_key().unwrap_or_default();
    let target_was = membership(state, target);
    let is_own = event.sender() == target;
    match event.membership() {
        Some("join") => assert!(target_was != "ban" && (is_own || event.prev_events().len() == 1)),
        Some("invite") => assert_ne!(target_was, "ban"),
        Some("leave") if is_own => assert_ne!(target_was, "ban"),
        Some("leave" | "ban") => assert_eq!(sender_is, "join"),
        Some("knock") => assert!(is_own && event.room_version().rules().knock),
        other => assert_eq!(other, Some("join"), "no such membership"),
    }
}

fn membership(state: &[Arc<Pdu>], user: &str) -> String {
    let event = state.iter().find(|event| event.is_state_for(MEMBER, user));
    let membership = event.and_then(|event| event.content().get("membership").cloned());
    let membership = membership.as_ref().and_then(Value::as_str);
    membership.unwrap_or("leave").to_owned()
}
