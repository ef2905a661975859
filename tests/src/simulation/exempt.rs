//! Who need not agree with others: who was told what it had to believe and could not check.
//!
//! A lie harms the one who is told it, in the room that it is about, and no other: everybody else is
//! held to every promise. How many rooms on how many servers that leaves out is counted, so that one
//! sees if it is too many.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::pdu::signing;
use http::StatusCode;
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName};

use super::{
    chronicle::Counts,
    invariants::StoredEvents,
    sight::{self, Sight},
};

/// A server's keys were not told as they are.
#[derive(Clone, Debug)]
pub struct KeyLie {
    /// Whose keys.
    pub of: OwnedServerName,
    /// To whom.
    pub to: OwnedServerName,
    /// The rooms in which no harm came of it.
    pub unharmed: BTreeSet<OwnedRoomId>,
}

/// Why somebody need not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Two events have one id, and nobody can know which is meant.
    OneId,
    /// It was told a false state, by a liar or by one who believed a liar.
    State,
    /// It was told false keys of a server that sent events, or could get none when it came in.
    Keys,
}

/// Who came into which room by way of whom, or was told by whom what its state was before a hole,
/// and so believes of it what that one believed.
#[derive(Debug, Default)]
pub struct Introductions(BTreeSet<(OwnedRoomId, OwnedServerName, OwnedServerName)>);

impl Introductions {
    /// Something happens.
    pub fn sees(&mut self, sight: &Sight<'_>) {
        let Sight::Answered(asked, response) = sight else {
            return;
        };
        if ["send_join", "state", "state_ids"].contains(&asked.endpoint())
            && response.status() == StatusCode::OK
            && let Some(room_id) = sight::room_in(asked.line)
        {
            let (told, teller) = (asked.from.to_owned(), asked.to.to_owned());
            self.0.insert((room_id, told, teller));
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Exempt {
    /// Where nobody need agree.
    everybody: BTreeSet<OwnedRoomId>,
    alone: BTreeMap<(OwnedRoomId, OwnedServerName), Reason>,
}

impl Exempt {
    /// Nobody need agree in this room: one id was given to two events.
    pub fn everybody(&mut self, room_id: OwnedRoomId) {
        self.everybody.insert(room_id);
    }

    /// This server was told a false state of this room.
    pub fn told_a_state(&mut self, server: OwnedServerName, room_id: OwnedRoomId) {
        self.alone.entry((room_id, server)).or_insert(Reason::State);
    }

    /// What came of a lie about keys, which matters only where there are events that need them.
    pub fn told_keys(
        &mut self,
        lie: &KeyLie,
        rooms: &[OwnedRoomId],
        stored: &BTreeMap<OwnedServerName, StoredEvents>,
    ) {
        for room_id in rooms.iter().filter(|id| !lie.unharmed.contains(*id)) {
            let mut events = stored.values().flat_map(BTreeMap::values);
            let needs_keys = events.any(|event| {
                let mut signers = signing::required_signers(&event.pdu).into_iter().flatten();
                event.pdu.room_id() == *room_id && signers.any(|signer| *signer == *lie.of)
            });
            if needs_keys {
                let place = (room_id.clone(), lie.to.clone());
                self.alone.entry(place).or_insert(Reason::Keys);
            }
        }
    }

    /// What was told to one of these is believed by those whom it told.
    pub fn hand_on(&mut self, introductions: &Introductions) {
        let mut before = None;
        while before != Some(self.alone.len()) {
            before = Some(self.alone.len());
            for (room_id, told, teller) in &introductions.0 {
                let place = |server: &OwnedServerName| (room_id.clone(), server.clone());
                if self.alone.contains_key(&place(teller)) {
                    self.alone.entry(place(told)).or_insert(Reason::State);
                }
            }
        }
    }

    /// Whether these servers need not agree in this room.
    pub fn covers(&self, room_id: &RoomId, servers: &[&ServerName]) -> bool {
        let alone = |server: &&ServerName| {
            let place = (room_id.to_owned(), (*server).to_owned());
            self.alone.contains_key(&place)
        };
        self.everybody.contains(room_id) || servers.iter().any(alone)
    }

    /// How many of these there are of each kind, and how many are held to every promise.
    pub fn counts<'p>(
        &self,
        places: impl Iterator<Item = (&'p OwnedRoomId, &'p OwnedServerName)>,
    ) -> Counts {
        let mut counts = Counts::new();
        for (room_id, server) in places {
            let reason = match self.everybody.contains(room_id) {
                true => Some(Reason::OneId),
                false => {
                    let place = (room_id.clone(), server.clone());
                    self.alone.get(&place).copied()
                }
            };
            let name = match reason {
                None => "held to all",
                Some(Reason::OneId) => "two events with one id",
                Some(Reason::State) => "told a false state",
                Some(Reason::Keys) => "told false keys",
            };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        counts
    }
}
