//! What an honest server said in a room reaches every other honest server that was in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::{
    Monotonic,
    persistence::{
        queries::Read,
        tables::{SnapshotId, StoredEvent},
    },
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};

use super::{Ending, Invariant, stays::Stays};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct Heard {
    stays: Stays,
}

impl Invariant for Heard {
    fn name(&self) -> &'static str {
        "what was said is heard"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        self.stays.sees(at, sight);
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms {
            let mut states = BTreeMap::new();
            for [(speaker, _), (listener, _)] in end.pairs_inside(room_id) {
                self.check(end, &mut states, room_id, [speaker, listener])?;
            }
        }
        Ok(())
    }
}

/// The events of states that were looked up, by server and snapshot.
pub(super) type States = BTreeMap<(OwnedServerName, SnapshotId), BTreeSet<OwnedEventId>>;

/// What the speaker said while a user of the listener, who knew of it and never left since, was in
/// the room.
pub(super) fn said(
    end: &mut Ending<'_>,
    states: &mut States,
    stays: &Stays,
    room_id: &OwnedRoomId,
    [speaker, listener]: [&OwnedServerName; 2],
) -> Vec<Arc<StoredEvent>> {
    let present = end.network.server(listener.as_str()).current_state(room_id);
    let joined = present
        .iter()
        .filter(|event| event.pdu.membership() == Some("join") && event.pdu.origin() == listener)
        .filter(|event| !event.is_outlier());
    let joined: BTreeSet<OwnedEventId> = joined
        .map(|event| event.pdu.event_id().to_owned())
        .collect();
    let own = end.stored[speaker].values().filter(|event| {
        let is_own = event.pdu.origin() == speaker && event.pdu.room_id() == *room_id;
        is_own && event.position.is_some()
    });
    let heard = own.filter(|event| {
        event.state.is_some_and(|state| {
            let before = states
                .entry((speaker.clone(), state.before))
                .or_insert_with(|| {
                    let read = Read::SnapshotEvents(state.before);
                    let events = end.network.server(speaker.as_str()).events(read);
                    let ids = events.iter().map(|event| event.pdu.event_id().to_owned());
                    ids.collect()
                });
            let mut joins = before.intersection(&joined).peekable();
            joins.peek().is_some() && !stays.missed(listener, &event.pdu, joins)
        })
    });
    heard.cloned().collect()
}

impl Heard {
    /// All of that the listener holds and did not reject.
    fn check(
        &self,
        end: &mut Ending<'_>,
        states: &mut States,
        room_id: &OwnedRoomId,
        [speaker, listener]: [&OwnedServerName; 2],
    ) -> Result<(), String> {
        for event in said(end, states, &self.stays, room_id, [speaker, listener]) {
            let json = event.pdu.json();
            match end.stored[listener].get(event.pdu.event_id()) {
                None => return Err(format!("{listener} never heard {json} of {speaker}")),
                Some(held) if held.verdict.is_rejected() => {
                    return Err(format!("{listener} rejected {held:?} of {speaker}"));
                }
                Some(held) if held.is_outlier() => {
                    return Err(format!(
                        "{listener} holds {held:?} of {speaker} as an outlier"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
