//! What we owe other servers: one queue and at most one transaction in flight per destination.
//!
//! This is a long-lived machine fed from many sides, so its states are spelled out. It returns
//! [`Effect`]s; the engine writes them with whatever caused them, and sends after the write.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use ruma_common::{OwnedServerName, OwnedTransactionId, ServerName};

use super::backoff::{self, Spread};
use crate::{
    messaging::notice::Notice,
    persistence::{
        queries::{Boot, Write},
        tables::{BegunTransaction, DestinationRecord, OutgoingRecord, StoredEvent},
    },
    time::{Monotonic, Now, WallTime},
};

/// How many events one transaction holds at most (TXN-1).
pub const PDUS_MAX: usize = 50;

/// How many ephemeral messages one transaction holds at most (TXN-1).
pub const EDUS_MAX: usize = 100;

/// How many events of a queue stay in memory per destination.
const IN_MEMORY_MAX: usize = 4 * PDUS_MAX;

/// How many events are loaded at once.
pub const LOAD: u32 = 2 * PDUS_MAX as u32;

/// All queues.
#[derive(Debug)]
pub struct Outgoing {
    own_name: OwnedServerName,
    starts: u64,
    transactions: u64,
    last_sequence: u64,
    spread: Spread,
    destinations: BTreeMap<OwnedServerName, Destination>,
    touched: BTreeSet<OwnedServerName>,
}

/// Something that a queue wants done.
#[derive(Debug)]
pub enum Effect {
    /// Write this.
    Write(Write),
    /// Send this transaction once everything written before is durable.
    Send(OwnedServerName, OwnedTransactionId, String),
    /// Read more of the queue, after everything written before.
    Load(OwnedServerName),
    /// Tell the application.
    Notice(Notice),
}

#[derive(Debug, Default)]
struct Destination {
    state: State,
    /// The next events, without a gap, from the first that was not acknowledged.
    queue: VecDeque<OutgoingRecord>,
    /// Whether more of the queue is on disk behind what is in memory.
    more_on_disk: bool,
    edus: VecDeque<String>,
    failures: u32,
    /// The transaction that must be repeated with the same id after a restart.
    repeat: Option<BegunTransaction>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Something queued meanwhile may be missing from what is read.
    Loading {
        queued_meanwhile: bool,
    },
    InFlight(Transaction),
    BackingOff {
        until: Monotonic,
        retry: Option<Transaction>,
    },
}

#[derive(Debug)]
struct Transaction {
    id: OwnedTransactionId,
    /// The last sequence in it; `None` if it holds only ephemeral messages.
    through: Option<u64>,
    body: String,
}

impl Outgoing {
    /// No queues yet.
    #[must_use]
    pub fn new(own_name: OwnedServerName, seed: [u8; 32]) -> Self {
        Self {
            own_name,
            starts: 0,
            transactions: 0,
            last_sequence: 0,
            spread: Spread::new(&seed),
            destinations: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Takes up the queues where the last run left them.
    pub fn boot(&mut self, boot: Boot, now: Now) {
        self.starts = boot.starts;
        self.last_sequence = boot.last_sequence;
        for record in boot.destinations {
            self.touched.insert(record.destination.clone());
            self.destinations
                .insert(record.destination.clone(), Destination::boot(record, now));
        }
    }

    /// Queues an event for several servers, other than ours.
    pub fn enqueue(
        &mut self,
        event: &Arc<StoredEvent>,
        destinations: BTreeSet<OwnedServerName>,
    ) -> Option<Write> {
        let destinations: Vec<_> = destinations
            .into_iter()
            .filter(|name| *name != self.own_name)
            .collect();
        if destinations.is_empty() {
            return None;
        }
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        for name in &destinations {
            let record = OutgoingRecord {
                sequence,
                event: event.clone(),
            };
            self.destinations
                .entry(name.clone())
                .or_default()
                .push(record);
            self.touched.insert(name.clone());
        }
        Some(Write::Enqueue {
            sequence,
            event_id: event.pdu.event_id().to_owned(),
            destinations,
        })
    }

    /// Queues an ephemeral message, as JSON text. At the bound the oldest is dropped.
    pub fn enqueue_edu(&mut self, edu: &str, destinations: BTreeSet<OwnedServerName>) {
        for name in destinations
            .into_iter()
            .filter(|name| *name != self.own_name)
        {
            let destination = self.destinations.entry(name.clone()).or_default();
            if destination.edus.len() >= EDUS_MAX {
                destination.edus.pop_front();
            }
            destination.edus.push_back(edu.to_owned());
            self.touched.insert(name);
        }
    }

    /// The queue read from the store after an [`Effect::Load`].
    pub fn loaded(&mut self, name: &ServerName, records: Vec<OutgoingRecord>) {
        let Some(destination) = self.destinations.get_mut(name) else {
            return;
        };
        destination.loaded(records);
        self.touched.insert(name.to_owned());
    }

    /// A server answered our transaction with 200.
    pub fn delivered(&mut self, name: &ServerName) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        self.touched.insert(name.to_owned());
        destination.delivered(name)
    }

    /// A server did not take our transaction.
    pub fn failed(&mut self, name: &ServerName, reason: &str, now: Now) -> Vec<Effect> {
        let random = self.spread.next_number();
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        destination.failed(name, reason, random, now)
    }

    /// A server has just shown that it is alive: no point in waiting any longer (XMTX-12).
    pub fn alive(&mut self, name: &ServerName, now: Now) {
        if let Some(Destination {
            state: State::BackingOff { until, .. },
            ..
        }) = self.destinations.get_mut(name)
        {
            *until = now.monotonic;
            self.touched.insert(name.to_owned());
        }
    }

    /// Everything that the queues want done now.
    pub fn poll(&mut self, now: Now) -> Vec<Effect> {
        let due = self
            .destinations
            .iter()
            .filter(|(_, destination)| destination.is_due(now));
        let mut names: BTreeSet<_> = due.map(|(name, _)| name.clone()).collect();
        names.append(&mut self.touched);
        let mut effects = Vec::new();
        for name in names {
            effects.extend(self.step(&name, now));
        }
        effects
    }

    /// When the next pause ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.destinations
            .values()
            .filter_map(Destination::pause_ends)
            .min()
    }

    /// How many events are queued in memory, and how many destinations are backed off from.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let queued = self
            .destinations
            .values()
            .map(|destination| destination.queue.len() as u64);
        let down = self
            .destinations
            .values()
            .filter(|d| d.pause_ends().is_some())
            .count();
        (queued.sum(), down as u64)
    }

    fn step(&mut self, name: &OwnedServerName, now: Now) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        match &mut destination.state {
            State::Loading { .. } | State::InFlight(_) => Vec::new(),
            State::BackingOff { until, .. } if *until > now.monotonic => Vec::new(),
            State::BackingOff { retry, .. } => match retry.take() {
                Some(transaction) => {
                    let effect = transaction.send_to(name);
                    destination.state = State::InFlight(transaction);
                    vec![effect]
                }
                None => {
                    destination.state = State::Idle;
                    self.begin(name, now)
                }
            },
            State::Idle => self.begin(name, now),
        }
    }

    /// Begins the next transaction of an idle destination, if there is anything to send.
    fn begin(&mut self, name: &OwnedServerName, now: Now) -> Vec<Effect> {
        let Some(destination) = self.destinations.get_mut(name) else {
            return Vec::new();
        };
        if destination.queue.is_empty() && destination.more_on_disk {
            destination.state = State::Loading {
                queued_meanwhile: false,
            };
            return vec![Effect::Load(name.clone())];
        }
        if destination.queue.is_empty() && destination.edus.is_empty() {
            if destination.failures == 0 {
                self.destinations.remove(name);
            }
            return Vec::new();
        }
        let begun = destination.repeat.take();
        let repeated = begun.is_some();
        let begun = begun.unwrap_or_else(|| {
            self.transactions += 1;
            BegunTransaction {
                transaction_id: format!("{}-{}", self.starts, self.transactions),
                through: destination.through_of_next(),
                begun_at: now.wall,
            }
        });
        let transaction = destination.transaction(&self.own_name, &begun);
        let mut effects = Vec::new();
        if transaction.through.is_some() && !repeated {
            let destination = name.clone();
            effects.push(Effect::Write(Write::TransactionBegun {
                destination,
                transaction: begun,
            }));
        }
        effects.push(transaction.send_to(name));
        destination.state = State::InFlight(transaction);
        effects
    }
}

impl Destination {
    fn boot(record: DestinationRecord, now: Now) -> Self {
        let until = now.monotonic.plus(record.retry_at.since(now.wall));
        let state = match record.failures {
            0 => State::Idle,
            _ => State::BackingOff { until, retry: None },
        };
        Self {
            state,
            more_on_disk: record.queued > 0,
            failures: record.failures,
            repeat: record.begun,
            ..Self::default()
        }
    }

    /// What is in memory must have no gap: once something waits on disk, so does all after it.
    fn push(&mut self, record: OutgoingRecord) {
        if let State::Loading { queued_meanwhile } = &mut self.state {
            *queued_meanwhile = true;
        }
        if self.more_on_disk || self.queue.len() >= IN_MEMORY_MAX {
            self.more_on_disk = true;
        } else {
            self.queue.push_back(record);
        }
    }

    fn loaded(&mut self, records: Vec<OutgoingRecord>) {
        let State::Loading { queued_meanwhile } = std::mem::take(&mut self.state) else {
            return;
        };
        self.more_on_disk = queued_meanwhile || records.len() >= LOAD as usize;
        self.queue.extend(records);
    }

    fn through_of_next(&self) -> u64 {
        let last = self.queue.iter().take(PDUS_MAX).next_back();
        last.map_or(0, |record| record.sequence)
    }

    fn transaction(&mut self, origin: &ServerName, begun: &BegunTransaction) -> Transaction {
        let events: Vec<&OutgoingRecord> = self
            .queue
            .iter()
            .take_while(|record| record.sequence <= begun.through)
            .collect();
        let through = events.last().map(|record| record.sequence);
        let pdus = events.iter().map(|record| record.event.pdu.json());
        let edus = self.edus.iter().map(String::as_str).take(EDUS_MAX);
        let body = body(origin, begun.begun_at, pdus, edus);
        self.edus.clear();
        Transaction {
            id: begun.transaction_id.as_str().into(),
            through,
            body,
        }
    }

    fn delivered(&mut self, name: &ServerName) -> Vec<Effect> {
        let State::InFlight(transaction) = std::mem::take(&mut self.state) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        let through = transaction.through.unwrap_or(0);
        while self
            .queue
            .pop_front_if(|record| record.sequence <= through)
            .is_some()
        {}
        if transaction.through.is_some() || self.failures > 0 {
            let destination = name.to_owned();
            effects.push(Effect::Write(Write::TransactionDelivered {
                destination,
                through,
            }));
        }
        if std::mem::take(&mut self.failures) > 0 {
            effects.push(Effect::Notice(Notice::DestinationUp(name.to_owned())));
        }
        effects
    }

    fn failed(&mut self, name: &ServerName, reason: &str, random: u64, now: Now) -> Vec<Effect> {
        let State::InFlight(transaction) = std::mem::take(&mut self.state) else {
            return Vec::new();
        };
        self.failures = self.failures.saturating_add(1);
        let pause = backoff::pause(self.failures, random);
        let until = now.monotonic.plus(pause);
        self.state = State::BackingOff {
            until,
            retry: Some(transaction),
        };
        let mut effects = vec![Effect::Write(Write::DestinationFailed {
            destination: name.to_owned(),
            failures: self.failures,
            retry_at: now.wall.plus(pause),
        })];
        if self.failures == 1 {
            let (destination, reason) = (name.to_owned(), reason.to_owned());
            effects.push(Effect::Notice(Notice::DestinationDown {
                destination,
                reason,
            }));
        }
        effects
    }

    fn pause_ends(&self) -> Option<Monotonic> {
        match self.state {
            State::BackingOff { until, .. } => Some(until),
            State::Idle | State::Loading { .. } | State::InFlight(_) => None,
        }
    }

    fn is_due(&self, now: Now) -> bool {
        self.pause_ends()
            .is_some_and(|until| until <= now.monotonic)
    }
}

impl Transaction {
    fn send_to(&self, name: &OwnedServerName) -> Effect {
        Effect::Send(name.clone(), self.id.clone(), self.body.clone())
    }
}

/// The body of a transaction. Events are JSON text already and are not serialised again.
fn body<'a>(
    origin: &ServerName,
    begun_at: WallTime,
    pdus: impl Iterator<Item = &'a str>,
    edus: impl Iterator<Item = &'a str>,
) -> String {
    let list = |items: Vec<&str>| items.join(",");
    let (pdus, edus) = (list(pdus.collect()), list(edus.collect()));
    format!(
        r#"{{"origin":"{origin}","origin_server_ts":{begun_at},"pdus":[{pdus}],"edus":[{edus}]}}"#
    )
}

#[cfg(test)]
mod tests;
