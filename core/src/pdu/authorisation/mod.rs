//! Whether an event is allowed (room versions, "Authorization rules").
//!
//! The rules come in two halves. [`check_auth_events`] judges an event by itself and the auth
//! events it names, once. [`check_state`] judges it by a state of the room, several times on receipt of a
//! PDU: by its auth events, by the state before it, and by the room's current state.
//!
//! Both assume that the event's signatures were checked: the rule on
//! `join_authorised_via_users_server` is one about signatures.

mod denied;
mod event_alone;
mod membership;
mod power_levels;
mod redaction;
mod third_party_invite;

use std::{borrow::Cow, sync::Arc};

use ruma_common::UserId;

pub use self::{
    denied::{Denied, ThirdPartyInviteDenied},
    event_alone::{AuthEvent, check_auth_events},
    membership::Membership,
    power_levels::{PowerLevel, PowerLevels},
    redaction::may_redact,
};
pub use super::auth_content::NamedLevel;
use super::{
    Pdu,
    event_type::{CREATE, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
};

/// A state of the room, or the part of it that the rules look at: the events for the keys in
/// [`super::auth_events::needed_state`].
pub trait StateView {
    /// The event for this type and state key.
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu>;
}

/// A handful of state events; of two for one key the first counts.
impl StateView for Vec<Arc<Pdu>> {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        self.iter()
            .map(|event| &**event)
            .find(|event| event.is_state_for(event_type, state_key))
    }
}

/// Judges an event by a state of the room: the rules from `m.federate` on.
///
/// `create` is the create event in that state; where room ids are made of create events, the one
/// the room id names. A create event itself is always allowed here.
pub fn check_state(event: &Pdu, create: &Pdu, state: &dyn StateView) -> Result<(), Denied> {
    if event.event_type() == CREATE {
        return Ok(());
    }
    let room = Room { create, state };
    room.require_federated(event)?;
    if event.event_type() == MEMBER {
        return membership::check(event, &room);
    }
    room.require_joined(event.sender(), "send events")?;
    if event.event_type() == THIRD_PARTY_INVITE {
        return room.require_level(event.sender(), NamedLevel::Invite, "invite");
    }
    room.require_level_to_send(event)?;
    if let Some(user) = event.state_key().filter(|key| key.starts_with('@'))
        && event.sender() != user
    {
        return Err(Denied::ForeignStateKey(user.to_owned()));
    }
    if event.event_type() == POWER_LEVELS {
        return power_levels::check(event, &room);
    }
    Ok(())
}

/// The room as the rules see it.
struct Room<'a> {
    create: &'a Pdu,
    state: &'a dyn StateView,
}

impl<'a> Room<'a> {
    fn power_levels(&self) -> PowerLevels<'a> {
        PowerLevels::new(self.create, self.state.event(POWER_LEVELS, ""))
    }

    fn membership_of(&self, user: &UserId) -> Membership {
        let event = self.state.event(MEMBER, user.as_str());
        event
            .and_then(Pdu::membership)
            .and_then(Membership::parse)
            .unwrap_or(Membership::Leave)
    }

    fn require_federated(&self, event: &Pdu) -> Result<(), Denied> {
        let create = self.create.auth_content().create();
        let closed = create.is_some_and(|create| !create.federate);
        if closed && event.origin() != self.create.origin() {
            return Err(Denied::NotFederated(self.create.origin().to_owned()));
        }
        Ok(())
    }

    fn require_joined(&self, user: &UserId, to: &'static str) -> Result<(), Denied> {
        match self.membership_of(user) {
            Membership::Join => Ok(()),
            membership => {
                let to = Cow::Borrowed(to);
                Err(Denied::Membership {
                    user: user.to_owned(),
                    to,
                    membership,
                })
            }
        }
    }

    fn require_level(
        &self,
        user: &UserId,
        level: NamedLevel,
        to: &'static str,
    ) -> Result<(), Denied> {
        self.require(user, self.power_levels().named(level), || Cow::Borrowed(to))
    }

    fn require_level_to_send(&self, event: &Pdu) -> Result<(), Denied> {
        let needs = self
            .power_levels()
            .to_send(event.event_type(), event.is_state());
        self.require(event.sender(), needs, || {
            Cow::Owned(format!("send {}", event.event_type()))
        })
    }

    fn require(
        &self,
        user: &UserId,
        needs: i64,
        to: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<(), Denied> {
        let has = self.power_levels().of_user(user);
        if has >= PowerLevel::Level(needs) {
            return Ok(());
        }
        Err(Denied::PowerLevel {
            user: user.to_owned(),
            has,
            needs,
            to: to(),
        })
    }
}
