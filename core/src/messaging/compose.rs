//! Making an event of one of our users at the end of a room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{OwnedEventId, OwnedUserId, UserId};

use super::command::{CommandError, Content};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        stop::Stop,
        world::Room,
    },
    pdu::{
        Pdu, RoomVersion, StateMap,
        auth_content::AuthContent,
        auth_events::{self, Selector},
        build::{self, EventTemplate},
        event_type::MEMBER,
        format::MAX_PREV_EVENTS,
        merge,
        resolution::MissingEvents,
        room_version::EventIds,
        view::View,
    },
    persistence::tables::StoredEvent,
};

/// What a new event says, before it has a place in the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Content,
    /// What it redacts.
    pub redacts: Option<OwnedEventId>,
}

impl NewEvent {
    /// A member event: `content` is extended by the membership.
    #[must_use]
    pub fn member(sender: &UserId, target: &UserId, membership: &str, content: &Content) -> Self {
        let mut content = content.clone();
        content.insert("membership".to_owned(), membership.into());
        Self {
            sender: sender.to_owned(),
            event_type: MEMBER.to_owned(),
            state_key: Some(target.to_string()),
            content,
            redacts: None,
        }
    }
}

/// A room that one of our users is in.
///
/// # Errors
/// Forbidden, if none of them is: who is not in a room learns nothing of it. In part, if one of them
/// is and those do not answer who could tell who else is.
pub fn our_room<'f>(
    room_id: &ruma_common::RoomId,
    facts: &Facts<'f>,
) -> Result<&'f Room, Stop<CommandError>> {
    let room = facts
        .room(room_id)?
        .filter(|room| room.has_server(facts.our_name()));
    let refused = || match facts.joined_in_part(room_id) {
        Some(_) => CommandError::RoomInPart(room_id.to_owned()),
        None => CommandError::Forbidden(format!("no user of this server is in {room_id}")),
    };
    Ok(room.ok_or_else(refused)?)
}

/// Builds and signs an event that follows the ends of the room. It passes the same rules as any
/// event from elsewhere before anybody sees it (PDU-24).
///
/// # Errors
/// Invalid, if no valid event comes of it; forbidden, if the rules do not allow it.
pub fn compose(
    room: &Room,
    new: &NewEvent,
    facts: &Facts<'_>,
) -> Result<Arc<Pdu>, Stop<CommandError>> {
    let place = Place::of(room, facts)?;
    let template = place.template(room, new, facts)?;
    let own = facts.own();
    let event = build::build(template, room.version, own.server_name(), own.signing_key())
        .map_err(|error| CommandError::Invalid(error.to_string()))?;
    let view = View::of(&place.state, &event, facts)?;
    view.check(&event)
        .map_err(|denied| CommandError::Forbidden(denied.to_string()))?;
    Ok(Arc::new(event))
}

/// What is signed to make a new event at the ends of a room (PDU-20).
///
/// # Errors
/// Busy, if the room has forked and what is needed to resolve it is not at hand.
pub fn template(
    room: &Room,
    new: &NewEvent,
    facts: &Facts<'_>,
) -> Result<EventTemplate, Stop<MissingEvents>> {
    Ok(Place::of(room, facts)?.template(room, new, facts)?)
}

/// Where in the graph a new event stands.
struct Place {
    /// What it follows: the ends of the room, the deepest of them if they are too many.
    ends: Vec<Arc<StoredEvent>>,
    /// The state after those.
    state: StateMap,
}

impl Place {
    fn of(room: &Room, facts: &Facts<'_>) -> Result<Self, Stop<MissingEvents>> {
        let ends = facts.events(&room.extremities)?;
        let mut ends: Vec<_> = ends.into_iter().flatten().collect();
        if ends.len() <= MAX_PREV_EVENTS {
            let state = room.state.clone();
            return Ok(Self { ends, state });
        }
        ends.sort_by_key(|end| std::cmp::Reverse(end.pdu.depth()));
        ends.truncate(MAX_PREV_EVENTS);
        let states = ends.iter().filter_map(|end| end.state);
        let states: BTreeSet<_> = states.map(|state| state.after).collect();
        let states: Vec<_> = states.into_iter().map(|state| facts.state(state)).collect();
        let states = states.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        let state = merge::resolve(room, &states, None, facts)?;
        Ok(Self { ends, state })
    }

    fn template(
        &self,
        room: &Room,
        new: &NewEvent,
        facts: &Facts<'_>,
    ) -> Result<EventTemplate, Blocked> {
        let content = AuthContent::read(&new.event_type, &new.content, room.version);
        let selector = Selector {
            event_type: &new.event_type,
            state_key: new.state_key.as_deref(),
            sender: &new.sender,
            content: &content,
        };
        let auth_events = auth_events::from_state(selector, room.version, &self.state);
        let auth_events = verified(auth_events, facts)?;
        let ends = self.ends.iter().map(|end| &end.pdu);
        Ok(EventTemplate {
            reference_hashes: reference_hashes(room.version, &self.ends, &auth_events, facts)?,
            room_id: Some(room.room_id.clone()),
            sender: new.sender.clone(),
            event_type: new.event_type.clone(),
            state_key: new.state_key.clone(),
            content: new.content.clone(),
            redacts: new.redacts.clone(),
            prev_events: ends.clone().map(|end| end.event_id().to_owned()).collect(),
            auth_events,
            depth: build::depth_after(ends.map(|end| end.depth())),
            origin_server_ts: self.time(facts),
        })
    }

    /// Now, but after what we said last: who asked for this event may have waited for that, and of
    /// two states of one time the resolution takes either.
    fn time(&self, facts: &Facts<'_>) -> i64 {
        let ours = self.ends.iter().map(|end| &end.pdu);
        let ours = ours.filter(|end| end.origin() == facts.our_name());
        let next = ours.map(|end| end.origin_server_ts().saturating_add(1));
        next.max().unwrap_or(0).max(facts.begun().wall.to_i64())
    }
}

/// Those of these events that count: what could not be verified authorises nothing of ours.
fn verified(
    mut event_ids: Vec<OwnedEventId>,
    facts: &Facts<'_>,
) -> Result<Vec<OwnedEventId>, Blocked> {
    let held = facts.all_held(event_ids.iter().map(|event_id| &**event_id))?;
    event_ids.retain(|event_id| held.get(event_id).is_none_or(|event| event.counts()));
    Ok(event_ids)
}

/// The hashes by which the event names others, where it does not by their ids alone.
fn reference_hashes(
    version: RoomVersion,
    previous: &[Arc<StoredEvent>],
    auth_events: &[OwnedEventId],
    facts: &Facts<'_>,
) -> Result<BTreeMap<OwnedEventId, [u8; 32]>, Blocked> {
    if version.rules().event_ids != EventIds::Chosen {
        return Ok(BTreeMap::new());
    }
    let auth = facts.all_held(auth_events.iter().map(|event_id| &**event_id))?;
    let named = previous.iter().chain(auth.values());
    Ok(build::reference_hashes(named.map(|event| &*event.pdu)))
}

/// A fork that cannot be resolved for lack of events may be resolved later.
impl From<Stop<MissingEvents>> for Stop<CommandError> {
    fn from(stop: Stop<MissingEvents>) -> Self {
        match stop {
            Stop::Blocked => Self::Blocked,
            Stop::Refused(missing) => Self::Refused(CommandError::Busy(missing.to_string())),
        }
    }
}
