//! Nothing that was acknowledged is lost: neither what a user was told is done, nor what another
//! server was told is received.

use std::collections::BTreeSet;

use comity_core::{
    Monotonic,
    messaging::{command::Reply, notice::Notice},
    persistence::queries::{Answer, Read, Write},
};
use http::StatusCode;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};
use serde_json::Value;

use super::{Ending, Invariant};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct NothingLost {
    /// What a server said in answer to transactions that it has received without an error.
    received: BTreeSet<(OwnedServerName, OwnedEventId)>,
    /// The transactions that were answered, by who received, who sent, and the target: a
    /// repetition gets the same answer, whatever became of its events since.
    answered: BTreeSet<(OwnedServerName, OwnedServerName, String)>,
    /// What servers refused after all: before a transaction is answered, perhaps, of which another
    /// event takes longer.
    refused: BTreeSet<(OwnedServerName, OwnedEventId)>,
    /// The rooms of which a join was taken and then ended in vain, with a notice.
    ended: BTreeSet<(OwnedServerName, OwnedRoomId)>,
}

impl Invariant for NothingLost {
    fn name(&self) -> &'static str {
        "nothing acknowledged is lost"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        // What was acknowledged and then proved not to be had, or not to be ours to judge. The
        // application may be told so too late, the power being gone.
        if let Sight::Noticed(server, Notice::Refused { event_id, .. }) = sight {
            let refused = ((*server).to_owned(), event_id.clone());
            self.received.remove(&refused);
            self.refused.insert(refused);
        }
        if let Sight::Noticed(
            server,
            Notice::JoinEnded {
                room_id, result, ..
            },
        ) = sight
            && result.is_err()
        {
            self.ended.insert(((*server).to_owned(), room_id.clone()));
        }
        if let Sight::Written(server, batch) = sight {
            for write in &batch.writes {
                if let Write::Unstage { event_id, .. } = write {
                    self.received
                        .remove(&((*server).to_owned(), event_id.clone()));
                }
            }
            for write in &batch.writes {
                if let Write::Event(event) = write {
                    let event_id = event.pdu.event_id().to_owned();
                    self.received.insert(((*server).to_owned(), event_id));
                }
            }
        }
        let Sight::Answered(asked, response) = sight else {
            return Ok(());
        };
        if !asked.is_transaction() || response.status() != StatusCode::OK {
            return Ok(());
        }
        let (from, to) = (asked.from.to_owned(), asked.to.to_owned());
        if !self.answered.insert((to, from, asked.line.to_owned())) {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(response.body())
            .map_err(|error| format!("{} answers no JSON: {error}", asked.to))?;
        for (event_id, fate) in answer["pdus"].as_object().into_iter().flatten() {
            if let (Value::Null, Ok(event_id)) = (&fate["error"], event_id.as_str().try_into()) {
                let received = (asked.to.to_owned(), event_id);
                if !self.refused.contains(&received) {
                    self.received.insert(received);
                }
            }
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (server, event_id) in &self.received {
            if !end.stored[server].contains_key(event_id) {
                return Err(format!(
                    "{server} has lost {event_id}, which it had received"
                ));
            }
        }
        for order in end
            .orders
            .iter()
            .filter(|order| end.honest.contains(&order.server))
        {
            let (server, command) = (&order.server, &order.command);
            let kept = match &order.outcome {
                Some(Ok(Reply::Event(event_id))) => end.stored[server].contains_key(event_id),
                Some(Ok(Reply::Room(room_id))) => {
                    let read = Read::Room(room_id.clone());
                    let found = end.network.server(server.as_str()).read(read);
                    let place = (server.clone(), room_id.clone());
                    matches!(found, Answer::Room(Some(_))) || self.ended.contains(&place)
                }
                _ => true,
            };
            if !kept {
                return Err(format!("{server} has lost what came of {command:?}"));
            }
        }
        Ok(())
    }
}
