//! When we ask whom for what we have missed.
//!
//! A long-lived machine fed from many sides. Nothing here wakes us while all is well: it is signs
//! of life, gaps and starts that make work, and what they make is spread, bounded and ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruma_common::{OwnedServerName, ServerName};

use super::pull::{ContactPeer, Wish};
use crate::{
    persistence::tables::PeerStream,
    time::Monotonic,
    transaction::backoff::{self, Spread},
};

/// How many servers are pulled from at once.
const UNDER_WAY_MAX: usize = 4;

/// How many servers are kept in mind; who has nothing to do is forgotten first.
const PEERS_MAX: usize = 20_000;

/// Within what time after our start, or after a server is back, it is asked: not by everybody at
/// once.
const SPREAD: Duration = Duration::from_secs(10);

/// How often we look where a stream ends, as long as its server talks to us.
const LOOK_IN_EVERY: Duration = Duration::from_secs(60 * 60);

/// Who says nothing for so long may have been unable to reach us.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// How often a gap may make us pull from the same server.
const GAP_EVERY: Duration = Duration::from_secs(60);

/// After so many failures in a row we wait for a sign of life.
const FAILURES_MAX: u32 = 5;

/// How a turn with one server's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is nothing more to do.
    Done,
    /// We share no room with the server, so there is nothing to do yet.
    Stranger,
    /// There is more to pull, but others come first.
    Paused {
        /// Whether the turn brought events that we did not have.
        was_new: bool,
    },
    /// The server gave no answer, or none that makes sense.
    Failed,
}

/// All servers whose streams we may want.
#[derive(Debug)]
pub struct Pulls {
    is_on: bool,
    spread: Spread,
    peers: BTreeMap<OwnedServerName, Peer>,
    waiting: BTreeSet<(Monotonic, OwnedServerName)>,
    under_way: usize,
}

#[derive(Debug, Default)]
struct Peer {
    state: State,
    /// Whether something may have been missed that is not pulled yet.
    is_behind: bool,
    /// Turns that failed, or brought nothing, in a row.
    failures: u32,
    heard: Option<Monotonic>,
    contacted: Option<Monotonic>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Waiting {
        due: Monotonic,
    },
    UnderWay {
        /// How it went; none if the job ends without having said.
        turn: Option<Turn>,
    },
}

impl Pulls {
    /// No servers yet. Unless it is on, none ever come.
    #[must_use]
    pub fn new(is_on: bool, seed: &[u8; 32]) -> Self {
        Self {
            is_on,
            spread: Spread::new(seed),
            peers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            under_way: 0,
        }
    }

    /// We were down: catch up with every server that offers its stream.
    pub fn boot(&mut self, streams: &[PeerStream], now: Monotonic) {
        for stream in streams {
            self.catch_up(&stream.server, now, SPREAD);
        }
    }

    /// A server has shown that it is alive. If it was silent for long, or we know that we are
    /// behind, we catch up; otherwise it is enough to look in from time to time.
    pub fn heard(&mut self, server: &ServerName, now: Monotonic) {
        let Some(peer) = self.peer(server) else {
            return;
        };
        let was_silent = is_over(SILENCE, peer.heard, now);
        let is_due = is_over(LOOK_IN_EVERY, peer.contacted, now);
        peer.heard = Some(now);
        peer.is_behind |= was_silent && is_due;
        if peer.is_behind || is_due {
            self.wait(server, now);
        }
    }

    /// A server answers that did not before.
    pub fn is_back(&mut self, server: &ServerName, now: Monotonic) {
        self.catch_up(server, now, SPREAD);
    }

    /// A server has sent an event whose history we lack.
    pub fn is_ahead(&mut self, server: &ServerName, now: Monotonic) {
        let contacted = self.peers.get(server).and_then(|peer| peer.contacted);
        if is_over(GAP_EVERY, contacted, now) {
            self.catch_up(server, now, Duration::ZERO);
        }
    }

    /// What is to be done now; it is then under way.
    pub fn start(&mut self, now: Monotonic) -> Vec<ContactPeer> {
        let mut contacts = Vec::new();
        while self.next_deadline().is_some_and(|due| due <= now)
            && let Some((_, server)) = self.waiting.pop_first()
            && let Some(peer) = self.peers.get_mut(&server)
        {
            peer.state = State::UnderWay { turn: None };
            peer.contacted = Some(now);
            let wish = match std::mem::take(&mut peer.is_behind) {
                true => Wish::CatchUp,
                false => Wish::LookIn,
            };
            self.under_way += 1;
            contacts.push(ContactPeer { server, wish });
        }
        contacts
    }

    /// A job says how its turn went, which is about to end.
    pub fn report(&mut self, server: &ServerName, turn: Turn) {
        if let Some(Peer { state, .. }) = self.peers.get_mut(server)
            && let State::UnderWay { turn: told } = state
        {
            *told = Some(turn);
        }
    }

    /// The job is over.
    pub fn ended(&mut self, server: &ServerName, now: Monotonic) {
        let Some(peer) = self.peers.get_mut(server) else {
            return;
        };
        let State::UnderWay { turn } = std::mem::take(&mut peer.state) else {
            return;
        };
        self.under_way -= 1;
        if turn == Some(Turn::Stranger) {
            self.peers.remove(server);
            return;
        }
        peer.is_behind |= turn != Some(Turn::Done);
        match turn {
            Some(Turn::Done | Turn::Stranger | Turn::Paused { was_new: true }) => {
                peer.failures = 0;
            }
            Some(Turn::Paused { was_new: false } | Turn::Failed) | None => peer.failures += 1,
        }
        if peer.is_behind && peer.failures < FAILURES_MAX {
            self.wait(server, now);
        }
    }

    /// When the next pull is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let first = self.waiting.first().map(|(due, _)| *due);
        first.filter(|_| self.under_way < UNDER_WAY_MAX)
    }

    fn catch_up(&mut self, server: &ServerName, now: Monotonic, within: Duration) {
        let random = self.spread.next_number();
        if let Some(peer) = self.peer(server) {
            peer.is_behind = true;
            let milliseconds = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            let delay = Duration::from_millis(random % milliseconds.max(1));
            self.wait(server, now.plus(delay));
        }
    }

    /// Puts a server into the queue, or forward in it, but never before its pause is over.
    fn wait(&mut self, server: &ServerName, due: Monotonic) {
        let random = self.spread.next_number();
        let Some(peer) = self.peers.get_mut(server) else {
            return;
        };
        let pause_ends = match (peer.failures, peer.contacted) {
            (0, _) | (_, None) => due,
            (failures, Some(then)) => then.plus(backoff::pause(failures, random)),
        };
        let due = due.max(pause_ends);
        match peer.state {
            State::Waiting { due: earlier } if earlier <= due => return,
            State::UnderWay { .. } => return,
            State::Waiting { due: later } => drop(self.waiting.remove(&(later, server.to_owned()))),
            State::Idle => {}
        }
        peer.state = State::Waiting { due };
        self.waiting.insert((due, server.to_owned()));
    }

    /// What we have in mind of a server; `None` if we pull from nobody, or have too much in mind.
    fn peer(&mut self, server: &ServerName) -> Option<&mut Peer> {
        if !self.is_on {
            return None;
        }
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(server) {
            let is_busy = |peer: &Peer| !matches!(peer.state, State::Idle);
            self.peers.retain(|_, peer| is_busy(peer));
            if self.peers.len() >= PEERS_MAX {
                return None;
            }
        }
        Some(self.peers.entry(server.to_owned()).or_default())
    }
}

/// Whether so much time has passed since then, if there was a then.
fn is_over(limit: Duration, then: Option<Monotonic>, now: Monotonic) -> bool {
    then.is_none_or(|then| now.since(then) > limit)
}

#[cfg(test)]
mod tests;
