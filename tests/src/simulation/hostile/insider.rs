//! What a hostile server knows of a room that it is in, and events made from that.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    WallTime,
    keys::OwnKeys,
    pdu::{
        Pdu, RoomVersion, StateKey, StateMap,
        auth_content::AuthContent,
        auth_events::{Selector, from_state},
        build::{self, EventTemplate},
        format::MAX_PREV_EVENTS,
        room_version::EventIds,
        signing::SigningKey,
    },
    persistence::{
        queries::{Answer, Direction, Read},
        tables::{SnapshotId, StoredEvent},
    },
};
use ruma_common::{OwnedEventId, OwnedServerName, OwnedUserId, RoomId};
use serde_json::{Value, json};

use crate::simulation::server::Server;

/// How many events of the past it looks back on.
const PAST_MAX: u32 = 50;

/// A room as a server in it sees it.
pub struct Insider {
    own: OwnKeys,
    /// The room's version.
    pub version: RoomVersion,
    /// The user in whose name it lies.
    pub user: OwnedUserId,
    /// The room's current state.
    pub state: Vec<Arc<StoredEvent>>,
    /// What was said in it lately, with the state after each.
    pub past: Vec<(Arc<StoredEvent>, Vec<Arc<StoredEvent>>)>,
    /// The ends of its graph.
    pub ends: Vec<Place>,
    now: WallTime,
    room_id: ruma_common::OwnedRoomId,
    hashes: BTreeMap<OwnedEventId, [u8; 32]>,
}

/// A place in the graph: an event and its depth.
pub type Place = (OwnedEventId, u64);

/// An event in the making; all that is not said follows from the room as it is.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Its type.
    pub event_type: &'static str,
    /// Its state key.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Value,
    /// What it builds on.
    pub previous: Option<Vec<Place>>,
    /// What it says authorises it.
    pub auth: Option<Vec<OwnedEventId>>,
    /// Its depth.
    pub depth: Option<u64>,
    /// How many seconds from now it is made.
    pub seconds: i64,
}

impl Draft {
    /// Something said.
    pub fn message(text: impl Into<String>) -> Self {
        Self {
            event_type: "m.room.message",
            content: json!({ "msgtype": "m.text", "body": text.into() }),
            ..Self::default()
        }
    }

    /// A piece of state without a key.
    pub fn state(event_type: &'static str, content: Value) -> Self {
        Self {
            event_type,
            state_key: Some(String::new()),
            content,
            ..Self::default()
        }
    }

    /// The same, building on other events.
    pub fn after(self, previous: &[Place]) -> Self {
        Self {
            previous: Some(previous.to_vec()),
            ..self
        }
    }
}

impl Insider {
    /// A room as this server sees it, if a user of it ever was there; `with_past` if that matters.
    pub fn of(
        server: &mut Server,
        room_id: &RoomId,
        now: WallTime,
        with_past: bool,
    ) -> Option<Self> {
        let Answer::Room(Some(loaded)) = server.read(Read::Room(room_id.to_owned())) else {
            return None;
        };
        let record = loaded.record;
        let state = server.current_state(room_id);
        let own_member = |event: &&Arc<StoredEvent>| {
            event.pdu.membership().is_some()
                && event.pdu.origin() == server.name
                && event.pdu.state_key() == Some(event.pdu.sender().as_str())
        };
        let own: Vec<_> = state.iter().filter(own_member).collect();
        let joined = |event: &&&Arc<StoredEvent>| event.pdu.membership() == Some("join");
        let member = own.iter().find(joined).or(own.first())?;
        let user = member.pdu.sender().to_owned();
        let ends = server.events(Read::Events(record.extremities.clone()));
        let past = match with_past {
            true => past(server, room_id),
            false => Vec::new(),
        };
        let known = state.iter().chain(&ends);
        let known = known.chain(past.iter().map(|(event, _)| event));
        let hashes = build::reference_hashes(known.map(|event| &*event.pdu));
        Some(Self {
            own: server.own_keys(),
            version: record.version,
            user,
            ends: ends.iter().map(|end| place(&end.pdu)).collect(),
            past,
            hashes,
            now,
            room_id: room_id.to_owned(),
            state,
        })
    }

    /// The room.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// When that is.
    pub fn now(&self) -> WallTime {
        self.now
    }

    /// The other servers that are in the room.
    pub fn peers(&self) -> Vec<OwnedServerName> {
        let joined = self
            .state
            .iter()
            .filter(|event| event.pdu.membership() == Some("join"));
        let mut peers: Vec<_> = joined
            .filter_map(|event| {
                let user: OwnedUserId = event.pdu.state_key()?.try_into().ok()?;
                Some(user.server_name().to_owned())
            })
            .filter(|server| server != self.own.server_name())
            .collect();
        peers.sort();
        peers.dedup();
        peers
    }

    /// Whose server it is, and its key.
    pub fn own(&self) -> &OwnKeys {
        &self.own
    }

    /// Whether servers choose the ids of events here.
    pub fn ids_are_chosen(&self) -> bool {
        self.version.rules().event_ids == EventIds::Chosen
    }

    /// What would authorise an event in a state.
    pub fn authorisation(&self, draft: &Draft, state: &[Arc<StoredEvent>]) -> Vec<OwnedEventId> {
        let content = draft.content.as_object().cloned().unwrap_or_default();
        let auth_content = AuthContent::read(draft.event_type, &content, self.version);
        let selector = Selector {
            event_type: draft.event_type,
            state_key: draft.state_key.as_deref(),
            sender: &self.user,
            content: &auth_content,
        };
        let mut map = StateMap::new();
        for event in state {
            let key = StateKey::new(
                event.pdu.event_type(),
                event.pdu.state_key().unwrap_or_default(),
            );
            map.insert(key, event.pdu.event_id().to_owned());
        }
        from_state(selector, self.version, &map)
    }

    /// The event of a draft, signed.
    pub fn sign(&self, draft: &Draft) -> Pdu {
        let ends = || self.ends.iter().take(MAX_PREV_EVENTS).cloned().collect();
        let previous = draft.previous.clone().unwrap_or_else(ends);
        let auth = draft.auth.clone();
        let auth_events = auth.unwrap_or_else(|| self.authorisation(draft, &self.state));
        let depths = previous.iter().map(|(_, depth)| *depth);
        let named = previous.iter().map(|(id, _)| id).chain(&auth_events);
        let hash = |id: &OwnedEventId| self.hashes.get(id).copied().unwrap_or_default();
        let template = EventTemplate {
            reference_hashes: named.map(|id| (id.clone(), hash(id))).collect(),
            room_id: Some(self.room_id.clone()),
            sender: self.user.clone(),
            event_type: draft.event_type.to_owned(),
            state_key: draft.state_key.clone(),
            content: draft.content.as_object().cloned().unwrap_or_default(),
            redacts: None,
            depth: draft.depth.unwrap_or_else(|| build::depth_after(depths)),
            prev_events: previous.iter().map(|(id, _)| id.clone()).collect(),
            auth_events,
            origin_server_ts: self.now.to_i64().saturating_add(draft.seconds * 1_000),
        };
        let (name, key) = (self.own.server_name(), self.own.signing_key());
        build::build(template, self.version, name, key).expect("a lie in the right format")
    }

    /// The event with something changed, signed anew.
    pub fn resigned(&self, event: &Pdu, change: impl FnOnce(&mut Value)) -> Pdu {
        self.signed_with(self.own.signing_key(), event, change)
    }

    /// The event, signed with a retired key.
    pub fn signed_long_ago(&self, event: &Pdu) -> Pdu {
        self.signed_with(&super::retired_key().0, event, |_| ())
    }

    fn signed_with(&self, key: &SigningKey, event: &Pdu, change: impl FnOnce(&mut Value)) -> Pdu {
        let mut object = Value::Object(event.object());
        object["signatures"] = json!({});
        change(&mut object);
        let object = object.as_object().cloned().unwrap_or_default();
        let event = Pdu::from_object(object, self.version).expect("a lie in the right format");
        let name = self.own.server_name();
        event.signed_by(name, key).expect("it is not too large")
    }

    /// How events of the room name one that nobody has.
    pub fn nowhere(&self, number: usize) -> OwnedEventId {
        let id = match self.ids_are_chosen() {
            true => format!("$nowhere{number}:{}", self.own.server_name()),
            false => format!("${number:0>43}"),
        };
        id.try_into().expect("an event id")
    }
}

/// The place of an event.
pub fn place(event: &Pdu) -> Place {
    (event.event_id().to_owned(), event.depth())
}

/// What was said in a room lately, each with the state after it.
fn past(server: &mut Server, room_id: &RoomId) -> Vec<(Arc<StoredEvent>, Vec<Arc<StoredEvent>>)> {
    let read = Read::Timeline {
        room_id: room_id.to_owned(),
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: PAST_MAX,
    };
    let mut states: BTreeMap<SnapshotId, Vec<Arc<StoredEvent>>> = BTreeMap::new();
    let mut past = Vec::new();
    for event in server.events(read) {
        let Some(around) = event.state else {
            continue;
        };
        let state = states
            .entry(around.after)
            .or_insert_with(|| server.events(Read::SnapshotEvents(around.after)));
        past.push((event, state.clone()));
    }
    past
}
