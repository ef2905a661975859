//! What the authorisation rules read of a state when they judge an event.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ruma_common::{OwnedUserId, UserId};
use serde::{Serialize, Serializer};

use super::EventBrief;
use crate::{
    pdu::{
        Pdu, StateKey,
        authorisation::{Membership, NamedLevel, PowerLevel, PowerLevels},
        event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
    },
    persistence::tables::StoredEvent,
};

/// The facts of a state that an event is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateFacts {
    /// The sender.
    pub sender: UserFacts,
    /// The level that the sender needs, if the rules ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level_needed: Option<LevelNeeded>,
    /// Of a membership event about somebody else: that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<UserFacts>,
    /// Of a join that somebody vouches for: that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorised_by: Option<UserFacts>,
    /// Of a membership event: the join rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// The state events that the rules may look at.
    pub events: Vec<EventBrief>,
}

/// A user in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserFacts {
    /// Who.
    pub user_id: OwnedUserId,
    /// `join`, `invite`, `leave`, `ban` or `knock`; who has no membership event has left.
    pub membership: String,
    /// The user's power level; `null` if the state has no create event.
    pub level: Option<Level>,
}

/// A power level: a number, or `"creator"` for one above all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub PowerLevel);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PowerLevel::Level(level) => serializer.serialize_i64(level),
            PowerLevel::Creator => serializer.serialize_str("creator"),
        }
    }
}

/// A level that somebody needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LevelNeeded {
    /// The level.
    pub level: i64,
    /// What for, as in "needed to send m.room.name".
    pub to: String,
}

impl StateFacts {
    /// What the rules read of a state when they judge `event`. `state` holds the state's events,
    /// as far as the rules look at them; of two for one key the first counts.
    pub fn of(event: &Pdu, state: &[Arc<StoredEvent>]) -> Self {
        let state = Entries::of(state);
        let is_member = event.event_type() == MEMBER;
        let target = event
            .state_key()
            .and_then(|key| <&UserId>::try_from(key).ok());
        let target = target.filter(|target| is_member && *target != event.sender());
        let authorised_by = authorising_user(event).map(|user| state.user(&user));
        Self {
            sender: state.user(event.sender()),
            level_needed: state.level_needed(event),
            target: target.map(|target| state.user(target)),
            authorised_by,
            join_rule: is_member.then(|| state.join_rule()),
            events: state
                .0
                .values()
                .map(|event| EventBrief::from(&***event))
                .collect(),
        }
    }
}

fn authorising_user(event: &Pdu) -> Option<OwnedUserId> {
    let member = event.auth_content().member()?;
    member.authorising_user()?.try_into().ok()
}

fn follows_third_party_invite(event: &Pdu) -> bool {
    let member = event.auth_content().member();
    member.is_some_and(|member| member.third_party_invite().is_some())
}

struct Entries<'a>(BTreeMap<StateKey, &'a Arc<StoredEvent>>);

impl<'a> Entries<'a> {
    fn of(state: &'a [Arc<StoredEvent>]) -> Self {
        let mut entries = BTreeMap::new();
        for event in state {
            if let Some(state_key) = event.pdu.state_key() {
                let key = StateKey::new(event.pdu.event_type(), state_key);
                entries.entry(key).or_insert(event);
            }
        }
        Self(entries)
    }

    fn get(&self, event_type: &str, state_key: &str) -> Option<&'a Pdu> {
        let entry = self.0.get(&StateKey::new(event_type, state_key));
        entry.map(|event| &*event.pdu)
    }

    fn levels(&self) -> Option<PowerLevels<'a>> {
        let create = self.get(CREATE, "")?;
        Some(PowerLevels::new(create, self.get(POWER_LEVELS, "")))
    }

    fn user(&self, user_id: &UserId) -> UserFacts {
        let member = self.get(MEMBER, user_id.as_str());
        let membership = member.and_then(Pdu::membership).unwrap_or("leave");
        UserFacts {
            user_id: user_id.to_owned(),
            membership: membership.to_owned(),
            level: self.levels().map(|levels| Level(levels.of_user(user_id))),
        }
    }

    fn join_rule(&self) -> String {
        let event = self.get(JOIN_RULES, "");
        let content = event.and_then(|event| event.auth_content().join_rules());
        let rule = content.and_then(|content| content.join_rule.as_deref());
        rule.unwrap_or("invite").to_owned()
    }

    fn level_needed(&self, event: &Pdu) -> Option<LevelNeeded> {
        let levels = self.levels()?;
        let named = |name, to: &str| {
            Some(LevelNeeded {
                level: levels.named(name),
                to: to.to_owned(),
            })
        };
        match event.event_type() {
            CREATE => None,
            THIRD_PARTY_INVITE => named(NamedLevel::Invite, "invite"),
            MEMBER => {
                let (name, to) = self.level_to_change_membership(event)?;
                named(name, to)
            }
            event_type => Some(LevelNeeded {
                level: levels.to_send(event_type, event.is_state()),
                to: format!("send {event_type}"),
            }),
        }
    }

    /// The level for what a membership event does, and what that is.
    fn level_to_change_membership(&self, event: &Pdu) -> Option<(NamedLevel, &'static str)> {
        let target = event.state_key()?;
        let is_own = target == event.sender().as_str();
        let was = self.get(MEMBER, target).and_then(Pdu::membership);
        match event.membership().and_then(Membership::parse)? {
            Membership::Invite if follows_third_party_invite(event) => None,
            Membership::Invite => Some((NamedLevel::Invite, "invite")),
            Membership::Ban => Some((NamedLevel::Ban, "ban")),
            Membership::Leave if !is_own && was == Some("ban") => Some((NamedLevel::Ban, "unban")),
            Membership::Leave if !is_own => Some((NamedLevel::Kick, "kick")),
            Membership::Leave | Membership::Join | Membership::Knock => None,
        }
    }
}
