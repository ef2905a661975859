//! What hostile servers push.

use comity_core::{
    pdu::{Pdu, format::MAX_DEPTH},
    transport::remote_request::Endpoint,
};
use ruma_common::{OwnedEventId, OwnedUserId};
use serde_json::{Value, json};

use super::insider::{Draft, Insider, Place, place};
use crate::{rooms::Dice, simulation::plan::lies::Ruse};

/// The body of a transaction.
#[derive(Clone, Debug, Default)]
pub(in crate::simulation) struct Parcel {
    /// Its id.
    pub id: String,
    /// Its events.
    pub events: Vec<String>,
    /// Its ephemeral messages.
    pub edus: Vec<Value>,
}

impl Parcel {
    /// Its JSON.
    pub(in crate::simulation) fn body(&self) -> String {
        let edus = Value::Array(self.edus.clone());
        let events = self.events.join(",");
        format!(r#"{{"origin":"liar","origin_server_ts":1,"pdus":[{events}],"edus":{edus}}}"#)
    }
}

impl From<Parcel> for Endpoint {
    fn from(parcel: Parcel) -> Self {
        Self::SendTransaction {
            transaction_id: parcel.id.as_str().into(),
            body: parcel.body().into(),
        }
    }
}

/// A tale: what is pushed of it, and what is told only to those who ask.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Tale {
    /// What is pushed; it has no id yet.
    pub parcel: Parcel,
    /// What others may ask for.
    pub withheld: Vec<Pdu>,
    /// Whether nobody can know any more what is true.
    pub misleads: bool,
}

impl Tale {
    fn of(events: impl IntoIterator<Item = Pdu>) -> Self {
        Self::texts(events.into_iter().map(|event| event.json().to_owned()))
    }

    fn texts(events: impl IntoIterator<Item = String>) -> Self {
        let parcel = Parcel {
            events: events.into_iter().collect(),
            ..Parcel::default()
        };
        Self {
            parcel,
            ..Self::default()
        }
    }

    fn one(event: Pdu) -> Self {
        Self::of([event])
    }

    fn edus(edus: Vec<Value>) -> Self {
        let parcel = Parcel {
            edus,
            ..Parcel::default()
        };
        Self {
            parcel,
            ..Self::default()
        }
    }
}

/// Makes up what is pushed into a room; `other` is another room, if there is one.
pub(in crate::simulation) fn tell(
    ruse: Ruse,
    room: &Insider,
    other: Option<&Insider>,
    dice: &mut Dice,
) -> Tale {
    let text = format!("{ruse} {}", dice.below(1_000_000));
    let draft = Draft::message(text);
    match ruse {
        Ruse::Unsigned => altered(&room.sign(&draft), |event| event["signatures"] = json!({})),
        Ruse::WrongSignature => altered(&room.sign(&draft), |event| {
            for (_, signature) in event["signatures"][room.own().server_name().as_str()]
                .as_object_mut()
                .into_iter()
                .flatten()
            {
                *signature = "A".repeat(86).into();
            }
        }),
        Ruse::RetiredKey => Tale::one(room.signed_long_ago(&room.sign(&draft))),
        Ruse::Impersonation => impersonation(room, &draft, dice),
        Ruse::AlteredContent => altered(&any_event(room, draft, dice), |event| {
            event["content"]["body"] = "altered".into();
        }),
        Ruse::WrongHash => Tale::one(room.resigned(&room.sign(&draft), |event| {
            event["hashes"]["sha256"] = "A".repeat(43).into();
        })),
        Ruse::LacksAuthorisation
        | Ruse::ForeignAuthorisation
        | Ruse::UnknownAuthorisation
        | Ruse::DeniedByState
        | Ruse::OldBranch => Tale::one(room.sign(&misplaced(ruse, room, other, draft, dice))),
        Ruse::Denied => Tale::one(room.sign(&denied(room, dice))),
        Ruse::BuiltOnDenied => {
            let first = room.sign(&denied(room, dice));
            let second = room.sign(&draft.after(&[place(&first)]));
            Tale::of([first, second])
        }
        Ruse::Fork(width) => Tale::of((0..width).map(|branch| {
            let draft = Draft::message(format!("branch {branch}"));
            any_event(room, draft, dice)
        })),
        Ruse::Equivocation => Tale::one(any_event(room, draft, dice)),
        Ruse::Circle => circle(room, &draft, dice),
        Ruse::SameId => same_id(room, &draft, dice),
        Ruse::Depth(depth) => deep(room, draft, depth),
        Ruse::Orphan => {
            let nowhere = (room.nowhere(dice.below(1_000)), dice.below(100) as u64);
            Tale::one(room.sign(&draft.after(&[nowhere])))
        }
        Ruse::Chain(length) => chain(room, length),
        Ruse::ForeignPast => foreign_past(room, other, draft),
        Ruse::WrongTime(seconds) => Tale::one(room.sign(&Draft { seconds, ..draft })),
        Ruse::Malformed => malformed(&room.sign(&draft)),
        Ruse::FalseEdus => false_edus(room),
        Ruse::TooMany => {
            let event = room.sign(&draft).json().to_owned();
            Tale::texts((0..51).map(|_| event.clone()))
        }
        Ruse::Replay | Ruse::ReusedId | Ruse::Flood(_) => Tale::one(room.sign(&draft)),
    }
}

/// An event with something changed after it was signed.
fn altered(event: &Pdu, change: impl FnOnce(&mut Value)) -> Tale {
    let mut object = Value::Object(event.object());
    change(&mut object);
    Tale::texts([object.to_string()])
}

/// A message, or a piece of state, which may be allowed or not.
fn any_event(room: &Insider, message: Draft, dice: &mut Dice) -> Pdu {
    let number = dice.below(1_000_000).to_string();
    let draft = match dice.below(4) {
        0 => Draft::state("m.room.topic", json!({ "topic": number })),
        1 => Draft {
            event_type: "m.room.member",
            state_key: Some(room.user.to_string()),
            content: json!({ "membership": "join", "displayname": number }),
            ..Draft::default()
        },
        _ => message,
    };
    room.sign(&draft)
}

/// A state event that no rule allows: a join in the name of another.
fn denied(room: &Insider, dice: &mut Dice) -> Draft {
    let victim = others(room, dice).unwrap_or_else(|| room.user.clone());
    let membership = *dice.pick(&["join", "knock", "nonsense"]);
    Draft {
        event_type: "m.room.member",
        state_key: Some(victim.to_string()),
        content: json!({ "membership": membership, "displayname": "Fooled" }),
        ..Draft::default()
    }
}

/// A user of another server in the room.
fn others(room: &Insider, dice: &mut Dice) -> Option<OwnedUserId> {
    let own = room.own().server_name();
    let members = room
        .state
        .iter()
        .filter(|event| event.pdu.membership().is_some());
    let users = members.filter_map(|event| OwnedUserId::try_from(event.pdu.state_key()?).ok());
    dice.choose(users.filter(|user| user.server_name() != own))
}

/// An event in another server's name: signed by the liar as itself, or as that server.
fn impersonation(room: &Insider, draft: &Draft, dice: &mut Dice) -> Tale {
    let event = room.sign(draft);
    let Some(victim) = others(room, dice) else {
        return Tale::one(event);
    };
    let as_itself = dice.once_in(2);
    let mut auth = Vec::new();
    let of_victim = room
        .state
        .iter()
        .find(|event| event.pdu.state_key() == Some(victim.as_str()));
    let own = room.user.as_str();
    for event in &room.state {
        let named = event.pdu.state_key() == Some(own) && event.pdu.membership().is_some();
        auth.extend(named.then(|| event.pdu.event_id().to_owned()));
    }
    let forged = room.resigned(&event, |event| {
        event["sender"] = victim.as_str().into();
        if let (Some(of_victim), false) = (of_victim, room.ids_are_chosen()) {
            let ids = event["auth_events"].as_array().cloned().unwrap_or_default();
            let others = ids
                .into_iter()
                .filter(|id| auth.iter().all(|own| id != own.as_str()));
            let of_victim = Value::from(of_victim.pdu.event_id().as_str());
            event["auth_events"] = others.chain([of_victim]).collect();
        }
    });
    altered(&forged, |event| {
        if !as_itself {
            let own = event["signatures"][room.own().server_name().as_str()].clone();
            event["signatures"][victim.server_name().as_str()] = own;
        }
    })
}

/// An event with other auth events or previous events than it should have.
fn misplaced(
    ruse: Ruse,
    room: &Insider,
    other: Option<&Insider>,
    draft: Draft,
    dice: &mut Dice,
) -> Draft {
    let mut auth = room.authorisation(&draft, &room.state);
    let of_type = |room: &Insider, event_type: &str| -> Option<Place> {
        let mut events = room.state.iter();
        let event = events.find(|event| event.pdu.event_type() == event_type)?;
        Some(place(&event.pdu))
    };
    let is_own = |id: &OwnedEventId| {
        let mut members = room.state.iter();
        members.any(|event| {
            event.pdu.event_id() == id && event.pdu.state_key() == Some(room.user.as_str())
        })
    };
    match ruse {
        Ruse::LacksAuthorisation => auth.retain(|id| !is_own(id)),
        Ruse::UnknownAuthorisation => auth.push(room.nowhere(dice.below(1_000))),
        Ruse::ForeignAuthorisation => {
            let foreign = other.and_then(|other| of_type(other, "m.room.join_rules"));
            auth.extend(foreign.map(|(id, _)| id));
        }
        Ruse::OldBranch => {
            if let Some((event, state)) = dice.choose(room.past.iter()) {
                auth = room.authorisation(&draft, state);
                return Draft {
                    auth: Some(auth),
                    ..draft.after(&[place(&event.pdu)])
                };
            }
        }
        _ => {
            let create = of_type(room, "m.room.create");
            return Draft {
                auth: Some(auth),
                previous: create.map(|create| vec![create]),
                ..draft
            };
        }
    }
    Draft {
        auth: Some(auth),
        ..draft
    }
}

/// Two events that build on each other; where ids are hashes there is no such thing, and two that
/// build on nothing known must do.
fn circle(room: &Insider, draft: &Draft, dice: &mut Dice) -> Tale {
    let number = dice.below(1_000_000);
    let id = |half: &str| match room.ids_are_chosen() {
        true => format!("$circle{number}{half}:{}", room.own().server_name())
            .try_into()
            .expect("an event id"),
        false => room.nowhere(number),
    };
    let half = |own: &str, other: &str| {
        let event = room.sign(&draft.clone().after(&[(id(other), 50)]));
        match room.ids_are_chosen() {
            true => room.resigned(&event, |event| event["event_id"] = json!(id(own))),
            false => event,
        }
    };
    let halves = [half("a", "b"), half("b", "a")];
    Tale {
        withheld: halves.to_vec(),
        ..Tale::of(halves)
    }
}

/// Two events with one id; where ids are hashes, one twice.
fn same_id(room: &Insider, draft: &Draft, dice: &mut Dice) -> Tale {
    let first = room.sign(draft);
    let other = any_event(room, Draft::message("the other"), dice);
    if !room.ids_are_chosen() {
        return Tale::of([first.clone(), first]);
    }
    let second = room.resigned(&other, |event| event["event_id"] = json!(first.event_id()));
    let mut events = vec![first, second];
    if dice.once_in(2) {
        events.pop();
    }
    Tale {
        misleads: true,
        ..Tale::of(events)
    }
}

fn deep(room: &Insider, draft: Draft, depth: u64) -> Tale {
    let event = room.sign(&Draft {
        depth: Some(depth.min(MAX_DEPTH)),
        ..draft
    });
    match depth > MAX_DEPTH {
        true => altered(&event, |event| event["depth"] = depth.into()),
        false => Tale::one(event),
    }
}

/// Events in a row, of which the last is pushed.
fn chain(room: &Insider, length: u8) -> Tale {
    let mut row: Vec<Pdu> = Vec::new();
    for number in 0..length {
        let draft = Draft::message(format!("link {number}"));
        let draft = match row.last() {
            Some(last) => draft.after(&[place(last)]),
            None => draft,
        };
        row.push(room.sign(&draft));
    }
    let last = row.pop();
    Tale {
        withheld: row,
        ..Tale::of(last)
    }
}

/// An event that builds on one of another room, which is told to those who ask.
fn foreign_past(room: &Insider, other: Option<&Insider>, draft: Draft) -> Tale {
    let Some(other) = other else {
        return Tale::one(room.sign(&draft));
    };
    let foreign = other.sign(&Draft::message("elsewhere"));
    let mut previous = room.ends.clone();
    previous.truncate(1);
    previous.push(place(&foreign));
    let held = other.ends.first().cloned();
    let event = match held {
        Some(held) if foreign.depth() % 2 == 0 => room.sign(&draft.after(&[held])),
        _ => room.sign(&draft.after(&previous)),
    };
    Tale {
        withheld: vec![foreign],
        ..Tale::one(event)
    }
}

fn malformed(event: &Pdu) -> Tale {
    let with = |key: &str, value: Value| {
        let mut object = Value::Object(event.object());
        object[key] = value;
        object.to_string()
    };
    Tale::texts([
        "{}".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        "null".to_owned(),
        with("depth", json!(-1)),
        with("prev_events", json!("none")),
        with("auth_events", json!([[], 7])),
        with("sender", json!("nobody")),
        with("type", json!(null)),
        with("content", json!([])),
        with("room_id", json!("!elsewhere:nowhere")),
        with("room_id", json!({})),
        with("content", json!({ "body": "x".repeat(70_000) })),
        with("hashes", json!({ "sha256": "no base64!" })),
        with("signatures", json!(7)),
        event.json().to_owned(),
    ])
}

fn false_edus(room: &Insider) -> Tale {
    let room_id = room.state.first().map(|event| event.pdu.room_id());
    let peers = room.peers();
    let victims = peers.iter().map(|peer| format!("@ann:{peer}"));
    let mut edus: Vec<_> = victims
        .map(|user| {
            let content = json!({ "room_id": room_id, "user_id": user, "typing": true });
            json!({ "edu_type": "m.typing", "content": content })
        })
        .collect();
    let receipt = json!({ "m.read": { "@ann:one": { "data": {}, "event_ids": ["$x"] } } });
    edus.extend([
        json!({ "edu_type": "m.receipt", "content": { "!x:y": receipt } }),
        json!({ "edu_type": 7, "content": [] }),
        json!({ "edu_type": "m.typing", "content": { "typing": "yes" } }),
        json!("nothing"),
    ]);
    Tale::edus(edus)
}
