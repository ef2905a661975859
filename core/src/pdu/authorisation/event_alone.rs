//! The rules that depend on an event and the auth events it names, not on the state of the room:
//! they are checked once (room versions, "Authorization rules": create events, the room id, the
//! auth events).

use ruma_common::EventId;

use super::Denied;
use crate::pdu::{
    Pdu, StateKey,
    auth_events::{Selection, select},
    event_type::CREATE,
    hash::create_event_id_of_room,
};

/// An event that another one is judged by, and what came of judging it.
#[derive(Clone, Copy, Debug)]
pub struct AuthEvent<'a> {
    /// The event.
    pub event: &'a Pdu,
    /// Whether it was rejected.
    pub rejected: bool,
}

/// Check 4 on receipt of a PDU, first half: the rules that depend on the event alone. The second
/// half is [`super::check_state`] with the auth events as the state.
///
/// `auth` holds the events that `event.auth_events()` names, in any order. `create` is the room's
/// create event; it matters where room ids are made of create events.
pub fn check_auth_events(
    event: &Pdu,
    auth: &[AuthEvent<'_>],
    create: Option<AuthEvent<'_>>,
) -> Result<(), Denied> {
    if event.event_type() == CREATE {
        return check_create(event);
    }
    if event.room_version().rules().room_id_is_create_event {
        check_room_id(event, create)?;
    }
    let allowed = select(event, event.room_version());
    let mut seen = Vec::new();
    for event_id in event.auth_events() {
        let key = check_auth_event(event, find(auth, event_id)?, &allowed)?;
        if seen.contains(&key) {
            return Err(Denied::DuplicateAuthEvent(key));
        }
        seen.push(key);
    }
    if allowed.contains((CREATE, "")) && !seen.contains(&StateKey::new(CREATE, "")) {
        return Err(Denied::NoCreateEvent);
    }
    Ok(())
}

fn check_create(event: &Pdu) -> Result<(), Denied> {
    let rules = event.room_version().rules();
    if !event.prev_events().is_empty() {
        return Err(Denied::CreateWithPrevEvents(event.prev_events().len()));
    }
    if !rules.room_id_is_create_event && event.room_id().server_name() != Some(event.origin()) {
        return Err(Denied::CreateForForeignRoom {
            room_id: event.room_id().to_owned(),
            creator_server: event.origin().to_owned(),
        });
    }
    let Some(content) = event.auth_content().create() else {
        return Ok(());
    };
    if content.room_version != rules.id {
        let version = content.room_version.clone().into_owned();
        return Err(Denied::CreateOfOtherVersion(version));
    }
    if rules.creator_in_content && content.creator.is_none() {
        return Err(Denied::CreateWithoutCreator);
    }
    if rules.creators_above_levels && content.additional_creators.is_none() {
        return Err(Denied::AdditionalCreators);
    }
    Ok(())
}

fn check_room_id(event: &Pdu, create: Option<AuthEvent<'_>>) -> Result<(), Denied> {
    let named = create_event_id_of_room(event.room_id()).ok();
    match create.filter(|create| named.as_deref() == Some(create.event.event_id())) {
        None => Err(Denied::UnknownCreateEvent(event.room_id().to_owned())),
        Some(create) if create.rejected => Err(Denied::RejectedCreateEvent(
            create.event.event_id().to_owned(),
        )),
        Some(_) => Ok(()),
    }
}

fn find<'a>(auth: &[AuthEvent<'a>], event_id: &EventId) -> Result<AuthEvent<'a>, Denied> {
    let found = auth.iter().find(|auth| auth.event.event_id() == event_id);
    found
        .copied()
        .ok_or_else(|| Denied::UnknownAuthEvent(event_id.to_owned()))
}

/// The key of an auth event that may stand where it stands.
fn check_auth_event(
    event: &Pdu,
    auth: AuthEvent<'_>,
    allowed: &Selection<'_>,
) -> Result<StateKey, Denied> {
    let event_id = || auth.event.event_id().to_owned();
    if auth.event.room_id() != event.room_id() {
        return Err(Denied::ForeignAuthEvent(
            event_id(),
            auth.event.room_id().to_owned(),
        ));
    }
    let key = auth
        .event
        .state_key()
        .map(|key| StateKey::new(auth.event.event_type(), key));
    let key = key.filter(|key| allowed.contains((&key.event_type, &key.state_key)));
    let key = key.ok_or_else(|| Denied::UnexpectedAuthEvent(event_id()))?;
    if auth.rejected {
        return Err(Denied::RejectedAuthEvent(event_id()));
    }
    Ok(key)
}
