//! What a user says under a key is said once, however often the user has to ask.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::messaging::command::Reply;
use ruma_common::{EventId, OwnedServerName};
use serde_json::Value;

use super::{Ending, Invariant};

/// See the module. What is said under a key is the key, so that it is found again.
#[derive(Debug)]
pub struct SaidOnce;

impl Invariant for SaidOnce {
    fn name(&self) -> &'static str {
        "what has a key is said once"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        let mut said: BTreeMap<(&OwnedServerName, String), BTreeSet<&EventId>> = BTreeMap::new();
        for (server, events) in end.stored {
            for event in events.values().filter(|event| event.pdu.origin() == server) {
                if let Some(word) = event.pdu.content().get("body").and_then(Value::as_str) {
                    let of_key = said.entry((server, word.to_owned())).or_default();
                    of_key.insert(event.pdu.event_id());
                }
            }
        }
        for order in end.orders {
            if let (Some(key), Some(Ok(Reply::Event(event_id)))) = (order.key(), &order.outcome) {
                let of_key = said.entry((&order.server, key.to_owned())).or_default();
                of_key.insert(event_id);
            }
        }
        match said.into_iter().find(|(_, events)| events.len() > 1) {
            Some(((server, word), events)) => Err(format!("{server} says {word} in {events:?}")),
            None => Ok(()),
        }
    }
}
