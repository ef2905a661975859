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
};

use ruma_common::EventId;
use sha1::{Digest, Sha1};

use super::{
    EventLookup, MissingEvents, Observer, Place, Verdict,
    conflicts::Conflicts,
    graph::{Graph, Node},
};
use crate::pdu::{
    Pdu, StateMap,
    auth_events::needed_state,
    authorisation::{Denied, StateView, check_state},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
    state::Entry,
};

/// The candidates of each entry in conflict: the greatest depth first, then the smallest SHA-1 of
/// the event id.
type Candidates<'a> = BTreeMap<Entry<'a>, Vec<Node<'a>>>;

pub(super) fn resolve<'a, L: EventLookup>(
    conflicts: &Conflicts<'a>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> Result<StateMap, MissingEvents> {
    let (mut resolved, conflicted) = split(conflicts, graph, observer);
    load_agreed(&resolved, &conflicted, graph);
    graph.if_complete(())?;
    for pass in [
        Pass::PowerLevels,
        Pass::JoinRules,
        Pass::Members,
        Pass::Others,
    ] {
        let before = resolved.clone();
        let room = Room {
            state: &before,
            lookup: graph.lookup,
            present: None,
        };
        for (entry, candidates) in conflicted
            .iter()
            .filter(|(entry, _)| pass == Pass::of(entry))
        {
            let chosen = match pass {
                Pass::Others => first_allowed(&room, candidates, observer),
                _ => last_of_chain(&room, candidates, observer),
            };
            if let Some(event) = chosen {
                resolved.set(*entry, event.event_id());
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
    fn of(entry: &Entry<'_>) -> Self {
        match *entry {
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
    conflicts: &Conflicts<'a>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> (StateMap, Candidates<'a>) {
    let (mut agreed, mut conflicted) = (Vec::new(), Candidates::new());
    for (entry, in_each) in conflicts.iter() {
        let candidates: BTreeSet<&EventId> = in_each.iter().flatten().copied().collect();
        let only = candidates.first().filter(|_| candidates.len() == 1);
        agreed.push(only.copied());
        if only.is_none() {
            observer.conflict(entry, in_each);
            conflicted.insert(entry, in_order(candidates, graph, observer));
        }
    }
    (conflicts.settled(agreed, []), conflicted)
}

fn in_order<'a, L: EventLookup>(
    candidates: BTreeSet<&EventId>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> Vec<Node<'a>> {
    let held = candidates.into_iter().filter_map(|id| graph.get(id));
    let (rejected, mut order): (Vec<_>, Vec<_>) = held.partition(|node| node.rejected);
    for node in rejected {
        observer.judged(node.event, place(node), Verdict::Rejected);
    }
    order.sort_by_cached_key(|node| (Reverse(node.event.depth()), Sha1::digest(node.event_id())));
    order
}

fn place(node: Node<'_>) -> Place {
    Place::Depth(node.event.depth())
}

/// Looks at the agreed events that candidates will be judged by, so that all that are missing are
/// asked for at once.
fn load_agreed<L: EventLookup>(
    agreed: &StateMap,
    conflicted: &Candidates<'_>,
    graph: &mut Graph<'_, L>,
) {
    for node in conflicted.values().flatten() {
        let event: &Pdu = node.event;
        for (event_type, state_key) in needed_state(event, event.room_version()).entries() {
            let event_id = agreed.get(event_type, state_key);
            event_id.and_then(|event_id| graph.get(event_id));
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
    candidates: &[Node<'a>],
    observer: &mut impl Observer,
) -> Option<&'a Pdu> {
    let (first, rest) = candidates.split_last()?;
    observer.judged(first.event, place(*first), Verdict::Unchecked);
    let mut present: &'a Pdu = first.event;
    for node in rest.iter().rev() {
        let room = Room {
            present: Some(present),
            ..*room
        };
        let allowed = room.check(node.event);
        let is_allowed = allowed.is_ok();
        observer.judged(node.event, place(*node), allowed.into());
        if !is_allowed {
            break;
        }
        present = node.event;
    }
    Some(present)
}

/// For all other entries: the first candidate that is allowed, or else the last.
fn first_allowed<'a, L: EventLookup>(
    room: &Room<'_, L>,
    candidates: &[Node<'a>],
    observer: &mut impl Observer,
) -> Option<&'a Pdu> {
    let (last, before) = candidates.split_last()?;
    for node in before {
        let allowed = room.check(node.event);
        let is_allowed = allowed.is_ok();
        observer.judged(node.event, place(*node), allowed.into());
        if is_allowed {
            return Some(node.event);
        }
    }
    let allowed = room.check(last.event);
    let verdict = allowed.map_or_else(Verdict::LastResort, |()| Verdict::Allowed);
    observer.judged(last.event, place(*last), verdict);
    Some(last.event)
}
