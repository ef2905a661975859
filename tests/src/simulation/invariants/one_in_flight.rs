//! One transaction at a time is in flight from one server to another, and it is repeated as it
//! was until it is answered (TXN-3).

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_core::Monotonic;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::Value;

use super::Invariant;
use crate::simulation::sight::{Asked, Sight};

type Pair = (OwnedServerName, OwnedServerName);

/// See the module.
#[derive(Debug, Default)]
pub struct OneInFlight {
    in_flight: BTreeMap<Pair, u64>,
    /// What each transaction held, by pair and target.
    sent: BTreeMap<(Pair, String), Content>,
    /// How often a server was started.
    lives: BTreeMap<OwnedServerName, u64>,
}

/// What a transaction held.
#[derive(Debug)]
struct Content {
    life: u64,
    /// What is no event.
    edus: Value,
    /// Its events by their content hashes, which outlive a redaction.
    events: Vec<Value>,
}

impl OneInFlight {
    fn leaves(&mut self, asked: Asked<'_>, body: &Bytes) -> Result<(), String> {
        let (from, to) = (asked.from, asked.to);
        let pair = (from.to_owned(), to.to_owned());
        if self.in_flight.contains_key(&pair) {
            return Err(format!("{from} has two transactions in flight to {to}"));
        }
        self.in_flight.insert(pair.clone(), asked.number);
        let key = (pair, asked.line.to_owned());
        let content = self.content(from, body)?;
        let Some(first) = self.sent.get(&key) else {
            self.sent.insert(key, content);
            return Ok(());
        };
        // What is true for a moment only is not on disk, and a crash forgets it.
        let same_edus = first.life != content.life || first.edus == content.edus;
        match same_edus && first.events == content.events {
            true => Ok(()),
            false => Err(format!(
                "{from} repeats {} to {to} with other content",
                asked.line
            )),
        }
    }

    fn content(&self, from: &ServerName, body: &Bytes) -> Result<Content, String> {
        let parsed: Value = serde_json::from_slice(body)
            .map_err(|error| format!("{from} sends a transaction that is no JSON: {error}"))?;
        let events = parsed["pdus"].as_array().cloned().unwrap_or_default();
        Ok(Content {
            life: self.lives.get(from).copied().unwrap_or(0),
            edus: parsed["edus"].clone(),
            events: events.iter().map(|event| event["hashes"].clone()).collect(),
        })
    }

    fn ends(&mut self, asked: Asked<'_>) {
        let pair = (asked.from.to_owned(), asked.to.to_owned());
        if self.in_flight.get(&pair) == Some(&asked.number) {
            self.in_flight.remove(&pair);
        }
    }
}

impl Invariant for OneInFlight {
    fn name(&self) -> &'static str {
        "one transaction in flight, repeated as it was"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Started(server) => *self.lives.entry((*server).to_owned()).or_default() += 1,
            Sight::Requested(asked, request) if asked.is_transaction() => {
                self.leaves(*asked, request.body())?;
            }
            Sight::Concluded(asked, _) | Sight::Abandoned(asked) => self.ends(*asked),
            _ => {}
        }
        Ok(())
    }
}
