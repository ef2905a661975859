//! Events as clients see them (client-server API, "Room event format").

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use comity_core::{
    messaging::command::Content,
    pdu::event_type::{CREATE, REDACTION},
    persistence::tables::StoredEvent,
    transport::matrix_error::MatrixError,
};
use serde_json::{Value, json};

use super::{errors, session::Session};

/// The state events by which somebody outside a room recognises it (client-server API,
/// "Stripped state").
pub(super) const STRIPPED_TYPES: [&str; 8] = [
    CREATE,
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    "m.room.member",
];

/// A JSON object that is to be added to; anything else is an empty one.
pub(super) fn object(value: Value) -> Content {
    match value {
        Value::Object(object) => object,
        _ => Content::new(),
    }
}

/// An event without what only the user or the moment adds.
pub(super) fn bare_event(event: &StoredEvent) -> Content {
    let pdu = &event.pdu;
    let mut client_event = Content::new();
    let mut set = |key: &str, value: Value| client_event.insert(key.to_owned(), value);
    set("event_id", pdu.event_id().as_str().into());
    set("room_id", pdu.room_id().as_str().into());
    set("type", pdu.event_type().into());
    set("sender", pdu.sender().as_str().into());
    set("origin_server_ts", pdu.origin_server_ts().into());
    set("content", Value::Object(pdu.content()));
    if let Some(state_key) = pdu.state_key() {
        set("state_key", state_key.into());
    }
    if pdu.event_type() == REDACTION {
        name_redacted(event, &mut client_event);
    }
    client_event
}

/// A redaction names its target in its content and beside it, for newer and older clients.
fn name_redacted(event: &StoredEvent, client_event: &mut Content) {
    let Some(redacts) = event.pdu.redacts() else {
        return;
    };
    client_event.insert("redacts".to_owned(), redacts.as_str().into());
    if let Some(Value::Object(content)) = client_event.get_mut("content") {
        content.insert("redacts".to_owned(), redacts.as_str().into());
    }
}

/// A state event stripped for somebody outside the room.
pub(super) fn stripped_event(event: &StoredEvent) -> Value {
    let pdu = &event.pdu;
    json!({
        "type": pdu.event_type(),
        "state_key": pdu.state_key(),
        "sender": pdu.sender(),
        "content": pdu.content(),
    })
}

impl Session<'_> {
    /// The event as the user sees it; a state event with what it replaced.
    pub(super) fn client_event(&self, event: &StoredEvent) -> Result<Value, MatrixError> {
        let mut unsigned = self.unsigned(event)?;
        self.add_replaced(event, &mut unsigned)?;
        Ok(with_unsigned(event, unsigned))
    }

    /// The events of a timeline, in the order given.
    pub(super) fn client_events(
        &self,
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<Value>, MatrixError> {
        events
            .iter()
            .map(|event| self.client_event(event))
            .collect()
    }

    /// The events of a state, in the order given. What each of them replaced is left out: nobody
    /// asks for it there, and it would take one more state to read for each.
    pub(super) fn state_events(
        &self,
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<Value>, MatrixError> {
        let format = |event: &Arc<StoredEvent>| Ok(with_unsigned(event, self.unsigned(event)?));
        events.iter().map(format).collect()
    }

    fn unsigned(&self, event: &StoredEvent) -> Result<Content, MatrixError> {
        let mut unsigned = Content::new();
        unsigned.insert("age".to_owned(), age(event).into());
        if *event.pdu.sender() == *self.user_id {
            let event_id = event.pdu.event_id().as_str();
            let transaction_id = self.api.accounts.transaction_of(&self.caller, event_id);
            if let Some(transaction_id) = transaction_id.map_err(errors::from_accounts)? {
                unsigned.insert("transaction_id".to_owned(), transaction_id.into());
            }
        }
        if let Some(redaction) = &event.redacted_because
            && let Some(redaction) = self.event(redaction)?
        {
            unsigned.insert(
                "redacted_because".to_owned(),
                Value::Object(bare_event(&redaction)),
            );
        }
        Ok(unsigned)
    }

    /// For a state event, what it replaced.
    fn add_replaced(&self, event: &StoredEvent, unsigned: &mut Content) -> Result<(), MatrixError> {
        let (Some(state), Some(state_key)) = (event.state, event.pdu.state_key()) else {
            return Ok(());
        };
        let replaced = self.snapshot_event(state.before, event.pdu.event_type(), state_key)?;
        if let Some(replaced) = replaced {
            let content = Value::Object(replaced.pdu.content());
            unsigned.insert("prev_content".to_owned(), content);
            let event_id = replaced.pdu.event_id().as_str();
            unsigned.insert("replaces_state".to_owned(), event_id.into());
        }
        Ok(())
    }
}

fn with_unsigned(event: &StoredEvent, unsigned: Content) -> Value {
    let mut client_event = bare_event(event);
    client_event.insert("unsigned".to_owned(), Value::Object(unsigned));
    Value::Object(client_event)
}

/// Milliseconds since the event was made, if its server's clock and ours are right.
fn age(event: &StoredEvent) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let made = u128::try_from(event.pdu.origin_server_ts()).unwrap_or_default();
    u64::try_from(now.saturating_sub(made)).unwrap_or_default()
}
