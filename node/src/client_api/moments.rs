//! What is true for a moment: who types in which room, and who is there. It is in memory only.
//!
//! Every change gets a number, higher than any before the last start, so that a client that knows
//! an older number is told what there is now.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use super::event_format::object;

/// How many users' presence is known; beyond them, that of whoever was silent longest is forgotten.
const PRESENCE_MAX: usize = 10_000;

/// How long it is believed that a user of another server types, unless they say so again (EDU-1).
pub(super) const TYPING_TIME: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Moments(Mutex<State>);

#[derive(Debug)]
struct State {
    last: u64,
    typing: BTreeMap<OwnedRoomId, Typing>,
    presence: BTreeMap<OwnedUserId, Presence>,
    /// Whose presence changed with which number.
    order: BTreeMap<u64, OwnedUserId>,
}

#[derive(Debug, Default)]
struct Typing {
    changed: u64,
    /// Who, until when.
    users: BTreeMap<OwnedUserId, Instant>,
}

#[derive(Clone, Debug)]
struct Presence {
    changed: u64,
    presence: String,
    status_msg: Option<String>,
    currently_active: bool,
    last_active: Option<Instant>,
}

impl Default for Moments {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let last = since.map_or(0, |since| since.as_millis());
        Self(Mutex::new(State {
            last: u64::try_from(last).unwrap_or_default(),
            typing: BTreeMap::new(),
            presence: BTreeMap::new(),
            order: BTreeMap::new(),
        }))
    }
}

impl Moments {
    /// The number of the last change.
    pub(super) fn last(&self) -> u64 {
        let mut state = self.state();
        state.forget_typing(Instant::now());
        state.last
    }

    /// Notes until when a user types; `None` if they do not.
    pub(super) fn set_typing(&self, room_id: &RoomId, user_id: &UserId, until: Option<Instant>) {
        let mut state = self.state();
        let next = state.last + 1;
        let room = state.typing.entry(room_id.to_owned()).or_default();
        let is_change = match until {
            Some(until) => room.users.insert(user_id.to_owned(), until).is_none(),
            None => room.users.remove(user_id).is_some(),
        };
        if is_change {
            room.changed = next;
            state.last = next;
        }
    }

    /// Who types in a room, if that changed after a number.
    pub(super) fn typing(&self, room_id: &RoomId, after: u64) -> Option<Vec<OwnedUserId>> {
        let state = self.state();
        let room = state
            .typing
            .get(room_id)
            .filter(|room| room.changed > after)?;
        Some(room.users.keys().cloned().collect())
    }

    /// Notes what a user says of their presence, in the shape of an entry of `push`; tells whether
    /// it makes sense.
    pub(super) fn set_presence(&self, user_id: &UserId, said: &Value) -> bool {
        let presence = said.get("presence").and_then(Value::as_str);
        let known = ["online", "unavailable", "offline"];
        let Some(presence) = presence.filter(|presence| known.contains(presence)) else {
            return false;
        };
        let ago = said.get("last_active_ago").and_then(Value::as_u64);
        let active = |ago| Instant::now().checked_sub(Duration::from_millis(ago));
        let status_msg = said.get("status_msg").and_then(Value::as_str);
        let is_active = said.get("currently_active").and_then(Value::as_bool);
        let mut state = self.state();
        let changed = state.last + 1;
        state.last = changed;
        let new = Presence {
            changed,
            presence: presence.to_owned(),
            status_msg: status_msg.map(ToOwned::to_owned),
            currently_active: is_active.unwrap_or_default(),
            last_active: ago.and_then(active),
        };
        if let Some(old) = state.presence.insert(user_id.to_owned(), new) {
            state.order.remove(&old.changed);
        }
        state.order.insert(changed, user_id.to_owned());
        if state.order.len() > PRESENCE_MAX
            && let Some((_, forgotten)) = state.order.pop_first()
        {
            state.presence.remove(&forgotten);
        }
        true
    }

    /// A user's presence as the content of an event, if it is known.
    pub(super) fn presence(&self, user_id: &UserId) -> Option<Value> {
        self.state().presence.get(user_id).map(Presence::content)
    }

    /// Whose presence changed after a number, with what it is now.
    pub(super) fn presence_changes(&self, after: u64) -> Vec<(OwnedUserId, Value)> {
        let state = self.state();
        let changed = state.order.range(after.saturating_add(1)..);
        changed
            .filter_map(|(_, user_id)| {
                let presence = state.presence.get(user_id)?;
                Some((user_id.clone(), presence.content()))
            })
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_typing(&mut self, now: Instant) {
        for room in self.typing.values_mut() {
            let before = room.users.len();
            room.users.retain(|_, until| *until > now);
            if room.users.len() != before {
                self.last += 1;
                room.changed = self.last;
            }
        }
    }
}

impl Presence {
    fn content(&self) -> Value {
        let mut content = object(json!({
            "presence": self.presence,
            "currently_active": self.currently_active,
        }));
        if let Some(status_msg) = &self.status_msg {
            content.insert("status_msg".to_owned(), status_msg.as_str().into());
        }
        if let Some(last_active) = self.last_active {
            let ago = u64::try_from(last_active.elapsed().as_millis());
            content.insert("last_active_ago".to_owned(), ago.unwrap_or(u64::MAX).into());
        }
        Value::Object(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> &'static UserId {
        <&UserId>::try_from("@ann:one").unwrap()
    }

    fn room() -> &'static RoomId {
        <&RoomId>::try_from("!r:one").unwrap()
    }

    #[test]
    fn edu_1_whoever_types_is_forgotten_in_the_end() {
        let moments = Moments::default();
        let start = moments.last();
        moments.set_typing(room(), ann(), Some(Instant::now() + TYPING_TIME));
        assert_eq!(moments.typing(room(), start).unwrap(), [ann()]);
        assert_eq!(moments.typing(room(), moments.last()), None);
        moments.set_typing(room(), ann(), Some(Instant::now()));
        let before = moments.last() - 1;
        assert!(moments.typing(room(), before).unwrap().is_empty());
    }

    /// EDU-8.
    #[test]
    fn edu_2_the_last_word_about_a_user_counts_and_nonsense_does_not() {
        let moments = Moments::default();
        let start = moments.last();
        assert!(moments.set_presence(ann(), &json!({ "presence": "online" })));
        assert!(moments.set_presence(ann(), &json!({ "presence": "offline" })));
        assert!(!moments.set_presence(ann(), &json!({ "presence": "everywhere" })));
        let changes = moments.presence_changes(start);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].1["presence"], "offline");
        assert!(moments.presence_changes(moments.last()).is_empty());
    }
}
