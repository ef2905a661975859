//! What is true for a moment, such as that somebody types: kept in memory only, and while it waits
//! only the newest word about each thing.
//!
//! On the wire the messages are as few as their shapes allow: all presence is one, and receipts are
//! one unless a user has several in a room, of different threads (EDU-3).

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{messaging::command::Content, pdu::canonical_json::to_canonical_string};

/// How many moments wait for one destination; at the bound the oldest is dropped.
pub const WAITING_MAX: usize = 200;

/// How many ephemeral messages about moments one transaction holds at most: the other places are
/// for messages that must not be lost.
pub const MESSAGES_MAX: usize = 20;

/// How many of them are receipts (TXN-19).
const RECEIPTS_MAX: usize = 5;

/// How many users one presence message speaks of (TXN-19).
const PRESENCE_MAX: usize = 50;

/// One thing that is true for a moment.
#[derive(Debug, PartialEq)]
pub struct Moment {
    about: About,
    value: Value,
}

/// What a moment is about. A newer one about the same takes its place.
#[derive(Debug, PartialEq)]
enum About {
    /// Whether a user types in a room; the value is the message's content.
    Typing { room_id: String, user_id: String },
    /// How far a user has read in a room; the value is what stands under the user.
    Receipt(Receipt),
    /// Whether a user is there; the value is an entry of `push`.
    Presence { user_id: String },
    /// Nothing that is known here; the value is the whole message.
    Other,
}

#[derive(Debug, PartialEq)]
struct Receipt {
    room_id: String,
    receipt_type: String,
    user_id: String,
    thread_id: Option<String>,
}

impl Receipt {
    /// A message with this receipt alone.
    fn message(&self, value: Value) -> Receipts {
        let users = BTreeMap::from([(self.user_id.clone(), value)]);
        let types = BTreeMap::from([(self.receipt_type.clone(), users)]);
        BTreeMap::from([(self.room_id.clone(), types)])
    }
}

impl Moment {
    /// The moments that a message speaks of.
    #[must_use]
    pub fn all_of(edu_type: &str, content: &Content) -> Vec<Arc<Self>> {
        let known = match edu_type {
            "m.typing" => typing(content).map(|about| {
                let value = Value::Object(content.clone());
                vec![Self { about, value }]
            }),
            "m.receipt" => receipts(content),
            "m.presence" => presence(content),
            _ => None,
        };
        let moments = known.unwrap_or_else(|| {
            let value = json!({ "edu_type": edu_type, "content": content });
            let about = About::Other;
            vec![Self { about, value }]
        });
        moments.into_iter().map(Arc::new).collect()
    }

    /// Whether the two speak of one thing.
    fn replaces(&self, other: &Self) -> bool {
        !matches!(self.about, About::Other) && self.about == other.about
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(ToOwned::to_owned)
}

fn typing(content: &Content) -> Option<About> {
    Some(About::Typing {
        room_id: text(content.get("room_id"))?,
        user_id: text(content.get("user_id"))?,
    })
}

fn presence(content: &Content) -> Option<Vec<Moment>> {
    let users = content.get("push")?.as_array()?.iter();
    users
        .map(|value| {
            let user_id = text(value.get("user_id"))?;
            let (about, value) = (About::Presence { user_id }, value.clone());
            Some(Moment { about, value })
        })
        .collect()
}

/// Receipts stand by room, then by type, then by user.
fn receipts(content: &Content) -> Option<Vec<Moment>> {
    let mut found = Vec::new();
    for (room_id, types) in content {
        for (receipt_type, users) in types.as_object()? {
            for (user_id, value) in users.as_object()? {
                let receipt = Receipt {
                    room_id: room_id.clone(),
                    receipt_type: receipt_type.clone(),
                    user_id: user_id.clone(),
                    thread_id: text(value.pointer("/data/thread_id")),
                };
                let (about, value) = (About::Receipt(receipt), value.clone());
                found.push(Moment { about, value });
            }
        }
    }
    Some(found)
}

/// The moments that wait for one destination, those that wait longest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Arc<Moment>>);

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, moment: &Arc<Moment>) {
        if let Some(older) = self.0.iter_mut().find(|older| moment.replaces(older)) {
            *older = moment.clone();
            return;
        }
        if self.0.len() >= WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back(moment.clone());
    }

    /// Takes out what one transaction has room for, as canonical JSON.
    pub(super) fn take(&mut self) -> Vec<Arc<str>> {
        let mut messages = Messages::default();
        self.0.retain(|moment| !messages.take_in(moment));
        messages.into_texts()
    }

    pub(super) fn drop_all(&mut self) {
        self.0 = VecDeque::new();
    }
}

/// The content of a receipt message: by room, then by type, then by user.
type Receipts = BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>;

/// Messages that are being put together.
#[derive(Default)]
struct Messages {
    presence: Vec<Value>,
    receipts: Vec<Receipts>,
    others: Vec<Value>,
}

impl Messages {
    /// Whether there was room for this one.
    fn take_in(&mut self, moment: &Moment) -> bool {
        match &moment.about {
            About::Presence { .. } => {
                let has_room = self.presence.len() < PRESENCE_MAX;
                if has_room {
                    self.presence.push(moment.value.clone());
                }
                has_room
            }
            About::Receipt(receipt) => self.take_in_receipt(receipt, &moment.value),
            About::Typing { .. } => {
                self.take_in_other(|| json!({ "edu_type": "m.typing", "content": moment.value }))
            }
            About::Other => self.take_in_other(|| moment.value.clone()),
        }
    }

    fn take_in_other(&mut self, message: impl FnOnce() -> Value) -> bool {
        let has_room = self.others.len() < MESSAGES_MAX - RECEIPTS_MAX - 1;
        if has_room {
            self.others.push(message());
        }
        has_room
    }

    /// Puts a receipt into the first message that holds no other one of this user in this room.
    fn take_in_receipt(&mut self, receipt: &Receipt, value: &Value) -> bool {
        for message in &mut self.receipts {
            let types = message.entry(receipt.room_id.clone()).or_default();
            let users = types.entry(receipt.receipt_type.clone()).or_default();
            if let Entry::Vacant(place) = users.entry(receipt.user_id.clone()) {
                place.insert(value.clone());
                return true;
            }
        }
        let has_room = self.receipts.len() < RECEIPTS_MAX;
        if has_room {
            self.receipts.push(receipt.message(value.clone()));
        }
        has_room
    }

    fn into_texts(self) -> Vec<Arc<str>> {
        let presence = (!self.presence.is_empty())
            .then(|| json!({ "edu_type": "m.presence", "content": { "push": self.presence } }));
        let receipts = self.receipts.into_iter();
        let receipts =
            receipts.map(|content| json!({ "edu_type": "m.receipt", "content": content }));
        let all = presence.into_iter().chain(receipts).chain(self.others);
        all.map(|message| to_canonical_string(&message).into())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(said: &[(&str, Value)]) -> Vec<Value> {
        let mut waiting = Waiting::default();
        add(&mut waiting, said);
        taken(&mut waiting)
    }

    fn add(waiting: &mut Waiting, said: &[(&str, Value)]) {
        for (edu_type, content) in said {
            for moment in Moment::all_of(edu_type, content.as_object().unwrap()) {
                waiting.add(&moment);
            }
        }
    }

    fn taken(waiting: &mut Waiting) -> Vec<Value> {
        let texts = waiting.take().into_iter();
        texts
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    fn typing(user: &str, typing: bool) -> (&'static str, Value) {
        let content = json!({ "room_id": "!r:one", "user_id": user, "typing": typing });
        ("m.typing", content)
    }

    fn receipt(room: &str, user: &str, event: &str, thread: Option<&str>) -> (&'static str, Value) {
        let mut data = json!({ "ts": 1 });
        if let Some(thread) = thread {
            data["thread_id"] = thread.into();
        }
        let receipt = json!({ "event_ids": [event], "data": data });
        (
            "m.receipt",
            json!({ room: { "m.read": { user: receipt } } }),
        )
    }

    fn presence(user: &str, presence: &str) -> (&'static str, Value) {
        let content = json!({ "push": [{ "user_id": user, "presence": presence }] });
        ("m.presence", content)
    }

    /// EDU-1
    #[test]
    fn the_newest_word_about_who_types_counts() {
        let said = [
            typing("@a:one", true),
            typing("@b:one", true),
            typing("@a:one", false),
        ];
        let texts = texts(&said);
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[0]["content"], said[2].1);
        assert_eq!(texts[1]["content"], said[1].1);
    }

    /// EDU-3, TXN-19
    #[test]
    fn receipts_are_one_message_unless_they_are_of_several_threads() {
        let texts = texts(&[
            receipt("!r:one", "@a:one", "$1", None),
            receipt("!r:one", "@a:one", "$2", None),
            receipt("!r:one", "@b:one", "$2", None),
            receipt("!s:one", "@a:one", "$3", None),
            receipt("!r:one", "@a:one", "$4", Some("$4")),
        ]);
        assert_eq!(texts.len(), 2);
        let read = |text: &Value, room: &str, user: &str| {
            text["content"][room]["m.read"][user]["event_ids"][0].clone()
        };
        assert_eq!(read(&texts[0], "!r:one", "@a:one"), "$2");
        assert_eq!(read(&texts[0], "!r:one", "@b:one"), "$2");
        assert_eq!(read(&texts[0], "!s:one", "@a:one"), "$3");
        assert_eq!(read(&texts[1], "!r:one", "@a:one"), "$4");
    }

    /// EDU-2, TXN-19
    #[test]
    fn presence_is_one_message_of_at_most_fifty_users() {
        let said: Vec<_> = (0..60)
            .map(|number| presence(&format!("@u{number}:one"), "online"))
            .chain([presence("@u7:one", "offline")])
            .collect();
        let mut waiting = Waiting::default();
        add(&mut waiting, &said);
        let first = taken(&mut waiting);
        assert_eq!(first.len(), 1);
        let users = first[0]["content"]["push"].as_array().unwrap();
        assert_eq!(
            (users.len(), &users[7]["presence"]),
            (50, &json!("offline"))
        );
        let rest = taken(&mut waiting);
        assert_eq!(rest[0]["content"]["push"].as_array().unwrap().len(), 10);
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_is_not_known_is_sent_as_it_is_and_never_replaced() {
        let odd = ("m.typing", json!({ "user_id": 7 }));
        let new = ("org.example.wave", json!({ "to": "you" }));
        let texts = texts(&[odd.clone(), odd.clone(), new]);
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[1], json!({ "edu_type": odd.0, "content": odd.1 }));
    }

    #[test]
    fn only_so_many_wait_and_only_so_many_go_at_once() {
        let mut waiting = Waiting::default();
        let said: Vec<_> = (0..WAITING_MAX + 50)
            .map(|number| typing(&format!("@u{number}:one"), true))
            .collect();
        add(&mut waiting, &said);
        assert_eq!(waiting.0.len(), WAITING_MAX);
        let first = taken(&mut waiting);
        assert!(first.len() <= MESSAGES_MAX);
        assert_eq!(first[0]["content"]["user_id"], "@u50:one");
    }
}
