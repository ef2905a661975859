//! The ends of a room's graph are events that the server accepted, and none builds on another.

use std::collections::BTreeMap;

use comity_core::{
    Monotonic,
    persistence::{
        queries::Write,
        tables::{RoomRecord, Verdict},
    },
};
use ruma_common::{OwnedServerName, ServerName};

use super::{Invariant, ledger::Ledger};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct EndsAreEnds {
    ledgers: BTreeMap<OwnedServerName, Ledger>,
}

fn check(server: &ServerName, ledger: &Ledger, room: &RoomRecord) -> Result<(), String> {
    let ends = &room.extremities;
    for end in ends {
        let held = ledger.event(end).filter(|held| !held.is_outlier());
        let Some(held) = held.filter(|held| held.verdict == Verdict::Accepted) else {
            return Err(format!("{server} takes {end} for an end of {room:?}"));
        };
        let mut before = held.pdu.prev_events().iter();
        if let Some(before) = before.find(|before| ends.iter().any(|end| end == before)) {
            return Err(format!(
                "{server} takes {before}, on which {end} builds, for an end of {room:?}"
            ));
        }
    }
    Ok(())
}

impl Invariant for EndsAreEnds {
    fn name(&self) -> &'static str {
        "the ends of a graph were accepted and are ends"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Written(server, batch) = sight else {
            return Ok(());
        };
        let ledger = self.ledgers.entry((*server).to_owned()).or_default();
        ledger.note(batch);
        for write in &batch.writes {
            if let Write::Room { record, .. } = write {
                check(server, ledger, record)?;
            }
        }
        Ok(())
    }
}
