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

/// How long it is believed that a user of another server is there, unless their server says so
/// again …
const PRESENCE_TIME: Duration = Duration::from_secs(30 * 60);
/// … and how often we say so again of ours.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(25 * 60);

const OFFLINE: &str = "offline";

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
    /// The users of ours who are there, as long as they ask for news.
    attending: BTreeMap<OwnedUserId, Attendance>,
}

#[derive(Clone, Copy, Debug)]
struct Attendance {
    until: Instant,
    /// When others were told.
    told: Instant,
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
    /// Until when it is believed that a user of another server is there.
    believed_until: Option<Instant>,
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
            attending: BTreeMap::new(),
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

    /// Notes what a user of ours says of their presence, in the shape of an entry of `push`; tells
    /// whether it makes sense.
    pub(super) fn set_presence(&self, user_id: &UserId, said: &Value) -> bool {
        self.state().set_presence(user_id, said, None)
    }

    /// The same of a user of another server.
    pub(super) fn hear_presence(&self, user_id: &UserId, said: &Value) -> bool {
        let until = Instant::now() + PRESENCE_TIME;
        self.state().set_presence(user_id, said, Some(until))
    }

    /// Notes that a user of ours is there, in what way, and until when if they ask for no more news.
    /// Gives what others are to be told, in the shape of an entry of `push`, if it is new to them.
    pub(super) fn attend(&self, user_id: &UserId, presence: &str, until: Instant) -> Option<Value> {
        let (mut state, now) = (self.state(), Instant::now());
        let known = state.attending.get(user_id).copied();
        let is_same = state.says(user_id, presence);
        let is_told = |known: &Attendance| is_same && now - known.told < TOLD_AGAIN_AFTER;
        let told_before = known.filter(is_told).map(|known| known.told);
        let attendance = Attendance {
            until: known.map_or(until, |known| known.until.max(until)),
            told: told_before.unwrap_or(now),
        };
        state.attending.insert(user_id.to_owned(), attendance);
        told_before.is_none().then(|| state.say(user_id, presence))
    }

    /// Notes who is no longer there: users of ours who ask for no more news, and users of other
    /// servers of whom nothing is said any more. Gives what others are to be told of ours.
    pub(super) fn let_go(&self, now: Instant) -> Vec<(OwnedUserId, Value)> {
        let mut state = self.state();
        let is_silent = |known: &Presence| known.believed_until.is_some_and(|until| until <= now);
        let silent = state.presence.iter();
        let silent = silent.filter(|(_, known)| is_silent(known) && known.presence != OFFLINE);
        let silent: Vec<_> = silent.map(|(user_id, _)| user_id.clone()).collect();
        for user_id in silent {
            state.say(&user_id, OFFLINE);
        }
        let gone = state
            .attending
            .extract_if(.., |_, known| known.until <= now);
        let gone: Vec<_> = gone.map(|(user_id, _)| user_id).collect();
        gone.into_iter()
            .filter(|user_id| !state.says(user_id, OFFLINE))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|user_id| {
                let said = state.say(&user_id, OFFLINE);
                (user_id, said)
            })
            .collect()
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
    fn says(&self, user_id: &UserId, presence: &str) -> bool {
        let known = self.presence.get(user_id);
        known.is_some_and(|known| known.presence == presence)
    }

    /// Changes a user's presence and nothing else that they said; gives the whole of it.
    fn say(&mut self, user_id: &UserId, presence: &str) -> Value {
        let known = self.presence.get(user_id);
        let mut said = object(json!({
            "user_id": user_id,
            "presence": presence,
            "currently_active": presence == "online",
        }));
        match presence {
            OFFLINE => drop(known.and_then(|known| {
                let ago = known.ago()?;
                said.insert("last_active_ago".to_owned(), ago.into())
            })),
            _ => drop(said.insert("last_active_ago".to_owned(), 0.into())),
        }
        if let Some(status_msg) = known.and_then(|known| known.status_msg.clone()) {
            said.insert("status_msg".to_owned(), status_msg.into());
        }
        let said = Value::Object(said);
        self.set_presence(user_id, &said, None);
        said
    }

    fn set_presence(
        &mut self,
        user_id: &UserId,
        said: &Value,
        believed_until: Option<Instant>,
    ) -> bool {
        let presence = said.get("presence").and_then(Value::as_str);
        let known = ["online", "unavailable", OFFLINE];
        let Some(presence) = presence.filter(|presence| known.contains(presence)) else {
            return false;
        };
        let ago = said.get("last_active_ago").and_then(Value::as_u64);
        let active = |ago| Instant::now().checked_sub(Duration::from_millis(ago));
        let status_msg = said.get("status_msg").and_then(Value::as_str);
        let is_active = said.get("currently_active").and_then(Value::as_bool);
        let changed = self.last + 1;
        self.last = changed;
        let new = Presence {
            changed,
            presence: presence.to_owned(),
            status_msg: status_msg.map(ToOwned::to_owned),
            currently_active: is_active.unwrap_or_default(),
            last_active: ago.and_then(active),
            believed_until,
        };
        if let Some(old) = self.presence.insert(user_id.to_owned(), new) {
            self.order.remove(&old.changed);
        }
        self.order.insert(changed, user_id.to_owned());
        if self.order.len() > PRESENCE_MAX
            && let Some((_, forgotten)) = self.order.pop_first()
        {
            self.presence.remove(&forgotten);
        }
        true
    }

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
        if let Some(ago) = self.ago() {
            content.insert("last_active_ago".to_owned(), ago.into());
        }
        Value::Object(content)
    }

    /// How many milliseconds ago the user did something.
    fn ago(&self) -> Option<u64> {
        let ago = self.last_active?.elapsed().as_millis();
        Some(u64::try_from(ago).unwrap_or(u64::MAX))
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

    #[test]
    fn edu_2_who_asks_for_news_is_there_and_who_asks_no_more_is_not() {
        let (moments, now) = (Moments::default(), Instant::now());
        let soon = now + Duration::from_secs(60);
        moments.set_presence(
            ann(),
            &json!({ "presence": "offline", "status_msg": "tea" }),
        );
        let told = moments.attend(ann(), "online", soon).unwrap();
        assert_eq!(
            (&told["presence"], &told["status_msg"]),
            (&json!("online"), &json!("tea"))
        );
        assert_eq!(moments.attend(ann(), "online", soon), None, "that is known");
        assert!(moments.attend(ann(), "unavailable", now).is_some());
        assert_eq!(moments.let_go(now), [], "the latest time counts");
        let gone = moments.let_go(soon);
        assert_eq!(
            (gone[0].0.as_str(), &gone[0].1["presence"]),
            ("@ann:one", &json!("offline"))
        );
        assert_eq!(moments.presence(ann()).unwrap()["presence"], "offline");
        assert_eq!(moments.let_go(soon), []);
        assert!(moments.attend(ann(), "online", soon).is_some());
    }

    #[test]
    fn edu_2_a_user_of_whom_no_more_is_heard_is_not_there() {
        let (moments, start) = (Moments::default(), Instant::now());
        moments.hear_presence(ann(), &json!({ "presence": "online" }));
        let told = moments.let_go(start + PRESENCE_TIME - Duration::from_secs(60));
        assert_eq!(told, []);
        assert_eq!(moments.presence(ann()).unwrap()["presence"], "online");
        let told = moments.let_go(start + PRESENCE_TIME + Duration::from_secs(60));
        assert_eq!(told, [], "their server tells the others");
        assert_eq!(moments.presence(ann()).unwrap()["presence"], "offline");
    }
}
