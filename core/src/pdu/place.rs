//! Putting an accepted event into its room: state after it, extremities, current state.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{EventId, OwnedUserId, UserId};

use super::{
    Pdu, StateKey, StateMap,
    event_type::{DUMMY, MEMBER},
    merge,
    redacting::{redact_if_asked, redact_target},
    resolution::MissingEvents,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::Stop,
        world::Room,
    },
    messaging::{
        merge_ends::{MergeEnds, has_too_many_ends},
        notice::Notice,
    },
    persistence::{
        queries::{Answer, Read, Write},
        tables::{
            EventState, LocalMembership, Position, SnapshotId, SnapshotRecord, StateChange,
            StoredEvent, Verdict,
        },
    },
};

/// A state and its name.
#[derive(Clone, Debug)]
pub struct NamedState {
    /// Its name.
    pub id: SnapshotId,
    /// The state.
    pub state: StateMap,
}

/// The state after an event, given the one before it (STATE-1). A new state is written.
pub fn state_after(
    event: &Pdu,
    before: &NamedState,
    verdict: &Verdict,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> NamedState {
    let Some(state_key) = event.state_key().filter(|_| !verdict.is_rejected()) else {
        return before.clone();
    };
    let key = StateKey::new(event.event_type(), state_key);
    let mut state = before.state.clone();
    state.insert(key, event.event_id().to_owned());
    write_state(before, state, facts, outcome)
}

/// Writes a state as its difference from another; the same state keeps its name.
pub fn write_state(
    base: &NamedState,
    state: StateMap,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> NamedState {
    let changes = changes(&base.state, &state);
    if changes.is_empty() {
        return base.clone();
    }
    let id = outcome.counters(facts).snapshot();
    let record = SnapshotRecord {
        id,
        parent: Some(base.id),
        changes,
    };
    outcome.writes.push(Write::Snapshot(record));
    outcome.states.push((id, state.clone()));
    NamedState { id, state }
}

/// Writes a state as a whole.
pub fn write_whole_state(state: StateMap, facts: &Facts<'_>, outcome: &mut Outcome) -> NamedState {
    let id = outcome.counters(facts).snapshot();
    let changes = changes(&StateMap::new(), &state);
    outcome.writes.push(Write::Snapshot(SnapshotRecord {
        id,
        parent: None,
        changes,
    }));
    outcome.states.push((id, state.clone()));
    NamedState { id, state }
}

/// How one state becomes another.
#[must_use]
pub fn changes(before: &StateMap, after: &StateMap) -> Vec<StateChange> {
    let change = |change: super::state::StateChange<'_>| StateChange {
        key: change.key.into(),
        event_id: change.after.map(ToOwned::to_owned),
    };
    before.diff(after).map(change).collect()
}

/// Stores an event that is not to be shown: soft-failed or rejected.
pub fn set_aside(
    event: &Arc<Pdu>,
    before: &NamedState,
    verdict: Verdict,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<(), Blocked> {
    let after = state_after(event, before, &verdict, facts, outcome);
    let stored = StoredEvent {
        pdu: event.clone(),
        verdict,
        state: Some(EventState {
            before: before.id,
            after: after.id,
        }),
        position: None,
        redacted_because: None,
    };
    let stored = Arc::new(redact_if_asked(stored, facts)?);
    outcome.writes.push(Write::Event(stored.clone()));
    let room_id = event.room_id().to_owned();
    outcome.notices.push(Notice::NotAccepted {
        room_id,
        event: stored,
    });
    Ok(())
}

/// Puts an accepted event into its room: the heart of receiving and of sending. One that `was_shown`
/// there already, as a piece of its past, stays where it was shown, and is no end: the past was
/// asked for from what builds on it.
///
/// # Errors
/// Refused says that the room's forks cannot be resolved with the events we hold.
pub fn append(
    room: &Room,
    event: &Arc<Pdu>,
    before: &NamedState,
    was_shown: Option<Position>,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<Arc<StoredEvent>, Stop<MissingEvents>> {
    let after = state_after(event, before, &Verdict::Accepted, facts, outcome);
    let follows_all = room
        .extremities
        .iter()
        .all(|end| event.prev_events().contains(end));
    let mut room = room.clone();
    let is_end = was_shown.is_none() && !is_built_upon(&room, event, facts)?;
    room.extremities
        .retain(|end| !event.prev_events().contains(end));
    if is_end || room.extremities.is_empty() {
        room.extremities.insert(event.event_id().to_owned());
    }
    let current = current_state(&room, event, &after, facts, outcome)?;
    let mut stored = StoredEvent {
        pdu: event.clone(),
        verdict: Verdict::Accepted,
        state: Some(EventState {
            before: before.id,
            after: after.id,
        }),
        position: was_shown.or_else(|| position(event, facts, outcome)),
        redacted_because: None,
    };
    // Nothing that we hold speaks of an event that follows all of it.
    if !follows_all {
        stored = redact_if_asked(stored, facts)?;
    }
    let stored = Arc::new(stored);
    outcome.writes.push(Write::Event(stored.clone()));
    if was_shown.is_none() && stored.position.is_some() {
        outcome.notices.push(Notice::Event(stored.clone()));
    }
    move_room(&mut room, &stored, current, facts, outcome)?;
    redact_target(&stored, Some(&before.state), facts, outcome)?;
    if has_too_many_ends(&room, facts) {
        let room_id = room.room_id.clone();
        outcome.also.push(MergeEnds { room_id }.into());
    }
    outcome.rooms.push(room);
    Ok(stored)
}

/// Where a new event is shown, unless all that it does is to join the ends of the graph.
fn position(event: &Pdu, facts: &Facts<'_>, outcome: &mut Outcome) -> Option<Position> {
    (event.event_type() != DUMMY).then(|| outcome.counters(facts).newest())
}

/// Whether a part of the room's graph names this event, which is only now becoming a part of it,
/// as a previous one: it may have come after the join that begins our graph, or after a hole.
fn is_built_upon(room: &Room, event: &Pdu, facts: &Facts<'_>) -> Result<bool, Blocked> {
    let ends = facts.all_held(room.extremities.iter().map(|end| &**end))?;
    if ends.values().all(|end| end.pdu.depth() < event.depth()) {
        return Ok(false);
    }
    let read = Read::BackwardExtremities(room.room_id.clone());
    Ok(match facts.read(read)? {
        Answer::BackwardExtremities(missing) => {
            missing.iter().any(|(id, _)| id == event.event_id())
        }
        _ => false,
    })
}

/// The state after all ends of the room, of which `event` is usually one.
fn current_state(
    room: &Room,
    event: &Arc<Pdu>,
    after: &NamedState,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<NamedState, Stop<MissingEvents>> {
    // The event itself is not asked for: it is not stored yet, and one of ours that is composed
    // anew, later, would be asked for under another id each time.
    let others = room.extremities.iter().map(|end| &**end);
    let ends = facts.all_held(others.filter(|end| *end != event.event_id()))?;
    let snapshots: BTreeSet<SnapshotId> = ends
        .values()
        .filter_map(|end| end.state)
        .map(|state| state.after)
        .collect();
    let states: Vec<_> = snapshots
        .into_iter()
        .map(|id| {
            Ok(NamedState {
                id,
                state: facts.state(id)?,
            })
        })
        .collect();
    let mut states = states.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    if room.extremities.contains(event.event_id()) {
        states.push(after.clone());
    }
    if let [only] = states.as_slice() {
        return Ok(only.clone());
    }
    let old = room.current_state();
    let states: Vec<StateMap> = states.into_iter().map(|named| named.state).collect();
    let resolved = merge::resolve(room, &states, Some(event), facts)?;
    Ok(write_state(&old, resolved, facts, outcome))
}

/// Gives the room its new current state, with all that hangs on it: who is joined, and what our
/// users' memberships are.
pub fn move_room(
    room: &mut Room,
    event: &Arc<StoredEvent>,
    current: NamedState,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<(), Blocked> {
    let changes = changes(&room.state, &current.state);
    note_undone(room, &changes, event.position, facts, outcome)?;
    let member_changes: Vec<_> = changes
        .iter()
        .filter(|change| &*change.key.event_type == MEMBER)
        .collect();
    let find = |event_id: &EventId| match event_id == event.pdu.event_id() {
        true => Ok(Some(event.clone())),
        false => facts.held(event_id),
    };
    let members: Vec<_> = member_changes
        .iter()
        .map(|change| change.event_id.as_ref().map_or(Ok(None), |id| find(id)))
        .collect();
    let members = members.into_iter().collect::<Result<Vec<_>, _>>()?;
    let members = members
        .into_iter()
        .map(|member| member.filter(|member| member.counts()));
    for (change, member) in member_changes.into_iter().zip(members) {
        let Ok(user_id) = OwnedUserId::try_from(&*change.key.state_key) else {
            continue;
        };
        let membership = member.as_ref().and_then(|member| member.pdu.membership());
        room.set_joined(&user_id, membership == Some("join"));
        if let Some(member) = member.filter(|_| user_id.server_name() == facts.our_name()) {
            note_membership(&user_id, &member, event.position, outcome);
        }
    }
    room.current = current.id;
    room.state = current.state;
    outcome.writes.push(Write::Room {
        record: room.record(),
        changes,
    });
    Ok(())
}

/// Notes which of our users are not in the room any more without having left it: a resolution of
/// states dropped what made them members, and no event says so.
fn note_undone(
    room: &Room,
    changes: &[StateChange],
    position: Option<Position>,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<(), Blocked> {
    let is_undone = |change: &&StateChange| {
        let user_id = <&UserId>::try_from(&*change.key.state_key);
        let is_ours = user_id.is_ok_and(|user_id| user_id.server_name() == facts.our_name());
        change.event_id.is_none() && &*change.key.event_type == MEMBER && is_ours
    };
    let undone = changes.iter().filter(is_undone);
    let undone = undone.filter_map(|change| room.state.get(MEMBER, &change.key.state_key));
    let held = facts.all_held(undone)?;
    for member in held.values() {
        if member.pdu.membership() == Some("join")
            && let Some(Ok(user_id)) = member.pdu.state_key().map(<&UserId>::try_from)
        {
            outcome.note_membership(local_membership(user_id, "leave", member, position));
        }
    }
    Ok(())
}

/// Notes what became of one of our users, for the application and the store.
pub fn note_membership(
    user_id: &UserId,
    member: &Arc<StoredEvent>,
    position: Option<Position>,
    outcome: &mut Outcome,
) {
    let membership = member.pdu.membership().unwrap_or("leave");
    outcome.note_membership(local_membership(user_id, membership, member, position));
}

fn local_membership(
    user_id: &UserId,
    membership: &str,
    member: &Arc<StoredEvent>,
    position: Option<Position>,
) -> LocalMembership {
    LocalMembership {
        user_id: user_id.to_owned(),
        room_id: member.pdu.room_id().to_owned(),
        membership: membership.to_owned(),
        event: member.clone(),
        position: position.unwrap_or_default(),
        stripped_state: Vec::new(),
    }
}
