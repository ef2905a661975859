//! What we owe other servers: one queue and at most one transaction in flight per destination.
//!
//! What is owed is on disk once for all destinations, with a cursor for each of them, so that a
//! server that is down for a month costs one row. In memory are only those destinations that are
//! owed something or failed last time, and of their queues only the next few items, shared.
//!
//! This is a long-lived machine fed from many sides, so its states are spelled out
//! (`destination`). It returns [`Effect`]s; the engine writes them with whatever caused them, and
//! sends after the write. What an input costs depends on the destinations that it is about, never
//! on how many others there are.

mod audiences;
mod body;
mod destination;
mod line;
mod moments;
mod standing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use ruma_common::{OwnedServerName, OwnedTransactionId, ServerName};

use self::{
    audiences::Audiences,
    body::Bodies,
    destination::{Destination, State},
    line::{Lines, Turn},
    standing::Contact,
};
pub use self::{
    line::{LIVING_AT_ONCE, PROBES_AT_ONCE},
    moments::Moment,
};
use super::backoff::{self, Spread};
use crate::{
    engine::cache::Cache,
    messaging::{notice::Notice, settings::QueueLimits},
    persistence::{
        queries::{Boot, Write},
        tables::{Excess, OutgoingItem, OutgoingRecord, Queued, StoredEvent},
    },
    time::{Monotonic, Now, WallTime},
};

/// How many events one transaction holds at most (TXN-1).
pub const PDUS_MAX: usize = 50;

/// How many ephemeral messages one transaction holds at most (TXN-1).
pub const EDUS_MAX: usize = 100;

/// How many of them are messages that must not be lost.
const RELIABLE_EDUS_MAX: usize = EDUS_MAX - moments::MESSAGES_MAX;

/// How much of a queue is loaded at once: more than one transaction holds.
pub const LOAD: u32 = 200;

/// After so many things queued, the store is to forget twice as many that were sent.
const FORGET_EVERY: u64 = 64;

/// Of how many servers it is remembered how the last attempts went.
const CONTACTS_KEPT: usize = 10_000;

/// All queues.
#[derive(Debug)]
pub struct Outgoing {
    bodies: Bodies,
    limits: QueueLimits,
    starts: u64,
    transactions: u64,
    last_sequence: u64,
    audiences: Audiences,
    spread: Spread,
    destinations: BTreeMap<OwnedServerName, Destination>,
    /// When the pauses end.
    deadlines: BTreeSet<(Monotonic, OwnedServerName)>,
    lines: Lines,
    contacts: Cache<OwnedServerName, Contact>,
}

/// Something that a queue wants done.
#[derive(Debug)]
pub enum Effect {
    /// Write this.
    Write(Write),
    /// Send this transaction once everything written before is durable.
    Send(OwnedServerName, OwnedTransactionId, Bytes),
    /// See how much of the queue is more than `depth` or from before `queued_since`.
    Measure {
        /// Whose queue.
        destination: OwnedServerName,
        /// See [`QueueLimits::depth`].
        depth: u32,
        /// See [`QueueLimits::age`].
        queued_since: WallTime,
    },
    /// Read more of the queue, after everything written before.
    Load(OwnedServerName),
    /// Tell the application.
    Notice(Notice),
}

impl Outgoing {
    /// No queues yet.
    #[must_use]
    pub fn new(own_name: OwnedServerName, limits: QueueLimits, seed: [u8; 32]) -> Self {
        Self {
            bodies: Bodies::new(own_name),
            limits,
            starts: 0,
            transactions: 0,
            last_sequence: 0,
            audiences: Audiences::default(),
            spread: Spread::new(&seed),
            destinations: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            lines: Lines::default(),
            contacts: Cache::new(CONTACTS_KEPT),
        }
    }

    /// Takes up the queues where the last run left them. Servers that failed long ago and are owed
    /// nothing are not remembered.
    pub fn boot(&mut self, boot: Boot, now: Now) {
        self.starts = boot.starts;
        self.last_sequence = boot.last_sequence;
        self.audiences = Audiences::after(boot.last_audience);
        for record in boot.destinations {
            let name = record.destination.clone();
            let pauses = record.retry_at > now.wall;
            let destination = Destination::boot(record, now);
            if let State::BackingOff { until } = destination.state
                && (pauses || destination.is_owed())
            {
                self.deadlines.insert((until, name.clone()));
            }
            if pauses || destination.is_owed() {
                self.destinations.insert(name.clone(), destination);
                self.touch(&name);
            }
        }
    }

    /// Queues an event for several servers, other than ours.
    pub fn enqueue(
        &mut self,
        event: &Arc<StoredEvent>,
        destinations: BTreeSet<OwnedServerName>,
        now: Now,
    ) -> Vec<Write> {
        let item = OutgoingItem::Pdu(event.pdu.json().into());
        let queued = Queued::Event(event.pdu.event_id().to_owned());
        self.queue(item, queued, destinations, now)
    }

    /// Queues an ephemeral message that must not be lost, as canonical JSON.
    pub fn enqueue_edu(
        &mut self,
        edu: &Arc<str>,
        destinations: BTreeSet<OwnedServerName>,
        now: Now,
    ) -> Vec<Write> {
        let item = OutgoingItem::Edu(edu.clone());
        self.queue(item, Queued::Edu(edu.clone()), destinations, now)
    }

    /// Queues what is true for a moment, in memory only. At the bound the oldest is dropped.
    pub fn enqueue_moments(
        &mut self,
        moments: &[Arc<Moment>],
        destinations: BTreeSet<OwnedServerName>,
    ) {
        for name in self.others(destinations).iter() {
            let destination = self.destinations.entry(name.clone()).or_default();
            moments.iter().for_each(|moment| destination.add(moment));
            self.touch(name);
        }
    }

    /// What was read of a queue after an [`Effect::Load`].
    pub fn loaded(
        &mut self,
        name: &ServerName,
        records: Vec<OutgoingRecord>,
        now: Now,
    ) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        let State::CatchingUp {
            turn,
            queued_meanwhile,
        } = destination.state
        else {
            return Vec::new();
        };
        destination.load(records, queued_meanwhile);
        self.begin(turn, name, now)
    }

    /// What was found after an [`Effect::Measure`].
    pub fn measured(&mut self, name: &ServerName, excess: Excess) -> Vec<Effect> {
        let Some(destination) = self.destinations.get(name) else {
            return Vec::new();
        };
        if !matches!(destination.state, State::CatchingUp { .. }) {
            return Vec::new();
        }
        let load = Effect::Load(name.to_owned());
        if excess.events.count == 0 && excess.edus.count == 0 {
            return vec![load];
        }
        let destination = name.to_owned();
        let give_up = Write::GiveUp {
            destination: destination.clone(),
            events_through: excess.events.through,
            edus_through: excess.edus.through,
        };
        let notice = Notice::GivenUp {
            destination,
            events: excess.events.count,
            edus: excess.edus.count,
        };
        vec![Effect::Write(give_up), Effect::Notice(notice), load]
    }

    /// A server answered our transaction with 200.
    pub fn delivered(&mut self, name: &ServerName, now: Now) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        let State::InFlight { turn } = destination.state else {
            return Vec::new();
        };
        let was_down = std::mem::take(&mut destination.is_down);
        let through = destination.acknowledge();
        destination.state = State::Idle;
        self.lines.leave(turn);
        self.note_success(name, now);
        self.touch(name);
        self.forget_idle(name);
        let mut effects = Vec::new();
        if through > 0 || was_down {
            effects.push(Effect::Write(Write::TransactionDelivered {
                destination: name.to_owned(),
                through,
            }));
        }
        if was_down {
            effects.push(Effect::Notice(Notice::DestinationUp(name.to_owned())));
        }
        effects
    }

    /// A server did not take our transaction.
    pub fn failed(&mut self, name: &ServerName, reason: &str, now: Now) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        let State::InFlight { turn } = destination.state else {
            return Vec::new();
        };
        self.lines.leave(turn);
        destination.failures = destination.failures.saturating_add(1);
        let pause = backoff::pause(destination.failures, self.spread.next_number());
        let until = now.monotonic.plus(pause);
        destination.state = State::BackingOff { until };
        destination.unload();
        self.deadlines.insert((until, name.to_owned()));
        let mut effects = vec![Effect::Write(Write::DestinationFailed {
            destination: name.to_owned(),
            failures: destination.failures,
            retry_at: now.wall.plus(pause),
        })];
        let was_down = std::mem::replace(&mut destination.is_down, true);
        self.note_failure(name, reason, now);
        if !was_down {
            let (destination, reason) = (name.to_owned(), reason.to_owned());
            effects.push(Effect::Notice(Notice::DestinationDown {
                destination,
                reason,
            }));
        }
        effects
    }

    /// A server has just shown that it is alive (XMTX-12), or somebody knows better: no point in
    /// waiting any longer, and the next pause is a short one again. Whether it was waited for.
    pub fn alive(&mut self, name: &ServerName) -> bool {
        let Some(destination) = self.destinations.get_mut(name) else {
            return false;
        };
        let State::BackingOff { until } = destination.state else {
            return false;
        };
        destination.state = State::Idle;
        destination.failures = 0;
        self.deadlines.remove(&(until, name.to_owned()));
        self.touch(name);
        true
    }

    /// Ends every pause, and says how many there were. Who fails again waits as long as before.
    pub fn retry_all(&mut self, now: Now) -> u64 {
        let waiting = std::mem::take(&mut self.deadlines);
        let count = waiting.len() as u64;
        for (_, name) in waiting {
            if let Some(destination) = self.destinations.get_mut(&name) {
                let until = now.monotonic;
                destination.state = State::BackingOff { until };
            }
            self.lines.join(Turn::Probe, name);
        }
        count
    }

    /// Everything that the queues want done now.
    pub fn poll(&mut self, now: Now) -> Vec<Effect> {
        while let Some((_, name)) = self
            .deadlines
            .first()
            .is_some_and(|(until, _)| *until <= now.monotonic)
            .then(|| self.deadlines.pop_first())
            .flatten()
        {
            self.lines.join(Turn::Probe, name);
        }
        let mut effects = Vec::new();
        while let Some((turn, name)) = self.lines.next() {
            effects.extend(self.take_turn(turn, &name, now));
        }
        self.bodies.forget();
        effects
    }

    /// When the next pause ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Whether a server did not answer when it was last sent something.
    #[must_use]
    pub fn is_down(&self, name: &ServerName) -> bool {
        let destination = self.destinations.get(name);
        destination.is_some_and(|destination| destination.is_down)
    }

    /// How many events are queued in memory, and how many destinations are down.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let queued = self.destinations.values().map(Destination::in_memory);
        let down = self.destinations.values().filter(|it| it.is_down).count();
        (queued.sum::<usize>() as u64, down as u64)
    }

    fn others(&self, destinations: BTreeSet<OwnedServerName>) -> Arc<[OwnedServerName]> {
        let own_name = self.bodies.origin();
        let others = destinations.into_iter().filter(|name| name != own_name);
        others.collect()
    }

    fn queue(
        &mut self,
        item: OutgoingItem,
        queued: Queued,
        destinations: BTreeSet<OwnedServerName>,
        now: Now,
    ) -> Vec<Write> {
        let servers = self.others(destinations);
        if servers.is_empty() {
            return Vec::new();
        }
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        for name in servers.iter() {
            let item = item.clone();
            let destination = self.destinations.entry(name.clone()).or_default();
            destination.push(OutgoingRecord { sequence, item });
            self.touch(name);
        }
        let (audience, noted) = self.audiences.name(&servers);
        let forget = sequence
            .is_multiple_of(FORGET_EVERY)
            .then_some(Write::ForgetSent {
                limit: 2 * FORGET_EVERY as u32,
            });
        let enqueue = Write::Enqueue {
            sequence,
            audience,
            queued_at: now.wall,
            queued,
        };
        noted.into_iter().chain([enqueue]).chain(forget).collect()
    }

    /// Puts a destination into the line if it waits for nothing else.
    fn touch(&mut self, name: &ServerName) {
        if let Some(destination) = self.destinations.get_mut(name)
            && destination.state == State::Idle
            && destination.is_owed()
            && !std::mem::replace(&mut destination.is_in_line, true)
        {
            self.lines.join(Turn::Living, name.to_owned());
        }
    }

    fn take_turn(&mut self, turn: Turn, name: &ServerName, now: Now) -> Vec<Effect> {
        let destination = self.destinations.get_mut(name);
        let may_begin = destination.is_some_and(|destination| {
            if turn == Turn::Living {
                destination.is_in_line = false;
            }
            match destination.state {
                State::Idle => true,
                State::BackingOff { until } => until <= now.monotonic,
                State::CatchingUp { .. } | State::InFlight { .. } => false,
            }
        });
        if !may_begin {
            self.lines.leave(turn);
            return Vec::new();
        }
        self.begin(turn, name, now)
    }

    /// Begins the next transaction of a destination, if there is anything to send, having read what
    /// must be read.
    fn begin(&mut self, turn: Turn, name: &ServerName, now: Now) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        if destination.must_load() {
            destination.state = State::CatchingUp {
                turn,
                queued_meanwhile: false,
            };
            let is_back = destination.is_down;
            return vec![self.load(name.to_owned(), is_back, now)];
        }
        if !destination.is_owed() {
            destination.state = State::Idle;
            self.lines.leave(turn);
            self.forget_idle(name);
            return Vec::new();
        }
        let id = || {
            self.transactions += 1;
            format!("{}-{}", self.starts, self.transactions)
        };
        let (contents, is_new) = destination.begin(id, now);
        destination.state = State::InFlight { turn };
        let Some(begun) = destination.begun() else {
            return Vec::new();
        };
        let to_write = (is_new && begun.through > 0).then(|| begun.clone());
        let id = OwnedTransactionId::from(begun.transaction_id.as_str());
        let begun = to_write.map(|transaction| {
            let destination = name.to_owned();
            Effect::Write(Write::TransactionBegun {
                destination,
                transaction,
            })
        });
        let send = Effect::Send(name.to_owned(), id, self.bodies.of(contents));
        begun.into_iter().chain([send]).collect()
    }

    /// What a server missed that was down is measured first.
    fn load(&self, destination: OwnedServerName, is_back: bool, now: Now) -> Effect {
        match is_back {
            true => Effect::Measure {
                destination,
                depth: self.limits.depth,
                queued_since: now.wall.minus(self.limits.age),
            },
            false => Effect::Load(destination),
        }
    }

    /// A destination of which there is nothing to remember takes no memory.
    fn forget_idle(&mut self, name: &ServerName) {
        let is_idle = |it: &Destination| it.state == State::Idle && !it.is_owed() && !it.is_down;
        if self.destinations.get(name).is_some_and(is_idle) {
            self.destinations.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
