//! The rules that depend on an event and the auth events it names, not on the state of the room:
//! they are checked once (room versions, "Authorization rules": create events, the room id, the
//! auth events).

use ruma_common::EventId;

use super::{Denied, Reason, Rule};
use crate::pdu::{
    Pdu, StateKey,
    auth_events::{Selection, select},
    event_type::CREATE,
    hash::create_event_id_of_room,
    state::Entry,
};

/// An event that another one is judged by, and what came of judging it.
#[derive(Clone, Copy, Debug)]
pub struct AuthEvent<'a> {
    /// The event.
    pub event: &'a Pdu,
    /// Whether it was rejected.
    pub rejected: bool,
}

impl<'a> AuthEvent<'a> {
    fn id(&self) -> &'a EventId {
        self.event.event_id()
    }

    fn entry(&self) -> Option<Entry<'a>> {
        Some((self.event.event_type(), self.event.state_key()?))
    }
}

/// Check 4 on receipt of a PDU, first half: the rules that depend on the event alone. The second
/// half is [`super::check_state`] with the auth events as the state.
///
/// `auth` holds the events that `event.auth_events()` names, in any order. `create` is the room's
/// create event; it matters where room ids are made of create events.
///
/// # Errors
/// The first rule, in the order of the specification, that the event breaks.
pub fn check_auth_events(
    event: &Pdu,
    auth: &[AuthEvent<'_>],
    create: Option<AuthEvent<'_>>,
) -> Result<(), Denied> {
    let broken = if event.event_type() == CREATE {
        broken_by_create(event)
    } else {
        broken_by_room_id(event, create).or_else(|| broken_by_auth_events(event, auth))
    };
    broken.map_or(Ok(()), |(rule, reason)| {
        Err(Denied::new(event, rule, reason))
    })
}

/// Which rule is broken, and by what.
type Broken = Option<(Rule, Reason)>;

fn broken_by_create(event: &Pdu) -> Broken {
    let (rules, content) = (event.room_version().rules(), event.auth_content().create()?);
    if !event.prev_events().is_empty() {
        let reason = Reason::CreateWithPrevEvents(event.prev_events().len());
        return Some((Rule::CreatePrevEvents, reason));
    }
    if !rules.room_id_is_create_event && event.room_id().server_name() != Some(event.origin()) {
        let reason = Reason::CreateForForeignRoom {
            room_id: event.room_id().to_owned(),
            creator_server: event.origin().to_owned(),
        };
        return Some((Rule::CreateRoomId, reason));
    }
    if content.room_version != rules.id {
        let reason = Reason::CreateOfOtherVersion(content.room_version.to_string());
        return Some((Rule::CreateRoomVersion, reason));
    }
    if rules.creator_in_content && content.creator.is_none() {
        return Some((Rule::CreateCreator, Reason::CreateWithoutCreator));
    }
    (rules.creators_above_levels && content.additional_creators.is_none())
        .then_some((Rule::CreateAdditionalCreators, Reason::AdditionalCreators))
}

fn broken_by_room_id(event: &Pdu, create: Option<AuthEvent<'_>>) -> Broken {
    if !event.room_version().rules().room_id_is_create_event {
        return None;
    }
    let named = create_event_id_of_room(event.room_id()).ok();
    let reason = match create.filter(|create| named.as_deref() == Some(create.id())) {
        None => Reason::UnknownCreateEvent(event.room_id().to_owned()),
        Some(create) if create.rejected => Reason::RejectedCreateEvent(create.id().to_owned()),
        Some(_) => return None,
    };
    Some((Rule::RoomId, reason))
}

fn broken_by_auth_events(event: &Pdu, known: &[AuthEvent<'_>]) -> Broken {
    let named = Named { event, known };
    named
        .unknown()
        .or_else(|| named.duplicate())
        .or_else(|| named.outside_selection())
        .or_else(|| named.rejected())
        .or_else(|| named.without_create())
        .or_else(|| named.foreign())
}

/// The events that an event names as authorising it, in its order.
struct Named<'a> {
    event: &'a Pdu,
    known: &'a [AuthEvent<'a>],
}

impl<'a> Named<'a> {
    fn find(&self, event_id: &EventId) -> Option<AuthEvent<'a>> {
        let found = self.known.iter().find(|known| known.id() == event_id);
        found.copied()
    }

    fn events(&self) -> impl Iterator<Item = AuthEvent<'a>> {
        let ids = self.event.auth_events().iter();
        ids.filter_map(|event_id| self.find(event_id))
    }

    fn selection(&self) -> Selection<'a> {
        select(self.event, self.event.room_version())
    }

    fn unknown(&self) -> Broken {
        let mut ids = self.event.auth_events().iter();
        let unknown = ids.find(|event_id| self.find(event_id).is_none())?;
        let reason = Reason::UnknownAuthEvent(unknown.to_owned());
        Some((Rule::AuthEvents, reason))
    }

    fn duplicate(&self) -> Broken {
        let entries = || self.events().filter_map(|auth| auth.entry());
        let mut numbered = entries().enumerate();
        let (_, (event_type, key)) =
            numbered.find(|(index, entry)| entries().skip(index + 1).any(|e| e == *entry))?;
        let key = StateKey::new(event_type, key);
        Some((Rule::AuthEventsDuplicate, Reason::DuplicateAuthEvent(key)))
    }

    fn outside_selection(&self) -> Broken {
        let selection = self.selection();
        let selected = |auth: &AuthEvent<'_>| auth.entry().is_some_and(|e| selection.contains(e));
        let outside = self.events().find(|auth| !selected(auth))?;
        let reason = Reason::UnexpectedAuthEvent(outside.id().to_owned());
        Some((Rule::AuthEventsSelection, reason))
    }

    fn rejected(&self) -> Broken {
        let rejected = self.events().find(|auth| auth.rejected)?;
        let reason = Reason::RejectedAuthEvent(rejected.id().to_owned());
        Some((Rule::AuthEventsRejected, reason))
    }

    fn without_create(&self) -> Broken {
        let create = (CREATE, "");
        let there = self.events().any(|auth| auth.entry() == Some(create));
        (self.selection().contains(create) && !there)
            .then_some((Rule::AuthEventsCreate, Reason::NoCreateEvent))
    }

    fn foreign(&self) -> Broken {
        let room_id = self.event.room_id();
        let foreign = self.events().find(|auth| auth.event.room_id() != room_id)?;
        let room_id = foreign.event.room_id().to_owned();
        let reason = Reason::ForeignAuthEvent(foreign.id().to_owned(), room_id);
        Some((Rule::AuthEventsRoomId, reason))
    }
}
