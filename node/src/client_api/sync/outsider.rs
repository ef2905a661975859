//! Rooms that the user is invited to or knocks at: they see its stripped state and no more.

use comity_core::{
    pdu::event_type::MEMBER, persistence::tables::LocalMembership,
    transport::matrix_error::MatrixError,
};
use serde_json::{Value, json};

use super::super::{
    event_format::{STRIPPED_TYPES, stripped_event},
    session::Session,
};

impl Session<'_> {
    pub(super) fn invited_room(&self, membership: &LocalMembership) -> Result<Value, MatrixError> {
        let events = self.stripped_state(membership)?;
        Ok(json!({ "invite_state": { "events": events } }))
    }

    pub(super) fn knocked_room(&self, membership: &LocalMembership) -> Result<Value, MatrixError> {
        let events = self.stripped_state(membership)?;
        Ok(json!({ "knock_state": { "events": events } }))
    }

    /// As the inviting server gave it, or from our own copy of the room; the user's member event
    /// comes last.
    fn stripped_state(&self, membership: &LocalMembership) -> Result<Vec<Value>, MatrixError> {
        let mut events = membership.stripped_state.clone();
        if events.is_empty()
            && let Some(state) = membership.event.state
        {
            let inside = self.snapshot_events(state.before)?;
            let described = inside.iter().filter(|event| {
                let (event_type, state_key) = (event.pdu.event_type(), event.pdu.state_key());
                let is_inviter = state_key == Some(membership.event.pdu.sender().as_str());
                STRIPPED_TYPES.contains(&event_type) && (event_type != MEMBER || is_inviter)
            });
            events.extend(described.map(|event| stripped_event(event)));
        }
        let is_own = |event: &Value| {
            event.get("type").and_then(Value::as_str) == Some(MEMBER)
                && event.get("state_key").and_then(Value::as_str) == Some(self.user_id.as_str())
        };
        events.retain(|event| !is_own(event));
        events.push(stripped_event(&membership.event));
        Ok(events)
    }
}
