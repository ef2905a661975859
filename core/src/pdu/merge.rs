//! Merging states by facts: the rules of [`super::resolution`], given what the engine holds.
//!
//! **Cost.** What is read of the store follows the conflict and its auth chains. Whether an event in
//! the chain of one state is in that of another too cannot be seen from below: the events that rest
//! on it are asked for, as far as they are state events, since an event of a state rests on no
//! others. If there are more of them than the state has entries, its own events are read instead.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};

use super::{
    Pdu, StateMap,
    resolution::{self, EventLookup, MissingEvents},
};
use crate::engine::{facts::Facts, need::AuthDescendants, stop::Stop, world::Room};

/// The state that follows from several of this room, of which some may hold a `newcomer` that is
/// not stored yet.
///
/// # Errors
/// Refused names events that nobody we know holds: then there is no answer, and none is guessed.
pub fn resolve(
    room: &Room,
    states: &[StateMap],
    newcomer: Option<&Arc<Pdu>>,
    facts: &Facts<'_>,
) -> Result<StateMap, Stop<MissingEvents>> {
    let at_hand = AtHand {
        facts,
        newcomer,
        citations: Citations::at_hand(room, facts),
        unanswered: RefCell::default(),
    };
    facts.note_resolution();
    let resolved = resolution::resolve(room.version, states, &at_hand);
    let unanswered = at_hand.unanswered.into_inner();
    if !unanswered.is_empty() {
        let entries = states.first().map_or(0, StateMap::len);
        facts.auth_descendants(AuthDescendants {
            of: unanswered.into_iter().collect(),
            limit: u32::try_from(entries).unwrap_or(u32::MAX),
            current: room.current,
        })?;
    }
    if let Err(missing) = &resolved {
        facts.auth_chain(missing.0.iter().cloned().collect())?;
    }
    resolved.map_err(Stop::Refused)
}

struct AtHand<'f> {
    facts: &'f Facts<'f>,
    newcomer: Option<&'f Arc<Pdu>>,
    citations: Citations,
    /// The events of which nobody has asked yet who cites them. As long as there are some, what
    /// comes of the resolution does not count.
    unanswered: RefCell<BTreeSet<OwnedEventId>>,
}

impl EventLookup for AtHand<'_> {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        let newcomer = self.newcomer.filter(|event| event.event_id() == event_id);
        newcomer.or_else(|| self.facts.event_at_hand(event_id).map(|event| &event.pdu))
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.facts
            .event_at_hand(event_id)
            .is_some_and(|event| !event.counts())
    }

    fn cited_by(&self, event_id: &EventId) -> Option<&[OwnedEventId]> {
        match self.citations.0.get(event_id) {
            Some(citing) => citing.as_deref(),
            None => {
                self.unanswered.borrow_mut().insert(event_id.to_owned());
                Some(&[])
            }
        }
    }
}

/// Which state events name an event among their auth events; `None` where they are too many.
struct Citations(BTreeMap<OwnedEventId, Option<Vec<OwnedEventId>>>);

impl Citations {
    /// As far as they were asked for.
    fn at_hand(room: &Room, facts: &Facts<'_>) -> Self {
        let answers = facts.auth_descendants_at_hand();
        let answers: Vec<_> = answers
            .filter(|(of, _)| of.current == room.current)
            .collect();
        let mut citations = BTreeMap::new();
        for (of, descendants) in &answers {
            let nobody_yet = descendants.map(|_| Vec::new());
            let told = descendants.iter().flat_map(|events| events.keys());
            let told = told.chain(&of.of);
            citations.extend(told.map(|event_id| (event_id.clone(), nobody_yet.clone())));
        }
        for (event_id, event) in answers.iter().filter_map(|(_, events)| *events).flatten() {
            for cited in event.pdu.auth_events() {
                if let Some(Some(citing)) = citations.get_mut(cited) {
                    citing.push(event_id.clone());
                }
            }
        }
        Self(citations)
    }
}
