//! What an honest server said in a room it has itself delivered, in a transaction that was taken,
//! to every other honest server that was in it. It does not count that others fetched it.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{Monotonic, messaging::notice::Notice};
use http::StatusCode;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::Value;

use super::{
    Ending, Invariant,
    heard::{self, States},
    stays::Stays,
};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct Pushed {
    /// The events of transactions that were not concluded yet, by the number of the request.
    under_way: BTreeMap<u64, Vec<String>>,
    delivered: BTreeSet<(OwnedServerName, OwnedServerName, String)>,
    /// Who gave up a part of whose queue.
    given_up: BTreeSet<(OwnedServerName, OwnedServerName)>,
    stays: Stays,
}

/// What tells an event from others and outlives a redaction: its content hash.
fn hash(event: &Value) -> Option<String> {
    event["hashes"]["sha256"].as_str().map(ToOwned::to_owned)
}

impl Pushed {
    /// Whether it was delivered, or is for another to deliver, who made it in the name of a user of the
    /// speaker's: an invite of somebody whose address that user had invited.
    fn check(&self, speaker: &ServerName, listener: &ServerName, event: Value) -> bool {
        if event["signatures"][speaker.as_str()].is_null() {
            return true;
        }
        let delivered = |hash| (speaker.to_owned(), listener.to_owned(), hash);
        hash(&event).is_none_or(|hash| self.delivered.contains(&delivered(hash)))
    }
}

impl Invariant for Pushed {
    fn name(&self) -> &'static str {
        "what was said is delivered"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        self.stays.sees(at, sight);
        match sight {
            Sight::Requested(asked, request) if asked.is_transaction() => {
                let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let events = body["pdus"].as_array().into_iter().flatten();
                let hashes = events.filter_map(hash).collect();
                self.under_way.insert(asked.number, hashes);
            }
            Sight::Concluded(asked, outcome) if asked.is_transaction() => {
                let hashes = self.under_way.remove(&asked.number).unwrap_or_default();
                let taken = |it: &http::Response<_>| it.status() == StatusCode::OK;
                if outcome.as_ref().is_ok_and(taken) {
                    let (from, to) = (asked.from, asked.to);
                    let delivered = |hash| (from.to_owned(), to.to_owned(), hash);
                    self.delivered.extend(hashes.into_iter().map(delivered));
                }
            }
            Sight::Abandoned(asked) => drop(self.under_way.remove(&asked.number)),
            Sight::Noticed(server, Notice::GivenUp { destination, .. }) => {
                let pair = ((*server).to_owned(), destination.clone());
                self.given_up.insert(pair);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms {
            let mut states = States::new();
            for [(speaker, _), (listener, _)] in end.pairs_inside(room_id) {
                if self.given_up.contains(&(speaker.clone(), listener.clone())) {
                    continue;
                }
                let pair = [speaker, listener];
                for event in heard::said(end, &mut states, &self.stays, room_id, pair) {
                    // Who comes and goes by way of another server lets that one tell.
                    let is_own = event.pdu.state_key() == Some(event.pdu.sender().as_str());
                    let object = Value::Object(event.pdu.object());
                    if !is_own && !self.check(speaker, listener, object) {
                        let json = event.pdu.json();
                        return Err(format!("{speaker} never delivered {json} to {listener}"));
                    }
                }
            }
        }
        Ok(())
    }
}
