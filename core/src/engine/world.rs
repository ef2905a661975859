//! What the engine knows without asking: the state that decisions read and outcomes change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ruma_common::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};

use super::{cache::Cache, outcome::Outcome};
use crate::{
    keys::{OwnKeys, ring::KeyRing},
    messaging::settings::Settings,
    messaging::status::{HeldBytes, Lookups},
    pdu::{RoomVersion, StateMap, place::NamedState, state::UserSet},
    persistence::{
        queries::{Boot, LoadedRoom, Write},
        tables::{InboxId, JoinRecord, Position, RoomRecord, SnapshotId, StoredEvent},
    },
    time::Monotonic,
    transport::discovery::Directory,
};

const EVENTS_KEPT: usize = 50_000;
const EVENT_BYTES_KEPT: usize = 512 << 20;
const STATES_KEPT: usize = 4_000;
const FAILURES_KEPT: usize = 50_000;

/// So many failures in so long a time make an event not worth another try.
const FAILURES_MAX: u32 = 3;
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(60);

/// The engine's memory.
#[derive(Debug)]
pub struct World {
    /// Who we are and what we sign with.
    pub own: OwnKeys,
    /// What was chosen of how we take part in rooms.
    pub settings: Settings,
    /// Where new names come from.
    pub seed: [u8; 32],
    /// The last numbers taken.
    pub counters: Counters,
    /// The keys of other servers.
    pub keys: KeyRing,
    /// Where other servers are.
    pub directory: Directory,
    rooms: BTreeMap<OwnedRoomId, Room>,
    /// The joins that were handed in and have not ended.
    joins: BTreeMap<OwnedRoomId, JoinUnderWay>,
    events: Cache<OwnedEventId, Arc<StoredEvent>>,
    states: Cache<SnapshotId, StateMap>,
    failures: Cache<OwnedEventId, Failures>,
}

/// A join that was handed in: we may be in its room.
#[derive(Debug)]
struct JoinUnderWay {
    user_id: OwnedUserId,
    version: RoomVersion,
    /// Once it was taken without the members of the room: who is in that.
    servers: Option<BTreeSet<OwnedServerName>>,
}

/// How often an event was not taken in, since when.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Monotonic,
    /// Whether the last of them was for lack of something.
    for_lack: bool,
}

/// The last numbers taken. A decision copies them, takes more, and hands them back in its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    snapshot: SnapshotId,
    newest: Position,
    oldest: Position,
    inbox: InboxId,
}

impl Counters {
    /// A snapshot id never used before.
    pub fn snapshot(&mut self) -> SnapshotId {
        self.snapshot.0 += 1;
        self.snapshot
    }

    /// An id for a reliable EDU, after all others.
    pub fn inbox(&mut self) -> InboxId {
        self.inbox.0 += 1;
        self.inbox
    }

    /// A position after all others.
    pub fn newest(&mut self) -> Position {
        self.newest.0 += 1;
        self.newest
    }

    /// A position before all others.
    pub fn oldest(&mut self) -> Position {
        self.oldest.0 -= 1;
        self.oldest
    }
}

impl From<&Boot> for Counters {
    fn from(boot: &Boot) -> Self {
        Self {
            snapshot: boot.last_snapshot,
            newest: boot.newest_position,
            oldest: boot.oldest_position,
            inbox: boot.last_inbox,
        }
    }
}

/// A room that we take part in, as it stands.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
    /// The ends of its graph.
    pub extremities: BTreeSet<OwnedEventId>,
    /// The name of its current state …
    pub current: SnapshotId,
    /// … and that state.
    pub state: StateMap,
    /// Who is joined in it.
    pub joined: UserSet,
    /// The servers of those who are joined, with how many each has.
    pub servers: BTreeMap<OwnedServerName, usize>,
    /// See [`RoomRecord::least_depth`].
    pub least_depth: u64,
}

impl Room {
    /// A room without an event yet.
    #[must_use]
    pub fn new(room_id: OwnedRoomId, version: RoomVersion) -> Self {
        Self {
            room_id,
            version,
            extremities: BTreeSet::new(),
            current: SnapshotId::default(),
            state: StateMap::default(),
            joined: UserSet::default(),
            servers: BTreeMap::new(),
            least_depth: 0,
        }
    }

    /// Whether one of `server`'s users is joined.
    #[must_use]
    pub fn has_server(&self, server: &ServerName) -> bool {
        self.servers.contains_key(server)
    }

    /// Its current state with its name.
    #[must_use]
    pub fn current_state(&self) -> NamedState {
        NamedState {
            id: self.current,
            state: self.state.clone(),
        }
    }

    /// Notes that a user's membership is now joined, or no longer.
    pub fn set_joined(&mut self, user_id: &OwnedUserId, joined: bool) {
        let server = user_id.server_name().to_owned();
        if joined {
            if self.joined.insert(user_id) {
                *self.servers.entry(server).or_default() += 1;
            }
        } else if self.joined.remove(user_id)
            && let Some(count) = self.servers.get_mut(&server)
        {
            *count -= 1;
            if *count == 0 {
                self.servers.remove(&server);
            }
        }
    }

    /// The row that says how the room stands.
    #[must_use]
    pub fn record(&self) -> RoomRecord {
        RoomRecord {
            room_id: self.room_id.clone(),
            version: self.version,
            extremities: self.extremities.iter().cloned().collect(),
            current: self.current,
            least_depth: self.least_depth,
        }
    }
}

impl From<LoadedRoom> for Room {
    fn from(loaded: LoadedRoom) -> Self {
        let mut room = Self::new(loaded.record.room_id, loaded.record.version);
        room.least_depth = loaded.record.least_depth;
        room.extremities = loaded.record.extremities.into_iter().collect();
        room.current = loaded.record.current;
        room.state = loaded
            .state
            .into_iter()
            .map(|entry| (entry.key, entry.event_id))
            .collect();
        room.joined = loaded.joined.into_iter().collect();
        for user_id in room.joined.iter() {
            let server = user_id.server_name().to_owned();
            *room.servers.entry(server).or_default() += 1;
        }
        room
    }
}

impl World {
    pub(crate) fn new(own: OwnKeys, settings: Settings, seed: [u8; 32]) -> Self {
        Self {
            settings,
            seed,
            own,
            counters: Counters::default(),
            keys: KeyRing::default(),
            directory: Directory::default(),
            rooms: BTreeMap::new(),
            joins: BTreeMap::new(),
            events: Cache::weighed(EVENTS_KEPT, EVENT_BYTES_KEPT, |it| it.pdu.json().len()),
            states: Cache::new(STATES_KEPT),
            failures: Cache::new(FAILURES_KEPT),
        }
    }

    /// Every room that is loaded.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// How many bytes the events are that are kept here.
    pub(crate) fn held(&self) -> HeldBytes {
        HeldBytes::new(self.events.bytes(), EVENT_BYTES_KEPT)
    }

    /// How often something was looked for here, by what it was.
    pub(crate) fn lookups(&self) -> BTreeMap<&'static str, Lookups> {
        [
            ("events", self.events.lookups()),
            ("states", self.states.lookups()),
            ("keys", self.keys.lookups()),
            ("addresses", self.directory.lookups()),
        ]
        .into()
    }

    /// How much is kept here, by what it is: events, states, and servers with their keys or
    /// addresses.
    pub(crate) fn kept(&self) -> BTreeMap<&'static str, u64> {
        [
            ("events", self.events.count()),
            ("states", self.states.count()),
            ("keys", self.keys.count()),
            ("addresses", self.directory.count()),
        ]
        .map(|(what, count)| (what, count as u64))
        .into()
    }

    pub(crate) fn room(&self, room_id: &RoomId) -> Option<&Room> {
        self.rooms.get(room_id)
    }

    /// The version of a room for which a join of ours was handed in that has not ended.
    pub(crate) fn version_joined(&self, room_id: &RoomId) -> Option<RoomVersion> {
        self.joins.get(room_id).map(|join| join.version)
    }

    /// Whose join of a room was taken without its members, which have not come yet.
    pub(crate) fn joined_in_part(&self, room_id: &RoomId) -> Option<&UserId> {
        let join = self.joins.get(room_id);
        let join = join.filter(|join| join.servers.is_some());
        join.map(|join| &*join.user_id)
    }

    /// Whether a server is said to be in a room that was joined so.
    pub(crate) fn is_said_to_be_in(&self, room_id: &RoomId, server: &ServerName) -> bool {
        let join = self.joins.get(room_id);
        let servers = join.and_then(|join| join.servers.as_ref());
        servers.is_some_and(|servers| servers.contains(server))
    }

    /// Notes that a join was handed in.
    pub(crate) fn note_join(&mut self, join: &JoinRecord) {
        let taken = join.taken.as_ref();
        let servers = taken.map(|taken| taken.servers.iter().chain([&join.server]));
        let under_way = JoinUnderWay {
            user_id: join.event.sender().to_owned(),
            version: join.event.room_version(),
            servers: servers.map(|servers| servers.cloned().collect()),
        };
        let room_id = join.event.room_id().to_owned();
        self.joins.insert(room_id, under_way);
    }

    pub(crate) fn event(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        self.events.get(event_id)
    }

    pub(crate) fn state(&self, snapshot: SnapshotId) -> Option<&StateMap> {
        self.states.get(&snapshot)
    }

    /// Takes in a room that the store loaded, unless it has come into being meanwhile.
    pub(crate) fn load_room(&mut self, loaded: LoadedRoom) {
        let room = Room::from(loaded);
        self.states.insert(room.current, room.state.clone());
        self.rooms.entry(room.room_id.clone()).or_insert(room);
    }

    /// Takes in an event that the store loaded, unless a newer form of it is known.
    pub(crate) fn load_event(&mut self, event: Arc<StoredEvent>) {
        let event_id = event.pdu.event_id();
        if self.events.get(event_id).is_none() {
            self.events.insert(event_id.to_owned(), event);
        }
    }

    pub(crate) fn load_state(&mut self, snapshot: SnapshotId, state: StateMap) {
        self.states.insert(snapshot, state);
    }

    /// Notes that an event was not taken in, perhaps `for_lack` of something.
    pub(crate) fn note_failure(&mut self, event_id: &EventId, for_lack: bool, now: Monotonic) {
        let known = self.recent_failures(event_id, now);
        let (count, since) = known.map_or((0, now), |known| (known.count, known.since));
        let failures = Failures {
            count: count + 1,
            since,
            for_lack,
        };
        self.failures.insert(event_id.to_owned(), failures);
    }

    /// Whether an event was not taken in again and again, just now.
    pub(crate) fn failed_often(&self, event_id: &EventId, now: Monotonic) -> bool {
        self.recent_failures(event_id, now)
            .is_some_and(|failures| failures.count >= FAILURES_MAX)
    }

    /// Whether an event was not taken in, just now, for lack of something.
    pub(crate) fn lacked_lately(&self, event_id: &EventId, now: Monotonic) -> bool {
        self.recent_failures(event_id, now)
            .is_some_and(|failures| failures.for_lack)
    }

    fn recent_failures(&self, event_id: &EventId, now: Monotonic) -> Option<Failures> {
        let failures = self.failures.get(event_id).copied();
        failures.filter(|failures| now.since(failures.since) < FAILURES_COUNT_FOR)
    }

    /// Makes an outcome's changes true for every later decision.
    pub(crate) fn apply(&mut self, outcome: &mut Outcome) {
        for write in &outcome.writes {
            match write {
                Write::Event(event) => self.apply_event(event, false),
                Write::Redact { redacted } => self.apply_event(redacted, true),
                Write::Join(join) => self.note_join(join),
                Write::JoinEnded(room_id) => drop(self.joins.remove(room_id)),
                _ => {}
            }
        }
        for (snapshot, state) in outcome.states.drain(..) {
            self.states.insert(snapshot, state);
        }
        for room in outcome.rooms.drain(..) {
            self.rooms.insert(room.room_id.clone(), room);
        }
        if let Some(counters) = outcome.counters {
            self.counters = counters;
        }
    }

    /// The same rule as the store's: an event that is there stays, unless it gives way to a row
    /// that knows more, or is redacted.
    fn apply_event(&mut self, event: &Arc<StoredEvent>, redaction: bool) {
        let event_id = event.pdu.event_id();
        let newer = match self.events.get(event_id) {
            None => event.clone(),
            Some(_) if redaction => event.clone(),
            Some(known) if !known.gives_way_to(event) => return,
            Some(known) if known.redacted_because.is_none() => event.clone(),
            Some(redacted) => Arc::new(StoredEvent {
                pdu: redacted.pdu.clone(),
                redacted_because: redacted.redacted_because.clone(),
                ..StoredEvent::clone(event)
            }),
        };
        self.events.insert(event_id.to_owned(), newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pdu::{
            Pdu,
            build::{EventTemplate, build},
            signing::SigningKey,
        },
        persistence::tables::{EventState, Verdict},
    };

    fn message() -> Arc<Pdu> {
        let key = SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap();
        let mut content = serde_json::Map::new();
        content.insert("body".to_owned(), "hello".into());
        let template = EventTemplate {
            reference_hashes: BTreeMap::new(),
            room_id: Some("!room:one".try_into().unwrap()),
            sender: "@ann:one".try_into().unwrap(),
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content,
            redacts: None,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            depth: 1,
            origin_server_ts: 1,
        };
        let server: OwnedServerName = "one".try_into().unwrap();
        Arc::new(build(template, RoomVersion::V10, &server, &key).unwrap())
    }

    fn own(key: Arc<SigningKey>) -> OwnKeys {
        OwnKeys::new("one".try_into().unwrap(), key)
    }

    #[test]
    fn a_redacted_outlier_stays_redacted_when_it_becomes_part_of_the_graph() {
        let key = Arc::new(SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap());
        let mut world = World::new(own(key), Settings::default(), [0; 32]);
        let pdu = message();
        let outlier = StoredEvent::outlier(pdu.clone(), Verdict::Accepted);
        let redacted = StoredEvent {
            pdu: Arc::new(pdu.redacted()),
            redacted_because: Some("$redaction".try_into().unwrap()),
            ..outlier.clone()
        };
        let promoted = StoredEvent {
            state: Some(EventState {
                before: SnapshotId(1),
                after: SnapshotId(1),
            }),
            ..outlier.clone()
        };
        let mut outcome = Outcome {
            writes: vec![
                Write::Event(Arc::new(outlier)),
                Write::Redact {
                    redacted: Arc::new(redacted.clone()),
                },
                Write::Event(Arc::new(promoted)),
            ],
            ..Outcome::default()
        };
        world.apply(&mut outcome);
        let held = world.event(pdu.event_id()).unwrap();
        assert!(!held.is_outlier());
        assert_eq!(held.pdu, redacted.pdu);
        assert_eq!(held.redacted_because, redacted.redacted_because);
    }

    #[test]
    fn only_failures_of_the_last_minute_count() {
        let key = Arc::new(SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap());
        let mut world = World::new(own(key), Settings::default(), [0; 32]);
        let event_id: OwnedEventId = "$event".try_into().unwrap();
        let start = Monotonic::default();
        for _ in 0..FAILURES_MAX {
            assert!(!world.failed_often(&event_id, start));
            world.note_failure(&event_id, true, start);
        }
        assert!(world.failed_often(&event_id, start));
        assert!(world.lacked_lately(&event_id, start));
        assert!(!world.failed_often(&event_id, start.plus(FAILURES_COUNT_FOR)));
    }
}
