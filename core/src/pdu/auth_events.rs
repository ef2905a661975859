//! Which state an event's `auth_events` are taken from (server-server API, "Auth events
//! selection").

use ruma_common::{OwnedEventId, UserId};

use super::{
    Pdu,
    auth_content::AuthContent,
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
    room_version::RoomVersion,
    state::{Entry, StateMap},
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
    /// What the rules read of its content.
    pub content: &'a AuthContent,
}

impl<'a> From<&'a Pdu> for Selector<'a> {
    fn from(event: &'a Pdu) -> Self {
        Self {
            event_type: event.event_type(),
            state_key: event.state_key(),
            sender: event.sender(),
            content: event.auth_content(),
        }
    }
}

/// Entries of a state, in order and none of them twice. Nothing is copied to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection<'a>([Option<Entry<'a>>; 7]);

impl<'a> Selection<'a> {
    /// The entries.
    pub fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        self.0.into_iter().flatten()
    }

    /// Whether this entry is among them.
    pub fn contains(&self, entry: Entry<'_>) -> bool {
        self.0.iter().flatten().any(|selected| *selected == entry)
    }
}

/// The entries of the state that may stand in the event's `auth_events`: all of them that the
/// state before the event has, and nothing else.
pub fn select<'a>(event: impl Into<Selector<'a>>, version: RoomVersion) -> Selection<'a> {
    choose(
        event.into(),
        version,
        !version.rules().room_id_is_create_event,
    )
}

/// The entries of the state that the authorisation rules look at: the selection and, in every room
/// version, the create event.
pub fn needed_state<'a>(event: impl Into<Selector<'a>>, version: RoomVersion) -> Selection<'a> {
    choose(event.into(), version, true)
}

/// The `auth_events` of a new event that follows this state.
pub fn from_state<'a>(
    event: impl Into<Selector<'a>>,
    version: RoomVersion,
    state: &StateMap,
) -> Vec<OwnedEventId> {
    select(event, version)
        .entries()
        .filter_map(|(event_type, state_key)| state.get(event_type, state_key))
        .map(ToOwned::to_owned)
        .collect()
}

fn choose(event: Selector<'_>, version: RoomVersion, with_create: bool) -> Selection<'_> {
    if event.event_type == CREATE {
        return Selection([None; 7]);
    }
    let sender = (MEMBER, event.sender.as_str());
    let [target, join_rules, voucher, invite] = match event.event_type {
        MEMBER => for_member_event(event, version),
        _ => [None; 4],
    };
    let target = target.filter(|target| *target != sender);
    let voucher = voucher.filter(|voucher| *voucher != sender && Some(*voucher) != target);
    let mut members = [Some(sender), target, voucher];
    members.sort_unstable();
    let [one, two, three] = members;
    let create = with_create.then_some((CREATE, ""));
    let levels = Some((POWER_LEVELS, ""));
    // In the order of their types.
    Selection([create, join_rules, one, two, three, levels, invite])
}

/// The member event of the target, the join rules, the member event of whoever vouches for a
/// restricted join, and the third-party invite.
fn for_member_event(event: Selector<'_>, version: RoomVersion) -> [Option<Entry<'_>>; 4] {
    let target = event.state_key.map(|target| (MEMBER, target));
    let join_rules = Some((JOIN_RULES, ""));
    let Some(content) = event.content.member() else {
        return [target, None, None, None];
    };
    match content.membership() {
        Some("join") => {
            let voucher = content.authorising_user();
            let voucher = voucher.filter(|_| version.rules().restricted);
            [target, join_rules, voucher.map(|user| (MEMBER, user)), None]
        }
        Some("invite") => {
            let signed = content
                .third_party_invite()
                .and_then(|invite| invite.signed.as_ref());
            let token = signed.and_then(|signed| signed.token.as_deref());
            let invite = token.map(|token| (THIRD_PARTY_INVITE, token));
            [target, join_rules, None, invite]
        }
        Some("knock") => [target, join_rules, None, None],
        _ => [target, None, None, None],
    }
}
