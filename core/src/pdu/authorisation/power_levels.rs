//! Who may do what: reading power levels, and who may change them (client-server API,
//! `m.room.power_levels`; room versions, "Authorization rules").

use std::{collections::BTreeSet, fmt};

use ruma_common::UserId;

use super::{Denied, Room};
use crate::pdu::{
    Pdu,
    auth_content::{AuthContent, LevelList, LevelsOf, NamedLevel, PowerLevelsContent},
};

/// What a user may do, as one ordered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PowerLevel {
    /// A level that can be compared with others.
    Level(i64),
    /// The level of a creator in room versions where creators stand above every level.
    Creator,
}

impl fmt::Display for PowerLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => level.fmt(f),
            Self::Creator => f.write_str("of a creator"),
        }
    }
}

/// The level of a room's creator before its first `m.room.power_levels`, where creators do not
/// stand above every level.
const LONE_CREATOR_LEVEL: i64 = 100;

/// A room's power levels at one moment.
///
/// A value that is no integer counts as absent. No accepted event holds one: see the rules for
/// `m.room.power_levels`.
#[derive(Clone, Copy)]
pub struct PowerLevels<'a> {
    create: &'a Pdu,
    content: Option<&'a PowerLevelsContent>,
}

impl<'a> PowerLevels<'a> {
    /// The levels given by the room's create event and its `m.room.power_levels`, if it has one.
    pub fn new(create: &'a Pdu, power_levels: Option<&'a Pdu>) -> Self {
        Self {
            create,
            content: power_levels
                .map(Pdu::auth_content)
                .and_then(AuthContent::power_levels),
        }
    }

    /// The level of this user.
    pub fn of_user(&self, user: &UserId) -> PowerLevel {
        if stands_above_levels(self.create, user.as_str()) {
            return PowerLevel::Creator;
        }
        let level = match self.content {
            Some(_) => self.entry(LevelsOf::Users, user.as_str()),
            None => is_creator(self.create, user.as_str()).then_some(LONE_CREATOR_LEVEL),
        };
        PowerLevel::Level(level.unwrap_or_else(|| self.named(NamedLevel::UsersDefault)))
    }

    /// The level of this name.
    pub fn named(&self, name: NamedLevel) -> i64 {
        self.named_if_present(name)
            .unwrap_or_else(|| name.default())
    }

    /// The level needed to send an event of this type.
    pub fn to_send(&self, event_type: &str, is_state: bool) -> i64 {
        let default = if is_state {
            NamedLevel::StateDefault
        } else {
            NamedLevel::EventsDefault
        };
        self.entry(LevelsOf::Events, event_type)
            .unwrap_or_else(|| self.named(default))
    }

    fn named_if_present(&self, name: NamedLevel) -> Option<i64> {
        self.content?.named(name).flatten()
    }

    fn entry(&self, list: LevelsOf, key: &str) -> Option<i64> {
        self.content?.list(list).get(key)
    }

    fn keys(&self, list: LevelsOf) -> impl Iterator<Item = &'a str> + use<'a> {
        let entries = self.content.map(|content| content.list(list).entries());
        entries.unwrap_or_default().iter().map(|(key, _)| &**key)
    }
}

/// Whether the user is the creator of the room: the one named by the create event, or its sender.
pub(super) fn is_creator(create: &Pdu, user: &str) -> bool {
    if create.room_version().rules().creator_in_content {
        let content = create.auth_content().create();
        content.and_then(|content| content.creator.as_deref()) == Some(user)
    } else {
        create.sender() == user
    }
}

/// Whether the user is among the creators of a room whose creators stand above every level.
fn stands_above_levels(create: &Pdu, user: &str) -> bool {
    let additional = || {
        let content = create.auth_content().create();
        content.and_then(|content| content.additional_creators.as_deref())
    };
    create.room_version().rules().creators_above_levels
        && (is_creator(create, user)
            || additional().is_some_and(|users| users.iter().any(|other| other == user)))
}

/// The rule for `m.room.power_levels`.
pub(super) fn check(event: &Pdu, room: &Room<'_>) -> Result<(), Denied> {
    let after = PowerLevels::new(room.create, Some(event));
    after.content.map_or(Ok(()), check_form)?;
    let mut users = after.keys(LevelsOf::Users);
    if let Some(creator) = users.find(|user| stands_above_levels(room.create, user)) {
        return Err(Denied::CreatorLevel(creator.to_owned()));
    }
    let before = room.power_levels();
    if before.content.is_none() {
        return Ok(());
    }
    let change = Change {
        before,
        after,
        event,
        sender_level: before.of_user(event.sender()),
    };
    change.check_named_levels()?;
    LevelsOf::ALL
        .into_iter()
        .try_for_each(|list| change.check_list(list))
}

/// All levels are integers, and all users are user ids.
fn check_form(content: &PowerLevelsContent) -> Result<(), Denied> {
    let malformed = |what: &str, expected| Err(Denied::MalformedLevels(what.to_owned(), expected));
    for name in NamedLevel::ALL {
        if content.named(name) == Some(None) {
            return malformed(name.name(), "an integer");
        }
    }
    for list in LevelsOf::ALL {
        let is_malformed = match content.list(list) {
            LevelList::Absent => false,
            LevelList::Malformed => true,
            LevelList::Entries(entries) => entries.iter().any(|(_, level)| level.is_none()),
        };
        if is_malformed {
            return malformed(list.name(), "an object of integers");
        }
    }
    let mut users = content.list(LevelsOf::Users).entries().iter();
    match users.find(|(user, _)| <&UserId>::try_from(&**user).is_err()) {
        Some((user, _)) => malformed(user, "a user id"),
        None => Ok(()),
    }
}

/// A change of power levels, of which every part has to be within the sender's power.
///
/// A level is altered when it appears, disappears or gets another value, even if its default is the
/// same; a level that is absent before or after has no value there to compare with the sender's.
struct Change<'a> {
    before: PowerLevels<'a>,
    after: PowerLevels<'a>,
    event: &'a Pdu,
    sender_level: PowerLevel,
}

impl Change<'_> {
    fn check_named_levels(&self) -> Result<(), Denied> {
        NamedLevel::ALL.into_iter().try_for_each(|name| {
            let (from, to) = (
                self.before.named_if_present(name),
                self.after.named_if_present(name),
            );
            self.check_level(from, to, false, || name.name().to_owned())
        })
    }

    fn check_list(&self, list: LevelsOf) -> Result<(), Denied> {
        let keys = self.before.keys(list).chain(self.after.keys(list));
        let keys: BTreeSet<_> = keys.collect();
        keys.into_iter().try_for_each(|key| {
            let (from, to) = (self.before.entry(list, key), self.after.entry(list, key));
            let is_peer = list == LevelsOf::Users && self.event.sender() != key;
            self.check_level(from, to, is_peer, || format!("{}.{key}", list.name()))
        })
    }

    /// `is_peer`: this is the level of another user, who must be below the sender to be changed.
    fn check_level(
        &self,
        from: Option<i64>,
        to: Option<i64>,
        is_peer: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), Denied> {
        let sender = self.sender_level;
        let above = |level: Option<i64>| level.is_some_and(|l| PowerLevel::Level(l) > sender);
        let equal = |level: Option<i64>| level.is_some_and(|l| PowerLevel::Level(l) == sender);
        if from != to && (above(from) || above(to) || (is_peer && equal(from))) {
            return Err(Denied::LevelChange {
                what: what(),
                from,
                to,
                sender,
            });
        }
        Ok(())
    }
}
