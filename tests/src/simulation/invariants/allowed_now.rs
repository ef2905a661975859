//! What another server sends is accepted only if a room's current state allows it when it comes,
//! whatever state it names itself: who was banned is not listened to any more (PDU-12). And what is
//! soft-failed is so for that reason alone: servers differ in it only as far as they knew different
//! states when the event came.

use std::collections::BTreeMap;

use comity_core::{
    Monotonic,
    pdu::{auth_events::needed_state, view::View},
    persistence::{
        queries::Write,
        tables::{StoredEvent, Verdict},
    },
};
use ruma_common::{OwnedServerName, ServerName};

use super::{Invariant, ledger::Ledger};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct AllowedNow {
    ledgers: BTreeMap<OwnedServerName, Ledger>,
}

/// Checks an event that is written, by what was written before.
fn check(server: &ServerName, ledger: &Ledger, event: &StoredEvent) -> Result<(), String> {
    let (pdu, room_id) = (&event.pdu, event.pdu.room_id());
    let needed = needed_state(&**pdu, pdu.room_version());
    let now = needed
        .entries()
        .filter_map(|(event_type, state_key)| ledger.state(room_id, event_type, state_key));
    let now = now.filter(|event| event.counts());
    let now = View::made_of(now.map(|event| event.pdu.clone()).collect());
    match (now.check(pdu), &event.verdict) {
        (Err(denied), Verdict::Accepted) => Err(format!(
            "{server} accepts {event:?}, which is not allowed any more: {denied}"
        )),
        (Ok(()), Verdict::SoftFailed(_)) => Err(format!(
            "{server} soft-fails {event:?}, which is allowed now"
        )),
        _ => Ok(()),
    }
}

/// Whether an event of another server becomes a part of a room's graph and is shown as news, or
/// would be if it were not soft-failed. A piece of the past that was shown before a server came back
/// is not judged by what is true today.
fn is_judged_now(server: &ServerName, ledger: &Ledger, event: &StoredEvent) -> bool {
    let held = ledger.event(event.pdu.event_id());
    let is_new = held.is_none_or(|held| held.position.is_none() && held.gives_way_to(event));
    let is_judged = match event.verdict {
        Verdict::Accepted => event.position.is_some(),
        Verdict::SoftFailed(_) => true,
        Verdict::Rejected(_) => false,
    };
    is_new
        && is_judged
        && !event.is_outlier()
        && event.pdu.origin() != server
        && ledger.room(event.pdu.room_id()).is_some()
}

impl Invariant for AllowedNow {
    fn name(&self) -> &'static str {
        "what is accepted is allowed now, and what is soft-failed is not"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Written(server, batch) = sight else {
            return Ok(());
        };
        let ledger = self.ledgers.entry((*server).to_owned()).or_default();
        for write in &batch.writes {
            match write {
                Write::Event(event) if is_judged_now(server, ledger, event) => {
                    check(server, ledger, event)?;
                }
                _ => {}
            }
            ledger.note_write(write);
        }
        Ok(())
    }
}
