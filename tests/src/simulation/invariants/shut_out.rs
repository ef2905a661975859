//! A server that a room's access list denies is not listened to there: what it pushes is refused
//! (ACL-1).
//!
//! An access list counts from when it is on the disk of the one who heeds it, for what arrives
//! after that, as long as it is the same when the answer leaves and the one who heeds it is in the
//! room: who is out of a room and joins it again does not know its access list.

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_core::{
    Monotonic,
    pdu::{Pdu, acl},
};
use http::StatusCode;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};
use serde_json::Value;

use super::{Invariant, ledger::Ledger};
use crate::simulation::sight::{Asked, Sight};

/// See the module.
#[derive(Debug, Default)]
pub struct ShutOut {
    ledgers: BTreeMap<OwnedServerName, Ledger>,
    /// What was sent and not answered yet, by the number of the request.
    bodies: BTreeMap<u64, Bytes>,
    /// The events of a transaction that were denied when it first arrived, and the access list that
    /// did so, by who sent it, whom, and its target.
    denied: BTreeMap<(OwnedServerName, OwnedServerName, String), BTreeMap<OwnedEventId, Denied>>,
}

/// Why an event is to be refused.
#[derive(Debug)]
struct Denied {
    room_id: OwnedRoomId,
    list: OwnedEventId,
}

impl ShutOut {
    fn arrives(&mut self, asked: Asked<'_>) {
        let Some(body) = self.bodies.get(&asked.number) else {
            return;
        };
        let key = (asked.from.into(), asked.to.into(), asked.line.to_owned());
        let ledger = self.ledgers.entry(asked.to.to_owned()).or_default();
        let denied = || denied_events(ledger, asked, body);
        self.denied.entry(key).or_insert_with(denied);
    }

    fn answers(&mut self, asked: Asked<'_>, answer: &Bytes) -> Result<(), String> {
        let key = (asked.from.into(), asked.to.into(), asked.line.to_owned());
        let (Some(denied), Some(ledger)) = (self.denied.get(&key), self.ledgers.get(asked.to))
        else {
            return Ok(());
        };
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        for (event_id, Denied { room_id, list }) in denied {
            let fate = answer["pdus"].get(event_id.as_str());
            let is_taken = fate.is_some_and(|fate| fate["error"].is_null());
            if is_taken && denying(ledger, room_id, asked).as_ref() == Some(list) {
                let (from, to) = (asked.from, asked.to);
                return Err(format!(
                    "{to} takes {event_id} of {from}, whom {list} denies"
                ));
            }
        }
        Ok(())
    }
}

/// The access list by which a room denies the one that asks, if the one that is asked is in it.
fn denying(ledger: &Ledger, room_id: &RoomId, asked: Asked<'_>) -> Option<OwnedEventId> {
    let list = ledger.state(room_id, "m.room.server_acl", "")?;
    let denies = ledger.has_joined(room_id, asked.to)
        && !acl::content_allows(&list.pdu.content(), asked.from);
    denies.then(|| list.pdu.event_id().to_owned())
}

fn denied_events(
    ledger: &Ledger,
    asked: Asked<'_>,
    transaction: &Bytes,
) -> BTreeMap<OwnedEventId, Denied> {
    let transaction: Value = serde_json::from_slice(transaction).unwrap_or_default();
    let pdus = transaction["pdus"].as_array().into_iter().flatten();
    let denied = pdus.filter_map(|pdu| {
        let room_id: OwnedRoomId = pdu["room_id"].as_str()?.try_into().ok()?;
        let list = denying(ledger, &room_id, asked)?;
        let version = ledger.room(&room_id)?.record.version;
        let event = Pdu::parse(pdu.to_string(), version).ok()?;
        Some((event.event_id().to_owned(), Denied { room_id, list }))
    });
    denied.collect()
}

impl Invariant for ShutOut {
    fn name(&self) -> &'static str {
        "whom an access list denies is not listened to"
    }

    fn overhears(&mut self, sight: &Sight<'_>) {
        if let Sight::Requested(asked, request) = sight
            && asked.is_transaction()
        {
            self.bodies.insert(asked.number, request.body().clone());
        }
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Written(server, batch) => {
                let ledger = self.ledgers.entry((*server).to_owned()).or_default();
                ledger.note(batch);
            }
            Sight::Requested(..) => self.overhears(sight),
            Sight::Arrived(asked) => self.arrives(*asked),
            Sight::Answered(asked, response)
                if asked.is_transaction() && response.status() == StatusCode::OK =>
            {
                return self.answers(*asked, response.body());
            }
            _ => {}
        }
        Ok(())
    }
}
