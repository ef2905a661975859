//! Hostile servers: whole ones, of which somebody else has the key and the wires.
//!
//! The server itself keeps to the protocol, joins rooms and talks in them, and so it is let in
//! and listened to. What is pushed in its name besides, and what becomes of its answers on their
//! way, is made up here; everything that it signs, it signs with its own key.
//!
//! | file | holds |
//! |---|---|
//! | `flood` | what is asked to keep others busy |
//! | `insider` | what it knows of a room, and events made from that |
//! | `ruses` | what is pushed |
//! | `corruption` | what becomes of answers |

mod corruption;
mod flood;
mod insider;
mod ruses;

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{
    WallTime,
    keys::RetiredKey,
    pdu::{Pdu, signing::SigningKey},
};
use ruma_common::{OwnedRoomId, OwnedServerName};

pub(super) use self::{
    corruption::{Answered, Falsehood},
    flood::flood,
    insider::Insider,
    ruses::{Parcel, Tale, tell},
};
use super::{
    exempt::{Exempt, KeyLie},
    invariants::StoredEvents,
    plan::lies::{Corruption, Ruse},
};
use crate::rooms::Dice;

/// The key that hostile servers signed with long ago, and what they publish of it.
pub(super) fn retired_key() -> (SigningKey, RetiredKey) {
    let key = SigningKey::from_seed("ed25519:retired", &[5; 32]).expect("a key id");
    let retired = RetiredKey {
        key_id: key.key_id().to_owned(),
        public: key.public_key(),
        expired: WallTime(1_500_000_000_000),
    };
    (key, retired)
}

/// Who hands at the wires of one server.
#[derive(Debug)]
pub(super) struct Hostile {
    dice: Dice,
    /// How many transactions were pushed, which names the next.
    pushed: u32,
    /// The last that each server got.
    last: BTreeMap<OwnedServerName, Parcel>,
    /// What becomes of the next answer to a request with this in its target.
    corruptions: Vec<(&'static str, Corruption)>,
    /// Events that were made and that others may ask for, though the server does not hold them.
    withheld: Vec<Pdu>,
    /// Rooms that it may know.
    rooms: Vec<OwnedRoomId>,
    /// Rooms in which it gave one id to two events.
    ambiguous: BTreeSet<OwnedRoomId>,
    /// Who was told a false state of which room.
    misled: BTreeSet<(OwnedServerName, OwnedRoomId)>,
    /// What it told of its keys.
    key_lies: Vec<KeyLie>,
}

impl Hostile {
    /// One who draws all chances from this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            pushed: 0,
            last: BTreeMap::new(),
            corruptions: Vec::new(),
            withheld: Vec::new(),
            rooms: Vec::new(),
            ambiguous: BTreeSet::new(),
            misled: BTreeSet::new(),
            key_lies: Vec::new(),
        }
    }

    /// Corrupts the next answer to such a request; `other` is a room of which foreign events may be.
    pub(super) fn will_answer(
        &mut self,
        target: &'static str,
        corruption: Corruption,
        rooms: Vec<OwnedRoomId>,
    ) {
        self.rooms = rooms;
        self.corruptions.push((target, corruption));
    }

    /// Whether the next answer to such a request is corrupted.
    pub(super) fn is_about_to_corrupt(&self, line: &str) -> bool {
        self.corruptions
            .iter()
            .any(|(target, _)| line.contains(target))
    }

    /// Rooms that it may know.
    pub(super) fn rooms(&self) -> &[OwnedRoomId] {
        &self.rooms
    }

    /// Somebody was lied to about its keys.
    pub(super) fn lied_about_keys(&mut self, lie: KeyLie) {
        self.key_lies.push(lie);
    }

    /// Corrupts no more answers.
    pub(super) fn relent(&mut self) {
        self.corruptions.clear();
    }

    /// Where all chances come from.
    pub(super) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// The transactions by which a ruse is pushed to a server.
    pub(super) fn parcels(
        &mut self,
        ruse: Ruse,
        to: &OwnedServerName,
        parcel: Parcel,
    ) -> Vec<Parcel> {
        let last = self.last.get(to).cloned();
        let parcels = match (ruse, last) {
            (Ruse::Replay, Some(last)) => vec![last],
            (Ruse::ReusedId, Some(Parcel { id, .. })) => vec![Parcel { id, ..parcel }],
            _ => vec![self.named(parcel)],
        };
        if let Some(last) = parcels.last() {
            self.last.insert(to.clone(), last.clone());
        }
        parcels
    }

    /// A transaction under a new id.
    pub(super) fn named(&mut self, parcel: Parcel) -> Parcel {
        self.pushed += 1;
        let id = format!("lie{}", self.pushed);
        Parcel { id, ..parcel }
    }

    /// Whom its lies left with what.
    pub(super) fn exempts(
        &self,
        rooms: &[OwnedRoomId],
        stored: &BTreeMap<OwnedServerName, StoredEvents>,
        exempt: &mut Exempt,
    ) {
        for room_id in &self.ambiguous {
            exempt.everybody(room_id.clone());
        }
        for (server, room_id) in &self.misled {
            exempt.told_a_state(server.clone(), room_id.clone());
        }
        for lie in &self.key_lies {
            exempt.told_keys(lie, rooms, stored);
        }
    }
}
