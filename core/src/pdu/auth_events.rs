//! Which state an event's `auth_events` are taken from (server-server API, "Auth events
//! selection").

use ruma_common::{OwnedEventId, UserId};
use serde_json::Value;

use super::{
    Pdu,
    canonical_json::Object,
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
    room_version::RoomVersion,
    state::{StateKey, StateMap},
};

/// What the selection looks at: an event, or what is going to be one.
#[derive(Clone, Copy, Debug)]
pub struct Selector<'a> {
    /// The event's type.
    pub event_type: &'a str,
    /// Its state key, if it is a state event.
    pub state_key: Option<&'a str>,
    /// Who sends it.
    pub sender: &'a UserId,
    /// Its content.
    pub content: &'a Object,
}

impl<'a> From<&'a Pdu> for Selector<'a> {
    fn from(event: &'a Pdu) -> Self {
        Self {
            event_type: event.event_type(),
            state_key: event.state_key(),
            sender: event.sender(),
            content: event.content(),
        }
    }
}

/// The keys of the state that may stand in the event's `auth_events`: all of them that the state
/// before the event has, and nothing else. Without duplicates.
pub fn select<'a>(event: impl Into<Selector<'a>>, version: RoomVersion) -> Vec<StateKey> {
    let event = event.into();
    if event.event_type == CREATE {
        return Vec::new();
    }
    let mut keys = vec![
        StateKey::new(POWER_LEVELS, ""),
        StateKey::new(MEMBER, event.sender.as_str()),
    ];
    if !version.rules().room_id_is_create_event {
        keys.push(StateKey::new(CREATE, ""));
    }
    if event.event_type == MEMBER {
        keys.extend(for_member_event(event));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys of the state that the authorisation rules look at: the selection and, in every room
/// version, the create event.
pub fn needed_state<'a>(event: impl Into<Selector<'a>>, version: RoomVersion) -> Vec<StateKey> {
    let mut keys = select(event, version);
    let create = StateKey::new(CREATE, "");
    if !keys.contains(&create) {
        keys.push(create);
    }
    keys
}

/// The `auth_events` of a new event that follows this state.
pub fn from_state<'a>(
    event: impl Into<Selector<'a>>,
    version: RoomVersion,
    state: &StateMap,
) -> Vec<OwnedEventId> {
    let keys = select(event, version);
    keys.iter()
        .filter_map(|key| state.get_key(key).map(ToOwned::to_owned))
        .collect()
}

fn for_member_event(event: Selector<'_>) -> Vec<StateKey> {
    let text_at = |pointer: &[&str]| text_inside(event.content, pointer);
    let mut keys: Vec<_> = event
        .state_key
        .map(|target| StateKey::new(MEMBER, target))
        .into_iter()
        .collect();
    let membership = text_at(&["membership"]).unwrap_or_default();
    if matches!(membership, "join" | "invite" | "knock") {
        keys.push(StateKey::new(JOIN_RULES, ""));
    }
    if membership == "invite"
        && let Some(token) = text_at(&["third_party_invite", "signed", "token"])
    {
        keys.push(StateKey::new(THIRD_PARTY_INVITE, token));
    }
    if membership == "join"
        && let Some(user) = text_at(&["join_authorised_via_users_server"])
    {
        keys.push(StateKey::new(MEMBER, user));
    }
    keys
}

fn text_inside<'a>(object: &'a Object, path: &[&str]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    let value = object.get(*first)?;
    rest.iter()
        .try_fold(value, |value, key| value.get(*key))
        .and_then(Value::as_str)
}
