//! Which events of a room a user may see (client-server API, "Room history visibility").
//!
//! Whoever calls this has checked [`access`](super::access) and asks only for events up to the
//! user's departure: then the user was in the room at or after each of them.

use std::{borrow::Cow, sync::Arc};

use comity_core::{
    messaging::command::Events,
    pdu::{StateKey, event_type::HISTORY_VISIBILITY},
    persistence::tables::{SnapshotId, StoredEvent},
    transport::matrix_error::MatrixError,
};
use ruma_common::RoomId;
use serde_json::Value;

use super::{access::Access, session::Session};

impl Session<'_> {
    /// Those of the events that the user may see.
    pub(super) fn visible(
        &self,
        room_id: &RoomId,
        access: &Access,
        events: Events,
    ) -> Result<Events, MatrixError> {
        let mut visible = Vec::with_capacity(events.len());
        for event in events {
            if self.sees(room_id, access, &event)? {
                visible.push(event);
            }
        }
        Ok(visible)
    }

    /// Whether the user may see an event of the room.
    pub(super) fn sees(
        &self,
        room_id: &RoomId,
        access: &Access,
        event: &StoredEvent,
    ) -> Result<bool, MatrixError> {
        if access.covers(event) {
            return Ok(true);
        }
        match event.state {
            Some(state) => Ok(self.sees_in(state.before)? || self.sees_in(state.after)?),
            None => self.sees_untraced(room_id),
        }
    }

    fn sees_in(&self, snapshot: SnapshotId) -> Result<bool, MatrixError> {
        let rule = self.snapshot_event(snapshot, HISTORY_VISIBILITY, "")?;
        Ok(match &*visibility_of(rule.as_deref()) {
            "invited" => {
                ["join", "invite"].contains(&&*self.membership_in(snapshot, &self.user_id)?)
            }
            "joined" => self.membership_in(snapshot, &self.user_id)? == "join",
            _ => true,
        })
    }

    /// An event from before our server came, whose state we do not know: a peer gave it to our
    /// server under the rules of then; the rules of now must allow it too.
    fn sees_untraced(&self, room_id: &RoomId) -> Result<bool, MatrixError> {
        let key = StateKey::new(HISTORY_VISIBILITY, "");
        let rule: Option<Arc<StoredEvent>> = self.current_state_event(room_id, key)?;
        Ok(!["invited", "joined"].contains(&&*visibility_of(rule.as_deref())))
    }
}

impl Access {
    /// Whether the event is from while the user was in the room for certain.
    fn covers(&self, event: &StoredEvent) -> bool {
        match self {
            Self::Joined(since) => event.position.is_some_and(|position| position >= *since),
            Self::Left(_) => false,
        }
    }
}

/// What the room says; the default is `shared`.
fn visibility_of(event: Option<&StoredEvent>) -> Cow<'static, str> {
    let content = event.map(|event| event.pdu.content());
    match content.and_then(|mut content| content.remove("history_visibility")) {
        Some(Value::String(visibility)) => Cow::Owned(visibility),
        _ => Cow::Borrowed("shared"),
    }
}
