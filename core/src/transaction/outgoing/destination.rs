//! One other server and what it is owed.

use std::{collections::VecDeque, sync::Arc};

use super::{
    LOAD, PDUS_MAX, RELIABLE_EDUS_MAX,
    body::Contents,
    line::Turn,
    moments::{Moment, Waiting},
};
use crate::{
    pdu::format::MAX_EVENT_BYTES,
    persistence::tables::{BegunTransaction, DestinationRecord, OutgoingItem, OutgoingRecord},
    time::{Monotonic, Now},
    transaction::backoff,
};

/// How much of a queue stays in memory.
const IN_MEMORY_MAX: usize = 4 * PDUS_MAX;

/// How many bytes that is at most: an item is as large as an event may be.
pub(super) const BYTES_MAX: usize = IN_MEMORY_MAX * MAX_EVENT_BYTES;

/// A server that is owed something, is being sent something, or failed last time. Others take no
/// memory.
#[derive(Debug, Default)]
pub(super) struct Destination {
    pub(super) state: State,
    /// Its next items, without a gap, from the first that was not acknowledged. Empty while it is
    /// backed off from.
    queue: VecDeque<OutgoingRecord>,
    /// Whether more of the queue is on disk behind what is in memory.
    more_on_disk: bool,
    moments: Waiting,
    /// The transaction to repeat until it is answered with 200.
    begun: Option<Box<Begun>>,
    /// How many attempts failed since it last showed that it is alive.
    pub(super) failures: u32,
    /// Whether the last attempt failed, as the application was told.
    pub(super) is_down: bool,
    /// Whether it stands in the line of the living.
    pub(super) is_in_line: bool,
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    #[default]
    Idle,
    /// What it missed is being read. Something queued meanwhile may be missing from that.
    CatchingUp { turn: Turn, queued_meanwhile: bool },
    /// A transaction.
    InFlight { turn: Turn },
    /// It failed, and is left alone until then, or longer if many others are due.
    BackingOff { until: Monotonic },
}

/// A transaction that was begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) record: BegunTransaction,
    /// What it says of the moment.
    moments: Vec<Arc<str>>,
}

impl Destination {
    /// As it was when the last run ended.
    pub(super) fn boot(record: DestinationRecord, now: Now) -> Self {
        let begun = record.begun.map(|record| {
            let moments = Vec::new();
            Box::new(Begun { record, moments })
        });
        let pause = record.retry_at.since(now.wall).min(backoff::LONGEST);
        let until = now.monotonic.plus(pause);
        let state = match record.failures {
            0 => State::Idle,
            _ => State::BackingOff { until },
        };
        Self {
            state,
            more_on_disk: record.queued || begun.is_some(),
            begun,
            failures: record.failures,
            is_down: record.failures > 0,
            ..Self::default()
        }
    }

    /// Queues something that is on disk. What is in memory must have no gap: once something waits
    /// on disk, so does all after it.
    pub(super) fn push(&mut self, record: OutgoingRecord) {
        let is_kept = match &mut self.state {
            State::Idle | State::InFlight { .. } => true,
            State::BackingOff { .. } => false,
            State::CatchingUp {
                queued_meanwhile, ..
            } => {
                *queued_meanwhile = true;
                false
            }
        };
        if is_kept && !self.more_on_disk && self.queue.len() < IN_MEMORY_MAX {
            self.queue.push_back(record);
        } else {
            self.more_on_disk = true;
        }
    }

    /// Queues what is true for a moment, unless the moment will have passed when the server is
    /// tried again.
    pub(super) fn add(&mut self, moment: &Arc<Moment>) {
        if !backoff::is_long(self.failures) {
            self.moments.add(moment);
        }
    }

    /// Whether there is anything to send.
    pub(super) fn is_owed(&self) -> bool {
        !self.queue.is_empty()
            || self.more_on_disk
            || self.begun.is_some()
            || !self.moments.is_empty()
    }

    /// Whether the queue must be read before anything can be sent.
    pub(super) fn must_load(&self) -> bool {
        self.queue.is_empty() && self.more_on_disk
    }

    /// Takes in what was read of the queue.
    pub(super) fn load(&mut self, records: Vec<OutgoingRecord>, queued_meanwhile: bool) {
        self.more_on_disk = queued_meanwhile || records.len() >= LOAD as usize;
        self.queue = records.into();
    }

    /// The next transaction, or the one to repeat, and whether it is new.
    pub(super) fn begin(&mut self, id: impl FnOnce() -> String, now: Now) -> (Contents, bool) {
        let is_new = self.begun.is_none();
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => Box::new(Begun {
                record: BegunTransaction {
                    transaction_id: id(),
                    through: self.through_of_next(),
                    begun_at: now.wall,
                },
                moments: self.moments.take(),
            }),
        };
        let contents = self.contents(&begun);
        self.begun = Some(begun);
        (contents, is_new)
    }

    /// The last sequence of as many items as one transaction holds; 0 if there are none.
    fn through_of_next(&self) -> u64 {
        let (mut pdus, mut edus) = (0, 0);
        let fitting = self.queue.iter().take_while(|record| {
            match record.item {
                OutgoingItem::Pdu(_) => pdus += 1,
                OutgoingItem::Edu(_) => edus += 1,
            }
            pdus <= PDUS_MAX && edus <= RELIABLE_EDUS_MAX
        });
        fitting.last().map_or(0, |record| record.sequence)
    }

    fn contents(&self, begun: &Begun) -> Contents {
        let mut contents = Contents {
            begun_at: begun.record.begun_at,
            pdus: Vec::new(),
            edus: Vec::new(),
        };
        let held = |record: &&OutgoingRecord| record.sequence <= begun.record.through;
        for record in self.queue.iter().take_while(held) {
            match &record.item {
                OutgoingItem::Pdu(json) => contents.pdus.push(json.clone()),
                OutgoingItem::Edu(json) => contents.edus.push(json.clone()),
            }
        }
        contents.edus.extend(begun.moments.iter().cloned());
        contents
    }

    /// The transaction under way.
    pub(super) fn begun(&self) -> Option<&BegunTransaction> {
        self.begun.as_ref().map(|begun| &begun.record)
    }

    /// Lets go of the transaction under way, which arrived, and says up to which sequence it held
    /// something queued.
    pub(super) fn acknowledge(&mut self) -> u64 {
        let through = self.begun.take().map_or(0, |begun| begun.record.through);
        while self
            .queue
            .pop_front_if(|record| record.sequence <= through)
            .is_some()
        {}
        self.failures = 0;
        through
    }

    /// Forgets what can be read again.
    pub(super) fn unload(&mut self) {
        let is_on_disk = !self.queue.is_empty() || self.begun().is_some_and(|it| it.through > 0);
        self.more_on_disk |= is_on_disk;
        self.queue = VecDeque::new();
        if backoff::is_long(self.failures) {
            self.moments.drop_all();
        }
    }

    /// How many items are in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes these are.
    pub(super) fn bytes_in_memory(&self) -> usize {
        self.queue.iter().map(|record| record.item.bytes()).sum()
    }

    /// Whether the database holds further items behind these.
    pub(super) fn has_more_on_disk(&self) -> bool {
        self.more_on_disk
    }
}
