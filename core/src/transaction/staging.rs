//! Events that were acknowledged before they are judged: how many there may be, and when the next
//! attempt at each is due.
//!
//! **Contract.** An event is staged when its judgement has to wait for another server, and from
//! then on its sender need not wait: the event is on disk until it is decided, and what could not
//! be had is asked for again, ever more rarely, for [`KEPT_FOR`]. Something that may help (an event
//! that it names, a sign of life from a server that it depends on) makes the next attempt due.
//!
//! **Bounds.** Per room, per sender and in all; beyond them an event is refused with a reason
//! instead of staged, so that nothing acknowledged makes room for something else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};

use crate::{
    messaging::status::HeldBytes,
    persistence::tables::StagedEvent,
    time::{Monotonic, Now},
};

/// How many events of one room may be staged.
pub const ROOM_MAX: usize = 1_000;

/// How many events, and bytes of events, from one server may be staged.
pub const SENDER_MAX: Load = Load {
    events: 2_000,
    bytes: 16 << 20,
};

/// How many events, and bytes of events, may be staged in all.
pub const ALL_MAX: Load = Load {
    events: 10_000,
    bytes: 128 << 20,
};

/// How long an event is kept that lacks something: longer than most servers are away.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The pause after the first attempt; it doubles after each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// The pause before an attempt that is made because a server that it depends on shows that it is
/// alive.
const ALIVE_PAUSE: Duration = Duration::from_secs(60);

/// So many attempts are made at the same time.
const AT_WORK_MAX: usize = 200;

/// A number of events and of the bytes that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many events.
    pub events: usize,
    /// How many bytes they are.
    pub bytes: usize,
}

impl Load {
    fn with(self, bytes: usize) -> Self {
        Self {
            events: self.events + 1,
            bytes: self.bytes + bytes,
        }
    }

    fn without(self, bytes: usize) -> Self {
        Self {
            events: self.events.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    fn exceeds(self, max: Self) -> bool {
        self.events > max.events || self.bytes > max.bytes
    }
}

/// Names a staged event: its id, and who sent it.
pub type Key = (OwnedEventId, OwnedServerName);

/// The name of a staged event.
#[must_use]
pub fn key(staged: &StagedEvent) -> Key {
    (staged.event.event_id().to_owned(), staged.from.clone())
}

/// What became of the wish to stage an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new and has to be written.
    New,
    /// It was staged before; this is the next attempt at it.
    NextAttempt,
    /// Another attempt at it is being made.
    AtWork,
}

/// Why an event cannot be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// See [`ROOM_MAX`].
    #[error("too many events of the room wait for other servers")]
    Room,
    /// See [`SENDER_MAX`].
    #[error("too many of your server's events wait for other servers")]
    Sender,
    /// See [`ALL_MAX`].
    #[error("too many events wait for other servers")]
    All,
}

/// The staged events; see the module's documentation.
#[derive(Debug, Default)]
pub struct Staging {
    events: BTreeMap<OwnedEventId, BTreeMap<OwnedServerName, Entry>>,
    rooms: BTreeMap<OwnedRoomId, usize>,
    senders: BTreeMap<OwnedServerName, Load>,
    all: Load,
    last_order: u64,
    /// The attempts to come: when, and in the order in which the events came.
    due: BTreeSet<Due>,
    /// Which of those events name an event.
    naming: BTreeMap<OwnedEventId, BTreeSet<Key>>,
    /// Which of them depend on a server.
    depending: BTreeMap<OwnedServerName, BTreeSet<Key>>,
    /// Which of them are of a room.
    of_room: BTreeMap<OwnedRoomId, BTreeSet<Key>>,
}

type Due = (Monotonic, u64, Key);

#[derive(Debug)]
struct Entry {
    staged: StagedEvent,
    order: u64,
    attempts: u32,
    /// When the last attempt ended.
    tried_at: Monotonic,
    /// When the next attempt is due; `None` while one is being made.
    due: Option<Monotonic>,
}

impl Staging {
    /// How many bytes the staged events are.
    #[must_use]
    pub fn held(&self) -> HeldBytes {
        HeldBytes::new(self.all.bytes, ALL_MAX.bytes)
    }

    /// How many events of a room are staged.
    #[must_use]
    pub fn count_in(&self, room_id: &RoomId) -> usize {
        self.rooms.get(room_id).copied().unwrap_or_default()
    }

    /// Takes over what the last run left; all of it is due.
    pub fn boot(&mut self, staged: Vec<StagedEvent>, now: Now) {
        for staged in staged {
            let key = key(&staged);
            self.insert(key.clone(), staged);
            self.schedule(&key, now.monotonic);
        }
    }

    /// Wants to stage an event of which an attempt is being made.
    ///
    /// # Errors
    /// If a bound is reached.
    pub fn admit(&mut self, staged: StagedEvent) -> Result<Admission, Full> {
        let key = key(&staged);
        if let Some(entry) = self.get(&key) {
            if entry.due.is_none() {
                return Ok(Admission::AtWork);
            }
            self.unschedule(&key);
            return Ok(Admission::NextAttempt);
        }
        self.check_bounds(&staged)?;
        self.insert(key, staged);
        Ok(Admission::New)
    }

    fn check_bounds(&self, staged: &StagedEvent) -> Result<(), Full> {
        let bytes = staged.event.json().len();
        let in_room = self.rooms.get(staged.event.room_id());
        let of_sender = self.senders.get(&staged.from).copied().unwrap_or_default();
        if in_room.is_some_and(|count| *count >= ROOM_MAX) {
            return Err(Full::Room);
        }
        if of_sender.with(bytes).exceeds(SENDER_MAX) {
            return Err(Full::Sender);
        }
        match self.all.with(bytes).exceeds(ALL_MAX) {
            true => Err(Full::All),
            false => Ok(()),
        }
    }

    fn insert(&mut self, key: Key, staged: StagedEvent) {
        let bytes = staged.event.json().len();
        *self
            .rooms
            .entry(staged.event.room_id().to_owned())
            .or_default() += 1;
        let sender = self.senders.entry(staged.from.clone()).or_default();
        *sender = sender.with(bytes);
        self.all = self.all.with(bytes);
        self.last_order += 1;
        let entry = Entry {
            staged,
            order: self.last_order,
            attempts: 0,
            tried_at: Monotonic::default(),
            due: None,
        };
        let (event_id, from) = key;
        self.events.entry(event_id).or_default().insert(from, entry);
    }

    fn get(&self, (event_id, from): &Key) -> Option<&Entry> {
        self.events.get(event_id)?.get(from)
    }

    fn get_mut(&mut self, (event_id, from): &Key) -> Option<&mut Entry> {
        self.events.get_mut(event_id)?.get_mut(from)
    }

    fn remove(&mut self, (event_id, from): &Key) -> Option<Entry> {
        let of_event = self.events.get_mut(event_id)?;
        let entry = of_event.remove(from);
        if of_event.is_empty() {
            self.events.remove(event_id);
        }
        entry
    }

    /// The judgement of a staged event has reached another stage. Says whether that is news.
    pub fn advance(&mut self, staged: &StagedEvent) -> Option<StagedEvent> {
        let entry = self.get_mut(&key(staged))?;
        if entry.staged.stage == staged.stage {
            return None;
        }
        let bytes = entry.staged.event.json().len();
        let received_at = entry.staged.received_at;
        entry.staged = StagedEvent {
            received_at,
            ..staged.clone()
        };
        let news = entry.staged.clone();
        self.recount(&news, bytes);
        Some(news)
    }

    /// An event that was altered is redacted when that is found out, and then has other bytes.
    fn recount(&mut self, staged: &StagedEvent, before: usize) {
        let bytes = staged.event.json().len();
        let recounted = |load: Load| load.without(before).with(bytes);
        self.all = recounted(self.all);
        if let Some(sender) = self.senders.get_mut(&staged.from) {
            *sender = recounted(*sender);
        }
    }

    /// An attempt failed for lack of something: another one will be made. False if the event has
    /// waited long enough, or is not staged.
    pub fn postpone(&mut self, key: &Key, now: Now) -> bool {
        let Some(entry) = self.get_mut(key) else {
            return false;
        };
        if now.wall.since(entry.staged.received_at) >= KEPT_FOR {
            return false;
        }
        let doublings = entry.attempts.min(16);
        entry.attempts += 1;
        entry.tried_at = now.monotonic;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings)
            .min(LONGEST_PAUSE);
        self.schedule(key, now.monotonic.plus(pause));
        true
    }

    /// An event is decided: it is no longer staged, whoever sent it. Says what is to be forgotten.
    pub fn decided(&mut self, event_id: &EventId) -> Vec<Key> {
        let senders = self
            .events
            .get(event_id)
            .into_iter()
            .flat_map(|of| of.keys());
        let keys: Vec<Key> = senders
            .map(|from| (event_id.to_owned(), from.clone()))
            .collect();
        for key in &keys {
            self.end(key);
        }
        keys
    }

    /// An event is no longer staged.
    pub fn end(&mut self, key: &Key) -> Option<StagedEvent> {
        self.unschedule(key);
        let entry = self.remove(key)?;
        let bytes = entry.staged.event.json().len();
        self.all = self.all.without(bytes);
        if let Some(count) = self.rooms.get_mut(entry.staged.event.room_id()) {
            *count -= 1;
            if *count == 0 {
                self.rooms.remove(entry.staged.event.room_id());
            }
        }
        if let Some(load) = self.senders.get_mut(&key.1) {
            *load = load.without(bytes);
            if load.events == 0 {
                self.senders.remove(&key.1);
            }
        }
        self.appeared(&key.0);
        Some(entry.staged)
    }

    /// The next event of which an attempt is to be made now.
    pub fn next_attempt(&mut self, now: Monotonic) -> Option<StagedEvent> {
        let (at, _, key) = self.due.first()?;
        if *at > now || self.is_busy() {
            return None;
        }
        let key = key.clone();
        self.unschedule(&key);
        self.get(&key).map(|entry| entry.staged.clone())
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let first = self.due.first().filter(|_| !self.is_busy());
        first.map(|(at, ..)| *at)
    }

    fn is_busy(&self) -> bool {
        self.all.events - self.due.len() >= AT_WORK_MAX
    }

    /// Whether this event of this sender waits for its next attempt.
    #[must_use]
    pub fn is_postponed(&self, event_id: &EventId, from: &ServerName) -> bool {
        let of_event = self.events.get(event_id);
        let entry = of_event.and_then(|of_event| of_event.get(from));
        entry.is_some_and(|entry| entry.due.is_some())
    }

    /// An event is known, or known not to come: those that name it may fare better now.
    pub fn appeared(&mut self, event_id: &EventId) {
        for key in self.naming.remove(event_id).unwrap_or_default() {
            self.hasten(&key, Monotonic::default());
        }
    }

    /// A join of this room has ended: what came meanwhile can be judged.
    pub fn entered(&mut self, room_id: &RoomId) {
        for key in self.of_room.remove(room_id).unwrap_or_default() {
            self.hasten(&key, Monotonic::default());
        }
    }

    /// A server gave a sign of life.
    pub fn alive(&mut self, server: &ServerName, now: Monotonic) {
        for key in self.depending.remove(server).unwrap_or_default() {
            let tried_at = self.get(&key).map(|entry| entry.tried_at);
            let earliest = tried_at.unwrap_or_default().plus(ALIVE_PAUSE);
            self.hasten(&key, earliest.max(now));
        }
    }

    /// How many events are staged.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.events
    }

    /// Makes the next attempt at a postponed event due at this time, if it is not due before.
    fn hasten(&mut self, key: &Key, at: Monotonic) {
        let Some(entry) = self.get_mut(key) else {
            return;
        };
        let order = entry.order;
        let Some(due) = entry.due.filter(|due| *due > at) else {
            return;
        };
        entry.due = Some(at);
        self.due.remove(&(due, order, key.clone()));
        self.due.insert((at, order, key.clone()));
    }

    fn schedule(&mut self, key: &Key, at: Monotonic) {
        let Some(entry) = self.get_mut(key) else {
            return;
        };
        entry.due = Some(at);
        let (order, event) = (entry.order, entry.staged.event.clone());
        self.due.insert((at, order, key.clone()));
        let of_room = self.of_room.entry(event.room_id().to_owned()).or_default();
        of_room.insert(key.clone());
        for named in event.prev_events().iter().chain(event.auth_events().iter()) {
            let naming = self.naming.entry(named.to_owned()).or_default();
            naming.insert(key.clone());
        }
        for server in [event.origin(), &*key.1] {
            let depending = self.depending.entry(server.to_owned()).or_default();
            depending.insert(key.clone());
        }
    }

    fn unschedule(&mut self, key: &Key) {
        let Some(entry) = self.get_mut(key) else {
            return;
        };
        let Some(at) = entry.due.take() else { return };
        let (order, event) = (entry.order, entry.staged.event.clone());
        self.due.remove(&(at, order, key.clone()));
        take_out(&mut self.of_room, event.room_id(), key);
        for named in event.prev_events().iter().chain(event.auth_events().iter()) {
            take_out(&mut self.naming, named, key);
        }
        for server in [event.origin(), &*key.1] {
            take_out(&mut self.depending, server, key);
        }
    }
}

fn take_out<K, Q>(index: &mut BTreeMap<K, BTreeSet<Key>>, of: &Q, key: &Key)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(keys) = index.get_mut(of) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(of);
        }
    }
}
