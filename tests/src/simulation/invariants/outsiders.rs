//! Nobody is listened to who is not in the room (PDU-13): what is accepted was said by somebody
//! whom the current state holds to be joined, whatever state the event itself names.
//!
//! Memberships are left out: who joins is not in the room before.

use std::collections::BTreeMap;

use comity_core::{
    Monotonic,
    persistence::{
        queries::{Batch, Write},
        tables::{StoredEvent, Verdict},
    },
};
use ruma_common::{OwnedServerName, ServerName};

use super::{Invariant, ledger::Ledger};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct NoOutsiders {
    ledgers: BTreeMap<OwnedServerName, Ledger>,
}

fn check(server: &ServerName, ledger: &Ledger, batch: &Batch) -> Result<(), String> {
    let events = batch.writes.iter().filter_map(|write| match write {
        Write::Event(event) => Some(event),
        _ => None,
    });
    for event in events.filter(|event| is_heard(ledger, event)) {
        let (room_id, sender) = (event.pdu.room_id(), event.pdu.sender());
        let member = ledger.state(room_id, "m.room.member", sender.as_str());
        let membership = member.and_then(|member| member.pdu.membership());
        if membership != Some("join") {
            return Err(format!(
                "{server} accepts {event:?}, though to it {sender} is {membership:?}"
            ));
        }
    }
    Ok(())
}

/// Whether an event becomes a part of a room that is known.
fn is_heard(ledger: &Ledger, event: &StoredEvent) -> bool {
    let held = ledger.event(event.pdu.event_id());
    let is_new = held.is_none_or(|held| held.gives_way_to(event));
    is_new
        && event.verdict == Verdict::Accepted
        && !event.is_outlier()
        && event.pdu.event_type() != "m.room.member"
        && ledger.room(event.pdu.room_id()).is_some()
}

impl Invariant for NoOutsiders {
    fn name(&self) -> &'static str {
        "nobody is listened to who is not in the room"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Written(server, batch) = sight else {
            return Ok(());
        };
        let ledger = self.ledgers.entry((*server).to_owned()).or_default();
        check(server, ledger, batch)?;
        ledger.note(batch);
        Ok(())
    }
}
