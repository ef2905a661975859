//! Whether an event is allowed (room versions, "Authorization rules").
//!
//! The rules come in two halves. [`check_auth_events`] judges an event by itself and the auth
//! events it names, once. [`check_state`] judges it by a state of the room, several times on receipt of a
//! PDU: by its auth events, by the state before it, and by the room's current state.
//!
//! Both assume that the event's signatures were checked: the rule on
//! `join_authorised_via_users_server` is one about signatures. What the rules read of an event's
//! content was read when the event was parsed, so that an event that is allowed is judged without
//! allocating anything.

mod denied;
mod event_alone;
mod membership;
mod power_levels;
mod redaction;
mod rule;
mod third_party_invite;

use std::{borrow::Cow, sync::Arc};

use ruma_common::UserId;

pub use self::{
    denied::{Denied, Reason, rule_told_by},
    event_alone::{AuthEvent, check_auth_events},
    membership::Membership,
    power_levels::{PowerLevel, PowerLevels},
    redaction::may_redact,
    rule::Rule,
};
pub use super::auth_content::NamedLevel;
use super::{
    Pdu,
    event_type::{ALIASES, CREATE, MEMBER, POWER_LEVELS, REDACTION, THIRD_PARTY_INVITE},
};

/// A state of the room, or the part of it that the rules look at: the events for the entries in
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
///
/// # Errors
/// The first rule, in the order of the specification, that the event breaks.
pub fn check_state(event: &Pdu, create: &Pdu, state: &dyn StateView) -> Result<(), Denied> {
    if event.event_type() == CREATE {
        return Ok(());
    }
    let case = Case {
        event,
        create,
        state,
    };
    case.require_federated()?;
    match event.event_type() {
        ALIASES if event.room_version().rules().aliases_of_servers => case.check_aliases(),
        MEMBER => membership::check(case),
        _ => case.check_ordinary(),
    }
}

/// An event before a state of its room.
#[derive(Clone, Copy)]
struct Case<'a> {
    event: &'a Pdu,
    create: &'a Pdu,
    state: &'a dyn StateView,
}

impl<'a> Case<'a> {
    /// The rules for all events but memberships.
    fn check_ordinary(self) -> Result<(), Denied> {
        let event = self.event;
        self.require_joined(Rule::Sender, event.sender(), "send events")?;
        let levels = self.power_levels();
        if event.event_type() == THIRD_PARTY_INVITE {
            let rule = Rule::ThirdPartyInviteLevel;
            return self.require_named(rule, &levels, event.sender(), NamedLevel::Invite, "invite");
        }
        let needs = levels.to_send(event.event_type(), event.is_state());
        self.require(Rule::Level, &levels, event.sender(), needs, || {
            format!("send {}", event.event_type()).into()
        })?;
        self.require_own_state_key()?;
        match event.event_type() {
            POWER_LEVELS => power_levels::check(self, levels),
            REDACTION if event.room_version().rules().redaction_is_authorised => {
                redaction::check(self, &levels)
            }
            _ => Ok(()),
        }
    }

    /// The verdict that the event breaks this rule.
    fn deny(&self, rule: Rule, reason: Reason) -> Result<(), Denied> {
        Err(Denied::new(self.event, rule, reason))
    }

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

    fn require_federated(&self) -> Result<(), Denied> {
        let (create, event) = (self.create, self.event);
        let federated = create.auth_content().create().is_none_or(|c| c.federate);
        if federated || event.origin() == create.origin() {
            return Ok(());
        }
        let reason = Reason::NotFederated {
            sender: event.sender().to_owned(),
            creator_server: create.origin().to_owned(),
        };
        self.deny(Rule::Federate, reason)
    }

    /// A server says under its own name which aliases it has; power and membership do not matter.
    fn check_aliases(&self) -> Result<(), Denied> {
        let (server, of) = (self.event.origin(), self.event.state_key());
        let rule = match of {
            Some(of) if of == server.as_str() => return Ok(()),
            Some(_) => Rule::AliasesServer,
            None => Rule::AliasesStateKey,
        };
        let reason = Reason::ForeignAliases {
            server: server.to_owned(),
            of: of.map(ToOwned::to_owned),
        };
        self.deny(rule, reason)
    }

    fn require_own_state_key(&self) -> Result<(), Denied> {
        match self.event.state_key() {
            Some(user) if user.starts_with('@') && self.event.sender() != user => {
                self.deny(Rule::StateKey, Reason::ForeignStateKey(user.to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn require_joined(&self, rule: Rule, user: &UserId, to: &'static str) -> Result<(), Denied> {
        match self.membership_of(user) {
            Membership::Join => Ok(()),
            membership => self.deny(
                rule,
                Reason::Membership {
                    user: user.to_owned(),
                    to,
                    membership,
                },
            ),
        }
    }

    fn require_named(
        &self,
        rule: Rule,
        levels: &PowerLevels<'_>,
        user: &UserId,
        level: NamedLevel,
        to: &'static str,
    ) -> Result<(), Denied> {
        self.require(rule, levels, user, levels.named(level), || to.into())
    }

    fn require(
        &self,
        rule: Rule,
        levels: &PowerLevels<'_>,
        user: &UserId,
        needs: i64,
        to: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<(), Denied> {
        let has = levels.of_user(user);
        if has >= PowerLevel::Level(needs) {
            return Ok(());
        }
        let reason = Reason::PowerLevel {
            user: user.to_owned(),
            has,
            needs,
            to: to(),
        };
        self.deny(rule, reason)
    }
}
