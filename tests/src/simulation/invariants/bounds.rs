//! What a server keeps in memory and asks of others stays within bounds, whatever is pushed at it:
//! jobs, events queued and staged, requests open to a peer, and transactions of a peer that it works
//! at; and of requests, events and queues how many bytes they are. And no job waits longer than the
//! longest chain of time-outs.
//!
//! When all is quiet no request holds a byte any more, and as many bytes count as staged as are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use comity_core::{
    Monotonic,
    pdu::Pdu,
    persistence::queries::{Batch, Write},
    transaction::{
        outgoing::LOAD,
        staging::{ALL_MAX, Key, Load, ROOM_MAX, SENDER_MAX, key},
    },
};
use ruma_common::{OwnedServerName, ServerName};

use super::{Ending, Invariant};
use crate::simulation::{
    network::Network,
    server::Server,
    sight::{Asked, Sight},
};

/// How many jobs a server of a small world has at most: those of some transactions of every peer,
/// and of a gap of a thousand events that is walked to its end.
const JOBS_MAX: u64 = 4_000;

/// How many events a server keeps in memory for each other that it owes them.
const QUEUED_MAX: u64 = LOAD as u64;

/// How many transactions of one peer a server has at a time, beside those that it puts off: one, and
/// two that wait for it.
const AT_WORK_MAX: usize = 3;

/// After how much time it has found out whose a transaction is, and put it off if it must.
const AT_DOOR_MAX: Duration = Duration::from_secs(10 * 60);

/// How many bytes of one kind a server of a small world holds at most.
const HELD_MAX: u64 = 32 << 20;

/// How many requests one server has open to another at most.
const OPEN_MAX: usize = 100;

/// How long a phase of a job lasts at most: some requests of five minutes one after another, and
/// the pace of a slow disk.
const AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// See the module.
#[derive(Debug, Default)]
pub struct WithinBounds {
    open: BTreeMap<(OwnedServerName, OwnedServerName), usize>,
    /// The transactions that a server was handed and did not answer yet, and when it was.
    at_work: BTreeMap<(OwnedServerName, OwnedServerName), BTreeMap<String, Monotonic>>,
    staged: BTreeMap<OwnedServerName, BTreeMap<Key, Arc<Pdu>>>,
}

impl WithinBounds {
    fn transactions_of(&mut self, asked: Asked<'_>) -> &mut BTreeMap<String, Monotonic> {
        let pair = (asked.from.to_owned(), asked.to.to_owned());
        self.at_work.entry(pair).or_default()
    }

    fn check_at_work(&self, now: Monotonic) -> Result<(), String> {
        for ((from, to), at_work) in &self.at_work {
            let admitted = at_work
                .values()
                .filter(|since| now.since(**since) > AT_DOOR_MAX);
            if admitted.count() > AT_WORK_MAX {
                return Err(format!("{to} works at {at_work:?} of {from}"));
            }
        }
        Ok(())
    }

    fn stages(&mut self, server: &ServerName, batch: &Batch) -> Result<(), String> {
        let staged = self.staged.entry(server.to_owned()).or_default();
        for write in &batch.writes {
            match write {
                Write::Stage(event) => drop(staged.insert(key(event), event.event.clone())),
                Write::Unstage { event_id, from } => {
                    staged.remove(&(event_id.clone(), from.clone()));
                }
                _ => {}
            }
        }
        let is_more = |write: &Write| matches!(write, Write::Stage(_));
        if !batch.writes.iter().any(is_more) {
            return Ok(());
        }
        let (mut by_room, mut by_sender) = (BTreeMap::new(), BTreeMap::new());
        for ((_, from), event) in staged.iter() {
            *by_room.entry(event.room_id()).or_insert(0) += 1;
            let load: &mut Load = by_sender.entry(from).or_default();
            load.events += 1;
            load.bytes += event.json().len();
        }
        let too_many =
            |load: &Load| load.events > SENDER_MAX.events || load.bytes > SENDER_MAX.bytes;
        let over = by_room.values().any(|count| *count > ROOM_MAX)
            || by_sender.values().any(too_many)
            || staged.len() > ALL_MAX.events;
        match over {
            true => Err(format!("{server} has {} events staged", staged.len())),
            false => Ok(()),
        }
    }
}

/// Nothing that a server holds is more than it says it may be.
fn check_memory(server: &ServerName, host: &Server) -> Result<(), String> {
    for (what, held) in host.memory() {
        let max = held.max.min(HELD_MAX);
        if held.bytes > max {
            let bytes = held.bytes;
            return Err(format!("{server} holds {bytes} bytes of {what}"));
        }
    }
    Ok(())
}

impl Invariant for WithinBounds {
    fn name(&self) -> &'static str {
        "memory, requests and waiting have bounds"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let (asked, begins) = match sight {
            Sight::Written(server, batch) => return self.stages(server, batch),
            Sight::Arrived(asked) if asked.is_transaction() => {
                let line = asked.line.to_owned();
                self.transactions_of(*asked).entry(line).or_insert(at);
                return Ok(());
            }
            Sight::Answered(asked, _) if asked.is_transaction() => {
                self.transactions_of(*asked).remove(asked.line);
                return Ok(());
            }
            Sight::Down(server) => {
                self.at_work.retain(|(_, to), _| to != server);
                return Ok(());
            }
            Sight::Requested(asked, _) => (asked, true),
            Sight::Concluded(asked, _) | Sight::Abandoned(asked) => (asked, false),
            _ => return Ok(()),
        };
        let (from, to) = (asked.from, asked.to);
        let open = self
            .open
            .entry((from.to_owned(), to.to_owned()))
            .or_default();
        *open = match begins {
            true => *open + 1,
            false => open.saturating_sub(1),
        };
        match *open > OPEN_MAX {
            true => Err(format!("{from} has {open} requests open to {to}")),
            false => Ok(()),
        }
    }

    fn looks(
        &mut self,
        network: &mut Network,
        honest: &BTreeSet<OwnedServerName>,
    ) -> Result<(), String> {
        let now = network.now().monotonic;
        let others = network.names().len() as u64;
        self.check_at_work(now)?;
        for server in honest {
            let host = network.server(server.as_str());
            let Some(statistics) = host.statistics() else {
                continue;
            };
            if statistics.jobs > JOBS_MAX {
                return Err(format!("{server} has {} jobs", statistics.jobs));
            }
            if statistics.queued > QUEUED_MAX * others {
                let queued = statistics.queued;
                return Err(format!("{server} has {queued} events queued in memory"));
            }
            check_memory(server, host)?;
            let oldest = statistics
                .oldest_job
                .map_or(Duration::ZERO, |since| now.since(since));
            if oldest > AGE_MAX {
                let jobs = host.jobs();
                return Err(format!(
                    "on {server} a job waits since {oldest:?}: {jobs:#?}"
                ));
            }
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for server in end.honest {
            let memory = end.network.server(server.as_str()).memory();
            let held = |what| memory.get(what).map_or(0, |held| held.bytes);
            let staged = self.staged.get(server).into_iter().flatten();
            let staged: usize = staged.map(|(_, event)| event.json().len()).sum();
            if held("requests") > 0 || held("staged") != staged as u64 {
                return Err(format!(
                    "{server} holds {memory:?}, with {staged} bytes staged"
                ));
            }
        }
        Ok(())
    }
}
