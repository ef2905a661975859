//! A store for tests: what a room's events became, without a database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::{
    WallTime,
    pdu::{Pdu, StateMap, explain::Archive},
    persistence::{
        queries::{Answer, LoadedRoom, Read, StoreError},
        tables::{
            EventState, Position, RoomRecord, ServerKeyRecord, SnapshotId, StateEntry, StoredEvent,
            Verdict,
        },
    },
};
use ruma_common::{OwnedEventId, OwnedServerName, OwnedUserId};

use crate::room::{Room, key};

/// What is stored of one room.
pub struct Shelf {
    pub events: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    /// What is current.
    pub state: StateMap,
    pub extremities: Vec<OwnedEventId>,
    /// Who is joined.
    pub joined: Vec<OwnedUserId>,
    /// Until when the key is valid with which all servers sign; no server's key is held without.
    pub keys_valid_until: Option<u64>,
    room: RoomRecord,
    states: Vec<StateMap>,
}

impl Shelf {
    /// All events of the room so far, as events whose history is not held.
    pub fn of(room: &Room) -> Self {
        let outlier = |event: &Arc<Pdu>| StoredEvent::outlier(event.clone(), Verdict::Accepted);
        Self {
            events: room
                .events
                .iter()
                .map(|(id, event)| (id.clone(), Arc::new(outlier(event))))
                .collect(),
            state: room.state.clone(),
            extremities: Vec::new(),
            joined: Vec::new(),
            keys_valid_until: Some(1_000_000),
            room: RoomRecord {
                room_id: room.create.room_id().to_owned(),
                version: room.version,
                extremities: Vec::new(),
                current: SnapshotId(0),
                least_depth: 1,
            },
            states: Vec::new(),
        }
    }

    /// Stores an event with the states around it.
    pub fn put(&mut self, event: &Arc<Pdu>, verdict: Verdict, before: &StateMap, after: &StateMap) {
        let state = EventState {
            before: self.name(before),
            after: self.name(after),
        };
        let shown = verdict == Verdict::Accepted;
        let position = i64::try_from(self.states.len()).unwrap();
        let stored = StoredEvent {
            state: Some(state),
            position: shown.then_some(Position(position)),
            ..StoredEvent::outlier(event.clone(), verdict)
        };
        self.replace(stored);
    }

    /// Stores an event as it is given.
    pub fn replace(&mut self, event: StoredEvent) {
        self.events
            .insert(event.pdu.event_id().to_owned(), Arc::new(event));
    }

    pub fn archive(&self) -> Archive<'_> {
        Archive::new(|read| self.answer(read), None)
    }

    /// States are numbered from 1; the current one is 0.
    fn name(&mut self, state: &StateMap) -> SnapshotId {
        self.states.push(state.clone());
        SnapshotId(u64::try_from(self.states.len()).unwrap())
    }

    fn answer(&self, read: Read) -> Result<Answer, StoreError> {
        Ok(match read {
            Read::Events(ids) => Answer::Events(self.held(ids)),
            Read::AuthChain(ids) => Answer::Events(self.auth_chain(ids)),
            Read::Snapshot(SnapshotId(0)) => Answer::State(Some(entries(&self.state))),
            Read::Snapshot(SnapshotId(number)) => {
                let state = self.states.get(usize::try_from(number).unwrap() - 1);
                Answer::State(state.map(entries))
            }
            Read::Room(room_id) => Answer::Room(self.room(&room_id)),
            Read::ServerKeys(server) => Answer::Keys(self.keys(server)),
            Read::Ancestors(asked) => self.listed(asked.limit, |event| {
                !event.is_outlier() && !event.verdict.is_rejected()
            }),
            Read::Timeline { limit, .. } => self.listed(limit, |event| event.position.is_some()),
            Read::SetAside { limit, .. } => {
                self.listed(limit, |event| event.verdict != Verdict::Accepted)
            }
            other => panic!("{other:?} is not to be asked"),
        })
    }

    fn held(&self, ids: Vec<OwnedEventId>) -> Vec<Arc<StoredEvent>> {
        let held = ids.iter().filter_map(|id| self.events.get(id));
        held.cloned().collect()
    }

    fn auth_chain(&self, mut ids: Vec<OwnedEventId>) -> Vec<Arc<StoredEvent>> {
        let mut chain = BTreeSet::new();
        while let Some(id) = ids.pop() {
            let event = self.events.get(&id);
            if chain.insert(id) {
                let auth_events = event.into_iter().flat_map(|event| event.pdu.auth_events());
                ids.extend(auth_events.map(ToOwned::to_owned));
            }
        }
        self.held(chain.into_iter().collect())
    }

    fn room(&self, room_id: &ruma_common::RoomId) -> Option<Box<LoadedRoom>> {
        let room = LoadedRoom {
            record: RoomRecord {
                extremities: self.extremities.clone(),
                ..self.room.clone()
            },
            state: entries(&self.state),
            joined: self.joined.clone(),
        };
        (self.room.room_id == room_id).then(|| Box::new(room))
    }

    fn keys(&self, server: OwnedServerName) -> Vec<ServerKeyRecord> {
        let record = self.keys_valid_until.map(|valid_until| ServerKeyRecord {
            server,
            key_id: key().key_id().try_into().unwrap(),
            public: key().public_key(),
            valid_until: WallTime(valid_until),
            retired: false,
        });
        record.into_iter().collect()
    }

    /// The deepest first.
    fn listed(&self, limit: u32, which: impl Fn(&StoredEvent) -> bool) -> Answer {
        let mut events: Vec<_> = self.events.values().filter(|event| which(event)).collect();
        events.sort_by_key(|event| (event.pdu.depth(), event.pdu.origin_server_ts()));
        let newest = events
            .into_iter()
            .rev()
            .take(usize::try_from(limit).unwrap());
        Answer::Events(newest.cloned().collect())
    }
}

fn entries(state: &StateMap) -> Vec<StateEntry> {
    let entry =
        |(key, event_id): (comity_core::pdu::state::Entry<'_>, &ruma_common::EventId)| StateEntry {
            key: key.into(),
            event_id: event_id.to_owned(),
        };
    state.iter().map(entry).collect()
}
