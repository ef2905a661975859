//! Version 1 of the algorithm (room versions, version 1, "State resolution").
//!
//! Entries are resolved in four passes: power levels, join rules, memberships, all others. An event
//! is judged by what the passes before its own have resolved: the entries of one pass do not see
//! each other, as in Synapse, so that their order does not matter. The specification does not say
//! what to do if no candidate of an entry in the last pass is allowed: as in Synapse, the last one
//! is taken. Candidates that were rejected on receipt do not count.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::EventId;
use sha1::{Digest, Sha1};

use super::{EventLookup, Events, MissingEvents, Observer, Place, Verdict};
use crate::pdu::{
    Pdu, StateKey, StateMap,
    auth_events::needed_state,
    authorisation::{Denied, StateView, check_state},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
};

/// The candidates of each entry in conflict: the greatest depth first, then the smallest SHA-1 of
/// the event id.
type Candidates<'a> = BTreeMap<&'a StateKey, Vec<&'a Arc<Pdu>>>;

pub(super) fn resolve<'a, L: EventLookup>(
    first: &'a StateMap,
    others: &'a [StateMap],
    events: &mut Events<'a, L>,
    observer: &mut impl Observer,
) -> Result<StateMap, MissingEvents> {
    let (mut resolved, conflicted) = split(first, others, events, observer);
    load_agreed(&resolved, &conflicted, events);
    events.unless_missing(())?;
    for pass in [
        Pass::PowerLevels,
        Pass::JoinRules,
        Pass::Members,
        Pass::Others,
    ] {
        let before = resolved.clone();
        for (key, candidates) in &conflicted {
            if pass != Pass::of(key) {
                continue;
            }
            let room = Room {
                state: &before,
                lookup: events.lookup,
                present: None,
            };
            let chosen = match pass {
                Pass::Others => first_allowed(&room, candidates, observer),
                _ => last_of_chain(&room, candidates, observer),
            };
            if let Some(event) = chosen {
                resolved.insert((*key).clone(), event.event_id().to_owned());
            }
        }
    }
    Ok(resolved)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    PowerLevels,
    JoinRules,
    Members,
    Others,
}

impl Pass {
    fn of(key: &StateKey) -> Self {
        match (&*key.event_type, &*key.state_key) {
            (POWER_LEVELS, "") => Self::PowerLevels,
            (JOIN_RULES, _) => Self::JoinRules,
            (MEMBER, _) => Self::Members,
            _ => Self::Others,
        }
    }
}

/// The union of the states without the entries in conflict, and those. An entry that a state lacks
/// is not in conflict because of that.
fn split<'a, L: EventLookup>(
    first: &'a StateMap,
    others: &'a [StateMap],
    events: &mut Events<'a, L>,
    observer: &mut impl Observer,
) -> (StateMap, Candidates<'a>) {
    let (mut agreed, mut conflicted) = (first.clone(), Candidates::new());
    let differences = others.iter().flat_map(|other| first.diff(other));
    let keys: BTreeSet<&StateKey> = differences.map(|change| change.key).collect();
    for key in keys {
        let in_each = || {
            std::iter::once(first)
                .chain(others)
                .map(|state| state.get_key(key))
        };
        let candidates: BTreeSet<&EventId> = in_each().flatten().collect();
        if let (Some(only), 1) = (candidates.first(), candidates.len()) {
            agreed.insert(key.clone(), (*only).to_owned());
            continue;
        }
        observer.conflict(key, in_each());
        agreed.remove(key);
        conflicted.insert(key, in_order(candidates, events, observer));
    }
    (agreed, conflicted)
}

fn in_order<'a, L: EventLookup>(
    candidates: BTreeSet<&EventId>,
    events: &mut Events<'a, L>,
    observer: &mut impl Observer,
) -> Vec<&'a Arc<Pdu>> {
    let held = candidates.into_iter().filter_map(|id| events.get(id));
    let mut order: Vec<_> = held.collect();
    order.retain(|event| {
        let rejected = events.is_rejected(event.event_id());
        if rejected {
            observer.judged(event, Place::Depth(event.depth()), Verdict::Rejected);
        }
        !rejected
    });
    order.sort_by_cached_key(|event| (Reverse(event.depth()), Sha1::digest(event.event_id())));
    order
}

/// Looks at the agreed events that candidates will be judged by, so that all that are missing are
/// asked for at once.
fn load_agreed<L: EventLookup>(
    agreed: &StateMap,
    conflicted: &Candidates<'_>,
    events: &mut Events<'_, L>,
) {
    for event in conflicted.values().flatten() {
        for (event_type, state_key) in needed_state(&***event, event.room_version()).entries() {
            let event_id = agreed.get(event_type, state_key);
            event_id.and_then(|event_id| events.get(event_id));
        }
    }
}

/// The room as the passes before have resolved it.
struct Room<'a, L> {
    state: &'a StateMap,
    lookup: &'a L,
    /// The present candidate of the entry that is being resolved.
    present: Option<&'a Pdu>,
}

impl<L: EventLookup> StateView for Room<'_, L> {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        let present = self
            .present
            .filter(|event| event.is_state_for(event_type, state_key));
        present.or_else(|| {
            let event_id = self.state.get(event_type, state_key)?;
            self.lookup.get(event_id).map(|event| &**event)
        })
    }
}

impl<L: EventLookup> Room<'_, L> {
    fn check(&self, event: &Pdu) -> Result<(), Denied> {
        let create = self.event(CREATE, "");
        let create = create.ok_or_else(|| Denied::no_create_event(event))?;
        check_state(event, create, self)
    }
}

/// For entries that the rules look at: from the last candidate on, each must be allowed after the
/// one before it; the first that is not ends the chain.
fn last_of_chain<'a, L: EventLookup>(
    room: &Room<'_, L>,
    candidates: &[&'a Arc<Pdu>],
    observer: &mut impl Observer,
) -> Option<&'a Pdu> {
    let (first, rest) = candidates.split_last()?;
    observer.judged(first, Place::Depth(first.depth()), Verdict::Unchecked);
    let mut present: &'a Pdu = first;
    for event in rest.iter().rev() {
        let room = Room {
            present: Some(present),
            ..*room
        };
        let allowed = room.check(event);
        let is_allowed = allowed.is_ok();
        observer.judged(event, Place::Depth(event.depth()), allowed.into());
        if !is_allowed {
            break;
        }
        present = event;
    }
    Some(present)
}

/// For all other entries: the first candidate that is allowed, or else the last.
fn first_allowed<'a, L: EventLookup>(
    room: &Room<'_, L>,
    candidates: &[&'a Arc<Pdu>],
    observer: &mut impl Observer,
) -> Option<&'a Pdu> {
    let (last, before) = candidates.split_last()?;
    for event in before {
        let allowed = room.check(event);
        let is_allowed = allowed.is_ok();
        observer.judged(event, Place::Depth(event.depth()), allowed.into());
        if is_allowed {
            return Some(event);
        }
    }
    let verdict = room
        .check(last)
        .map_or_else(Verdict::LastResort, |()| Verdict::Allowed);
    observer.judged(last, Place::Depth(last.depth()), verdict);
    Some(last)
}
