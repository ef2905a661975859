//! Honest servers in a room agree: on its state, and on what they think of every event.

use std::collections::BTreeSet;

use comity_core::persistence::tables::StoredEvent;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};

use super::{Ending, Invariant};

/// Honest servers that see each other in a room end with the same state.
#[derive(Debug)]
pub struct SameState;

impl Invariant for SameState {
    fn name(&self) -> &'static str {
        "the same state everywhere"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms.iter().filter(|id| !end.ambiguous.contains(*id)) {
            for [(one, of_one), (other, of_other)] in end.pairs_inside(room_id) {
                if of_one.state_digest == of_other.state_digest {
                    continue;
                }
                let [here, there] = [one, other].map(|server| current_state(end, server, room_id));
                let (only_here, only_there) = (&here - &there, &there - &here);
                return Err(format!(
                    "in {room_id} only {one} holds {only_here:#?}, only {other} {only_there:#?}"
                ));
            }
        }
        Ok(())
    }
}

/// Every event that two honest servers have judged in its place in the graph was rejected by both
/// or by neither. Soft failure depends on when an event came, and may differ.
#[derive(Debug)]
pub struct SameVerdicts;

impl Invariant for SameVerdicts {
    fn name(&self) -> &'static str {
        "the same verdict everywhere"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (one, events) in end.stored {
            for (other, others) in end.stored.range::<OwnedServerName, _>(one..).skip(1) {
                for (event_id, here) in events {
                    let Some(there) = others.get(event_id) else {
                        continue;
                    };
                    let clear = !end.ambiguous.contains(here.pdu.room_id());
                    if clear && disagree(here, there) {
                        return Err(format!("{one} holds {here:?}, but {other} {there:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// An outlier is judged by its auth events alone, so that only verdicts of one kind compare.
fn disagree(one: &StoredEvent, other: &StoredEvent) -> bool {
    let comparable = one.state.is_some() == other.state.is_some();
    comparable && one.verdict.is_rejected() != other.verdict.is_rejected()
}

fn current_state(
    end: &mut Ending<'_>,
    server: &OwnedServerName,
    room_id: &OwnedRoomId,
) -> BTreeSet<(OwnedEventId, String)> {
    let state = end.network.server(server.as_str()).current_state(room_id);
    let shown =
        |event: &StoredEvent| (event.pdu.event_id().to_owned(), event.pdu.json().to_owned());
    state.iter().map(|event| shown(event)).collect()
}
