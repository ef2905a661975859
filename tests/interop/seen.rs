//! What one user has seen: the fold of their incremental `sync` answers.
//!
//! Every timeline event is kept in the order of arrival. One that arrives twice is kept as a
//! repetition, since "exactly once" is what the suite is about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What `sync` has said about one room.
#[derive(Default)]
pub struct RoomSeen {
    /// `join`, `invite` or `leave`: the section of `sync` the room was last in.
    pub section: String,
    /// The timeline in order of arrival.
    pub timeline: Vec<Value>,
    /// Ids of timeline events that came more than once.
    pub repeated: Vec<String>,
    /// The stripped state of an invite.
    pub invite_state: Vec<Value>,
    ids: BTreeSet<String>,
}

/// A hole between what was seen of a room and the newest timeline section.
pub struct Gap {
    pub room: String,
    pub prev_batch: String,
    /// The section after the hole, to be absorbed when the hole is filled.
    pub after: Vec<Value>,
}

/// Everything one user has seen.
#[derive(Default)]
pub struct Seen {
    rooms: BTreeMap<String, RoomSeen>,
}

impl Seen {
    /// What is known of a room; empty before it is first mentioned.
    pub fn room(&self, room: &str) -> &RoomSeen {
        static NOTHING: RoomSeen = RoomSeen::nothing();
        self.rooms.get(room).unwrap_or(&NOTHING)
    }

    /// Takes in one `sync` answer. Gaps it leaves are the caller's to fill, through [`Self::add`].
    pub fn absorb(&mut self, answer: &Value) -> Vec<Gap> {
        let sections = &answer["rooms"];
        for (id, room) in entries(&sections["invite"]) {
            let seen = self.room_mut(id);
            seen.section = "invite".to_owned();
            seen.invite_state = list(&room["invite_state"]["events"]);
        }
        let mut gaps = Vec::new();
        for section in ["join", "leave"] {
            for (id, room) in entries(&sections[section]) {
                gaps.extend(self.absorb_timeline(section, id, &room["timeline"]));
            }
        }
        gaps
    }

    /// Appends timeline events of a room.
    pub fn add(&mut self, room: &str, events: &[Value]) {
        let seen = self.room_mut(room);
        for event in events {
            let id = event["event_id"].as_str().unwrap_or_default().to_owned();
            if seen.ids.insert(id.clone()) {
                seen.timeline.push(event.clone());
            } else {
                seen.repeated.push(id);
            }
        }
    }

    /// A limited timeline in a room one was in all along is a gap; in a room newly entered it is
    /// where the timeline begins.
    fn absorb_timeline(&mut self, section: &str, id: &str, timeline: &Value) -> Option<Gap> {
        let seen = self.room_mut(id);
        let was_joined = std::mem::replace(&mut seen.section, section.to_owned()) == "join";
        let events = list(&timeline["events"]);
        let prev_batch = timeline["prev_batch"].as_str().map(str::to_owned);
        let limited = timeline["limited"].as_bool().unwrap_or(false);
        if limited
            && was_joined
            && let Some(prev_batch) = prev_batch
        {
            return Some(Gap {
                room: id.to_owned(),
                prev_batch,
                after: events,
            });
        }
        if !was_joined && section == "join" {
            *seen = RoomSeen {
                section: section.to_owned(),
                ..RoomSeen::nothing()
            };
        }
        self.add(id, &events);
        None
    }

    fn room_mut(&mut self, room: &str) -> &mut RoomSeen {
        self.rooms
            .entry(room.to_owned())
            .or_insert_with(RoomSeen::nothing)
    }
}

impl RoomSeen {
    const fn nothing() -> Self {
        Self {
            section: String::new(),
            timeline: Vec::new(),
            repeated: Vec::new(),
            invite_state: Vec::new(),
            ids: BTreeSet::new(),
        }
    }

    /// Whether this event of the timeline says in what way the user is in the room.
    pub fn is_membership_of(&self, user: &str, event_id: &str) -> bool {
        self.timeline.iter().any(|event| {
            event["event_id"] == event_id
                && event["type"] == "m.room.member"
                && event["state_key"] == user
        })
    }

    /// Whether an event with this id is in the timeline.
    pub fn has(&self, event: &str) -> bool {
        self.ids.contains(event)
    }

    /// The text messages of one sender, in order of arrival.
    pub fn words_of(&self, sender: &str) -> Vec<&str> {
        let messages = self
            .timeline
            .iter()
            .filter(|event| event["type"] == "m.room.message");
        messages
            .filter(|event| event["sender"] == sender)
            .filter_map(|event| event["content"]["body"].as_str())
            .collect()
    }

    /// The last membership of a user that the timeline shows.
    pub fn membership_of(&self, user: &str) -> Option<&str> {
        let members = self
            .timeline
            .iter()
            .filter(|event| event["type"] == "m.room.member");
        members
            .filter(|event| event["state_key"] == user)
            .filter_map(|event| event["content"]["membership"].as_str())
            .next_back()
    }
}

fn entries(section: &Value) -> impl Iterator<Item = (&String, &Value)> {
    section.as_object().into_iter().flatten()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
