//! Nothing leaves before it is on the disk of the one who says it: no event is shown, no
//! transaction answered and none sent that a crash could make unsaid. The transaction that the disk
//! says is begun is the one that is sent, until it is answered (TXN-3).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use comity_core::{
    Monotonic,
    messaging::notice::Notice,
    persistence::queries::{Batch, Write},
    transaction::inbox::ReliableEdu,
};
use http::StatusCode;
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};
use serde_json::Value;

use super::Invariant;
use crate::simulation::sight::{Asked, Sight};

/// See the module.
#[derive(Debug, Default)]
pub struct NotedFirst {
    disks: BTreeMap<OwnedServerName, Noted>,
}

/// What a disk holds.
#[derive(Debug, Default)]
struct Noted {
    events: BTreeSet<OwnedEventId>,
    /// Which transactions of whom were answered.
    answered: BTreeSet<(OwnedServerName, String)>,
    /// The transaction that was begun, by destination.
    begun: BTreeMap<OwnedServerName, String>,
}

impl Noted {
    fn note(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::Event(event) => drop(self.events.insert(event.pdu.event_id().to_owned())),
                Write::ReceivedTransaction {
                    origin,
                    transaction_id,
                    ..
                } => {
                    let answered = (origin.clone(), transaction_id.to_string());
                    self.answered.insert(answered);
                }
                Write::TransactionBegun {
                    destination,
                    transaction,
                } => {
                    let id = transaction.transaction_id.clone();
                    self.begun.insert(destination.clone(), id);
                }
                Write::TransactionDelivered { destination, .. } => {
                    self.begun.remove(destination);
                }
                _ => {}
            }
        }
    }

    fn must_have_begun(&self, asked: Asked<'_>, body: &Bytes) -> Result<(), String> {
        let (from, to, id) = (asked.from, asked.to, asked.last_segment());
        match self.begun.get(to) {
            Some(begun) if begun == id => Ok(()),
            Some(begun) => Err(format!("{from} sends {id} to {to}, but has begun {begun}")),
            None if holds_what_must_not_be_lost(body) => {
                Err(format!("{from} sends {id} to {to} and has not noted it"))
            }
            None => Ok(()),
        }
    }
}

impl NotedFirst {
    fn disk(&mut self, server: &ServerName) -> &mut Noted {
        self.disks.entry(server.to_owned()).or_default()
    }
}

fn holds_what_must_not_be_lost(transaction: &Bytes) -> bool {
    let transaction: Value = serde_json::from_slice(transaction).unwrap_or_default();
    let edus = transaction["edus"].as_array().into_iter().flatten();
    let mut types = edus.filter_map(|edu| edu["edu_type"].as_str());
    let has_events = transaction["pdus"]
        .as_array()
        .is_some_and(|it| !it.is_empty());
    has_events || types.any(ReliableEdu::is_type)
}

impl Invariant for NotedFirst {
    fn name(&self) -> &'static str {
        "nothing leaves before it is on disk"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Written(server, batch) => self.disk(server).note(batch),
            Sight::Noticed(server, Notice::Event(event) | Notice::NotAccepted { event, .. }) => {
                let event_id = event.pdu.event_id();
                if !self.disk(server).events.contains(event_id) {
                    return Err(format!(
                        "{server} shows {event_id}, which is not on its disk"
                    ));
                }
            }
            Sight::Requested(asked, request) if asked.is_transaction() => {
                return self
                    .disk(asked.from)
                    .must_have_begun(*asked, request.body());
            }
            Sight::Answered(asked, response)
                if asked.is_transaction() && response.status() == StatusCode::OK =>
            {
                let (from, to, id) = (asked.from, asked.to, asked.last_segment());
                if !self
                    .disk(to)
                    .answered
                    .contains(&(from.to_owned(), id.to_owned()))
                {
                    return Err(format!("{to} answers {id} of {from} and has not noted it"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
