//! Creating a room: its first events, one after the other (client-server API, `createRoom`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use ruma_common::{OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use super::{
    command::{CommandError, Content, CreateRoom, InitialState, Preset, Reply},
    compose::{self, NewEvent, our_room},
    delivery::append_and_send,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::{
        Pdu, RoomVersion, StateMap,
        authorisation::check_auth_events,
        build::{self, EventTemplate},
        event_type::{CREATE, HISTORY_VISIBILITY, JOIN_RULES, MEMBER, POWER_LEVELS},
        place,
    },
    persistence::queries::Write,
};

/// How many rooms that differ in nothing else a user may create within a millisecond.
const ROOMS_AT_ONCE_MAX: usize = 20;

/// A room in the making.
#[derive(Clone, Debug)]
pub enum CreateRoomJob {
    /// Nothing is there yet.
    Begin(CreateRoom),
    /// The room is there, and these events are still to come.
    Continue {
        /// The room.
        room_id: OwnedRoomId,
        /// What is to come, first to last.
        events: VecDeque<NewEvent>,
    },
}

impl CreateRoomJob {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(match self {
            Self::Begin(command) => begin(command, facts),
            Self::Continue { room_id, events } => proceed(room_id, events, facts),
        })
    }
}

fn begin(command: &CreateRoom, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
    let invalid = |reason: &dyn std::fmt::Display| CommandError::Invalid(reason.to_string());
    if command.creator.server_name() != facts.our_name() {
        return Err(invalid(&"the creator is of another server").into());
    }
    let version = command.version.unwrap_or(RoomVersion::DEFAULT);
    let event = create_event(command, version, facts)?;
    check_auth_events(&event, &[], None).map_err(|denied| invalid(&denied))?;
    let room = Room::new(event.room_id().to_owned(), version);
    let mut outcome = Outcome::default();
    outcome
        .writes
        .push(Write::RoomVersion(room.room_id.clone(), version));
    let before = place::write_whole_state(StateMap::new(), facts, &mut outcome);
    place::append(&room, &Arc::new(event), &before, None, facts, &mut outcome)?;
    let (room_id, events) = (room.room_id, first_events(command, version).into());
    Ok(outcome.then(Vec::new(), CreateRoomJob::Continue { room_id, events }))
}

fn proceed(
    room_id: &OwnedRoomId,
    events: &VecDeque<NewEvent>,
    facts: &Facts<'_>,
) -> Result<Outcome, Stop<CommandError>> {
    let mut outcome = Outcome::default();
    let (room_id, mut events) = (room_id.clone(), events.clone());
    let Some(next) = events.pop_front() else {
        return Ok(outcome.with_reply(Reply::Room(room_id)));
    };
    let room = our_room_in_the_making(&room_id, &next, facts)?;
    let event = compose::compose(room, &next, facts)?;
    append_and_send(
        room,
        &event,
        &room.current_state(),
        None,
        facts,
        &mut outcome,
    )?;
    Ok(outcome.then(Vec::new(), CreateRoomJob::Continue { room_id, events }))
}

/// Before the creator's own join nobody of ours is in the room.
fn our_room_in_the_making<'f>(
    room_id: &OwnedRoomId,
    next: &NewEvent,
    facts: &Facts<'f>,
) -> Result<&'f Room, Stop<CommandError>> {
    if next.event_type != MEMBER {
        return our_room(room_id, facts);
    }
    let room = facts.room(room_id)?;
    Ok(room.ok_or_else(|| CommandError::NotFound(format!("{room_id} is not here")))?)
}

/// An event that makes a room which is not here yet. Where the event names the room, two that a
/// user makes alike within a millisecond would be one.
fn create_event(
    command: &CreateRoom,
    version: RoomVersion,
    facts: &Facts<'_>,
) -> Result<Pdu, Stop<CommandError>> {
    let mut template = create_template(command, version, facts);
    let own = facts.own();
    for _ in 0..ROOMS_AT_ONCE_MAX {
        let event = build::build(
            template.clone(),
            version,
            own.server_name(),
            own.signing_key(),
        )
        .map_err(|error| CommandError::Invalid(error.to_string()))?;
        if template.room_id.is_some() || facts.room(event.room_id())?.is_none() {
            return Ok(event);
        }
        template.origin_server_ts += 1;
    }
    Err(CommandError::Busy("many rooms like this are being made".to_owned()).into())
}

fn create_template(command: &CreateRoom, version: RoomVersion, facts: &Facts<'_>) -> EventTemplate {
    let mut content = command.creation_content.clone();
    content.insert("room_version".to_owned(), version.as_str().into());
    if version.rules().creator_in_content {
        content.insert("creator".to_owned(), command.creator.as_str().into());
    } else {
        content.remove("creator");
    }
    let named_by_create = version.rules().room_id_is_create_event;
    EventTemplate {
        reference_hashes: BTreeMap::new(),
        room_id: (!named_by_create)
            .then(|| facts.new_room_id().try_into().ok())
            .flatten(),
        sender: command.creator.clone(),
        event_type: CREATE.to_owned(),
        state_key: Some(String::new()),
        content,
        redacts: None,
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        depth: build::depth_after([]),
        origin_server_ts: facts.begun().wall.to_i64(),
    }
}

/// Everything after the create event, in the order that the client-server API gives.
fn first_events(command: &CreateRoom, version: RoomVersion) -> Vec<NewEvent> {
    let creator = &command.creator;
    let state = |event_type: &str, content: Value| state_event(creator, event_type, content);
    let mut events = vec![
        NewEvent::member(creator, creator, "join", &command.creator_content),
        power_levels(command, version),
    ];
    if let Some(alias) = &command.alias {
        events.push(state("m.room.canonical_alias", json!({ "alias": alias })));
    }
    let (join_rule, guests) = match command.preset {
        Preset::Public => ("public", "forbidden"),
        Preset::Private | Preset::TrustedPrivate => ("invite", "can_join"),
    };
    events.push(state(JOIN_RULES, json!({ "join_rule": join_rule })));
    events.push(state(
        HISTORY_VISIBILITY,
        json!({ "history_visibility": "shared" }),
    ));
    events.push(state(
        "m.room.guest_access",
        json!({ "guest_access": guests }),
    ));
    events.extend(
        command
            .initial_state
            .iter()
            .map(|state| initial(creator, state)),
    );
    if let Some(name) = &command.name {
        events.push(state("m.room.name", json!({ "name": name })));
    }
    if let Some(topic) = &command.topic {
        events.push(state("m.room.topic", json!({ "topic": topic })));
    }
    events
}

fn initial(creator: &OwnedUserId, state: &InitialState) -> NewEvent {
    NewEvent {
        sender: creator.clone(),
        event_type: state.event_type.clone(),
        state_key: Some(state.state_key.clone()),
        content: state.content.clone(),
        redacts: None,
    }
}

fn state_event(creator: &OwnedUserId, event_type: &str, content: Value) -> NewEvent {
    let Value::Object(content) = content else {
        return state_event(creator, event_type, json!({}));
    };
    NewEvent {
        sender: creator.clone(),
        event_type: event_type.to_owned(),
        state_key: Some(String::new()),
        content,
        redacts: None,
    }
}

/// The power levels of a new room. Where creators stand above all levels they are not listed, and
/// ending the room is kept for them (ROOMVER-4).
fn power_levels(command: &CreateRoom, version: RoomVersion) -> NewEvent {
    let privileged = version.rules().creators_above_levels;
    let tombstone = if privileged { 150 } else { 100 };
    let users = match privileged {
        true => json!({}),
        false => json!({ command.creator.as_str(): 100 }),
    };
    let mut event = state_event(
        &command.creator,
        POWER_LEVELS,
        json!({
            "users": users,
            "users_default": 0,
            "events": {
                "m.room.name": 50,
                "m.room.avatar": 50,
                "m.room.canonical_alias": 50,
                "m.room.power_levels": 100,
                "m.room.history_visibility": 100,
                "m.room.encryption": 100,
                "m.room.server_acl": 100,
                "m.room.tombstone": tombstone,
            },
            "events_default": 0,
            "state_default": 50,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": 0,
        }),
    );
    let replaced: Content = command.power_levels.clone();
    event.content.extend(replaced);
    event
}
