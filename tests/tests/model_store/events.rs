//! Random events, of rooms where ids are hashes and of one where servers choose them.

use std::sync::Arc;

use comity_core::{
    pdu::{Pdu, RoomVersion, StateKey, event_text::EventText, hash, unpadded_base64},
    persistence::tables::{EventState, Position, SnapshotId, StateChange, StoredEvent, Verdict},
};
use comity_tests::rooms::Dice;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde_json::{Value, json};

/// How many events there are of each room.
const COUNT: usize = 12;

/// The rooms and their versions. In the last one the writes never say which version it has.
pub const ROOMS: [(&str, RoomVersion); 4] = [
    ("!hill:one", RoomVersion::V10),
    ("!vale:one", RoomVersion::V1),
    ("!lake:two", RoomVersion::V11),
    ("!moon:two", RoomVersion::V10),
];

pub const SERVERS: [&str; 3] = ["one", "two", "three.example"];

pub fn server(dice: &mut Dice) -> OwnedServerName {
    (*dice.pick(&SERVERS)).try_into().unwrap()
}

pub fn user(dice: &mut Dice) -> OwnedUserId {
    let user = *dice.pick(&["@ann:one", "@bob:one", "@carl:two"]);
    user.try_into().unwrap()
}

pub fn room(dice: &mut Dice) -> OwnedRoomId {
    dice.pick(&ROOMS).0.try_into().unwrap()
}

/// Everything that is written about.
pub struct Events {
    all: Vec<Arc<Pdu>>,
}

impl Events {
    pub fn roll(dice: &mut Dice) -> Self {
        let mut all: Vec<Arc<Pdu>> = Vec::new();
        for (room_id, version) in ROOMS {
            let count = if room_id == ROOMS[3].0 { 1 } else { COUNT };
            for number in 0..count {
                let event = event(&all, room_id, version, number, dice);
                all.push(Arc::new(event));
            }
        }
        Self { all }
    }

    pub fn pick(&self, dice: &mut Dice) -> &Arc<Pdu> {
        dice.pick(&self.all)
    }

    /// The id of one of them, or of an event that is nowhere.
    pub fn id(&self, dice: &mut Dice) -> OwnedEventId {
        match dice.once_in(15) {
            true => lost(dice),
            false => self.pick(dice).event_id().to_owned(),
        }
    }

    pub fn ids(&self, dice: &mut Dice) -> Vec<OwnedEventId> {
        (0..dice.below(4)).map(|_| self.id(dice)).collect()
    }

    /// A change to a state: mostly an event under its own key, now and then any under any.
    pub fn change(&self, dice: &mut Dice) -> StateChange {
        let states = self.all.iter().filter(|event| event.is_state());
        let event = dice.choose(states).unwrap();
        let key = StateKey::new(event.event_type(), event.state_key().unwrap());
        let event_id = match dice.below(8) {
            0 => None,
            1 => Some(self.id(dice)),
            _ => Some(event.event_id().to_owned()),
        };
        StateChange { key, event_id }
    }

    /// One of them as it may be stored.
    pub fn stored(&self, dice: &mut Dice) -> Arc<StoredEvent> {
        let event = self.pick(dice);
        let redacted_because = dice.once_in(8).then(|| self.id(dice));
        let pdu = match &redacted_because {
            Some(_) => Arc::new(event.redacted()),
            None => event.clone(),
        };
        let [before, after] = [0, 0].map(|_| SnapshotId(dice.below(9) as u64));
        let position = i64::try_from(dice.below(400)).unwrap() - 100;
        Arc::new(StoredEvent {
            pdu,
            verdict: verdict(dice),
            state: (!dice.once_in(3)).then_some(EventState { before, after }),
            position: (!dice.once_in(3)).then_some(Position(position)),
            redacted_because,
        })
    }
}

fn verdict(dice: &mut Dice) -> Verdict {
    match dice.below(7) {
        0 => Verdict::SoftFailed("late".to_owned()),
        2 => Verdict::unverified(),
        1 => Verdict::Rejected("denied".to_owned()),
        _ => Verdict::Accepted,
    }
}

fn lost(dice: &mut Dice) -> OwnedEventId {
    format!("$lost{}:one", dice.below(3)).try_into().unwrap()
}

/// Where servers choose ids, events may name others that come later, and themselves.
fn citations(before: &[Arc<Pdu>], version: RoomVersion, dice: &mut Dice) -> Value {
    let chosen = version == RoomVersion::V1;
    let ids = (0..dice.below(4)).map(|_| match dice.choose(before) {
        _ if chosen && dice.once_in(2) => format!("$v1-{}:one", dice.below(COUNT)),
        Some(event) if !dice.once_in(10) => event.event_id().to_string(),
        _ => lost(dice).to_string(),
    });
    let with_hash = |id: String| match chosen {
        true => json!([id, { "sha256": "x" }]),
        false => id.into(),
    };
    let ids: Vec<_> = ids.collect();
    ids.into_iter().map(with_hash).collect()
}

fn event(
    before: &[Arc<Pdu>],
    room_id: &str,
    version: RoomVersion,
    number: usize,
    dice: &mut Dice,
) -> Pdu {
    let mut event = json!({
        "room_id": room_id,
        "sender": user(dice),
        "depth": dice.below(6),
        "origin_server_ts": number,
        "prev_events": citations(before, version, dice),
        "auth_events": citations(before, version, dice),
        "signatures": {},
    });
    if version == RoomVersion::V1 {
        event["event_id"] = format!("$v1-{number}:one").into();
    }
    let fields = match dice.below(6) {
        0 => json!({
            "type": "m.room.member",
            "state_key": user(dice),
            "content": { "membership": *dice.pick(&["join", "leave", "invite"]) },
        }),
        1 => json!({ "type": "m.room.topic", "state_key": "", "content": { "topic": number } }),
        2 => redaction(before, version, dice),
        3 => json!({
            "type": "m.room.history_visibility",
            "state_key": "",
            "content": { "history_visibility": dice.pick_value(json!(["joined", "shared", 7])) },
        }),
        _ => json!({ "type": "m.room.message", "content": { "body": number } }),
    };
    let event = event.as_object_mut().unwrap();
    event.extend(fields.as_object().unwrap().clone());
    let text = EventText::from_object(event, version).unwrap();
    let hash = unpadded_base64::encode(&hash::content_hash(&text));
    event.insert("hashes".to_owned(), json!({ "sha256": hash }));
    Pdu::from_object(event.clone(), version).unwrap()
}

fn redaction(before: &[Arc<Pdu>], version: RoomVersion, dice: &mut Dice) -> Value {
    let target = match dice.choose(before) {
        Some(event) => event.event_id().to_owned(),
        None => lost(dice),
    };
    let mut event = json!({ "type": "m.room.redaction", "content": {} });
    match version == RoomVersion::V11 {
        true => event["content"]["redacts"] = json!(target),
        false => event["redacts"] = json!(target),
    }
    event
}
