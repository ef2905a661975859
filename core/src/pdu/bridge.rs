//! Stepping over a hole in a room's history: a missing event is taken in with the state before it
//! as another server says it was, instead of with the events that led to it.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{OwnedEventId, OwnedServerName};

use super::{
    Pdu,
    answers::{self, StateIds, WholeState},
    gap::Found,
    import::ImportEvent,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        world::Room,
    },
    transport::remote_request::Endpoint,
};

/// Up to how many unknown events of a state are asked for one by one, however small the state …
const ONE_BY_ONE_ALWAYS: usize = 20;

/// … and however large it is. In between, while they are at most a tenth of it; for more, the whole
/// state is cheaper.
const ONE_BY_ONE_MAX: usize = 100;

/// Takes in these missing events of a room, each with the state before it as one server says. One
/// that cannot be had is left out.
pub fn bridges(
    from: &OwnedServerName,
    room: &Room,
    missing: &[OwnedEventId],
    facts: &Facts<'_>,
) -> Result<Found, Blocked> {
    let asked: Vec<_> = missing
        .iter()
        .map(|event_id| {
            let event = facts.call(from, Endpoint::Event(event_id.clone()));
            (event_id, event, state_before(from, room, event_id, facts))
        })
        .collect();
    let mut found = Found {
        answered: true,
        ..Found::default()
    };
    for (event_id, event, state) in asked {
        let (event, state) = (event?, state?);
        found.answered &= Found::nothing(event).answered;
        let event = event
            .as_ref()
            .ok()
            .and_then(|body| answers::event(body, event_id, &room.room_id, room.version));
        if let (Some(event), Some(given)) = (event, state) {
            found.events += 1 + given.fetched;
            let WholeState { state, auth_chain } = given.whole;
            found.jobs.push(Job::from(ImportEvent {
                event,
                state,
                auth_chain,
            }));
        }
    }
    Ok(found)
}

/// A state as a server gave it.
struct Given {
    whole: WholeState,
    /// How many events of it came over the network.
    fetched: usize,
}

/// The state before an event: most of it is usually known here, so it is asked for by id first.
fn state_before(
    from: &OwnedServerName,
    room: &Room,
    event_id: &OwnedEventId,
    facts: &Facts<'_>,
) -> Result<Option<Given>, Blocked> {
    let (room_id, version) = (&room.room_id, room.version);
    let ids = facts.call(from, Endpoint::StateIds(room_id.clone(), event_id.clone()))?;
    let ids = ids.as_ref().ok();
    let Some(ids) = ids.and_then(|body| answers::state_ids(body).ok()) else {
        return Ok(None);
    };
    if let Some(state) = completed(from, room, &ids, facts)? {
        return Ok(Some(state));
    }
    let whole = facts.call(from, Endpoint::State(room_id.clone(), event_id.clone()))?;
    let whole = whole
        .as_ref()
        .ok()
        .and_then(|body| answers::state(body, room_id, version).ok());
    Ok(whole.map(|whole| Given {
        fetched: whole.state.len() + whole.auth_chain.len(),
        whole,
    }))
}

/// A state given by ids, by value; `None` if too much of it is unknown or cannot be had. What authorises it is
/// known together with what is known of it; of the rest it is part of what is asked for.
fn completed(
    from: &OwnedServerName,
    room: &Room,
    ids: &StateIds,
    facts: &Facts<'_>,
) -> Result<Option<Given>, Blocked> {
    let all: BTreeSet<&OwnedEventId> = ids.pdu_ids.iter().chain(&ids.auth_chain_ids).collect();
    let one_by_one_max = (all.len() / 10).clamp(ONE_BY_ONE_ALWAYS, ONE_BY_ONE_MAX);
    let held = facts.all_held(all.iter().map(|event_id| &***event_id))?;
    let unknown: Vec<_> = all
        .into_iter()
        .filter(|id| !held.contains_key(*id))
        .collect();
    if unknown.len() > one_by_one_max {
        return Ok(None);
    }
    let fetched: Vec<_> = unknown
        .iter()
        .map(|id| facts.call(from, Endpoint::Event((*id).clone())))
        .collect();
    let fetched = fetched.into_iter().collect::<Result<Vec<_>, _>>()?;
    let fetched = unknown
        .iter()
        .zip(fetched)
        .map(|(id, answer)| answers::event(answer.as_ref().ok()?, id, &room.room_id, room.version));
    let Some(fetched) = fetched.collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let held = held.values().map(|event| event.pdu.clone());
    let of_room = |event: &Arc<Pdu>| event.room_id() == room.room_id;
    let events: Vec<Arc<Pdu>> = held.chain(fetched).filter(of_room).collect();
    let named: BTreeSet<&OwnedEventId> = ids.pdu_ids.iter().collect();
    let (state, auth_chain) = events
        .into_iter()
        .partition(|event| named.contains(&event.event_id().to_owned()));
    Ok(Some(Given {
        whole: WholeState { state, auth_chain },
        fetched: unknown.len(),
    }))
}
