//! Who may do what: reading power levels, and who may change them (client-server API,
//! `m.room.power_levels`; room versions, "Authorization rules").

use std::fmt;

use ruma_common::UserId;

use super::{Case, Denied, Reason, Rule};
use crate::pdu::{
    Pdu,
    auth_content::{Level, LevelList, LevelsOf, NamedLevel, PowerLevelsContent},
    room_version::{LevelForm, RoomVersionRules},
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
/// A value that is no level counts as absent. No accepted event holds one: see the rules for
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
            content: power_levels.and_then(|event| event.auth_content().power_levels()),
        }
    }

    /// The level of this user.
    pub fn of_user(&self, user: &UserId) -> PowerLevel {
        if stands_above_levels(self.create, user.as_str()) {
            return PowerLevel::Creator;
        }
        let level = match self.content {
            Some(content) => content.list(LevelsOf::Users).get(user.as_str()),
            None => is_creator(self.create, user.as_str()).then_some(LONE_CREATOR_LEVEL),
        };
        PowerLevel::Level(level.unwrap_or_else(|| self.named(NamedLevel::UsersDefault)))
    }

    /// The level of this name.
    pub fn named(&self, name: NamedLevel) -> i64 {
        let given = self.content.and_then(|content| content.named(name));
        given.flatten().unwrap_or_else(|| name.default())
    }

    /// The level needed to send an event of this type.
    pub fn to_send(&self, event_type: &str, is_state: bool) -> i64 {
        let default = if is_state {
            NamedLevel::StateDefault
        } else {
            NamedLevel::EventsDefault
        };
        let of_type = self
            .content
            .and_then(|content| content.list(LevelsOf::Events).get(event_type));
        of_type.unwrap_or_else(|| self.named(default))
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
            || additional().is_some_and(|users| {
                let found = users.binary_search_by(|other| other.as_str().cmp(user));
                found.is_ok()
            }))
}

/// The rule for `m.room.power_levels`, whose present levels are `before`.
pub(super) fn check(case: Case<'_>, before: PowerLevels<'_>) -> Result<(), Denied> {
    let Some(after) = case.event.auth_content().power_levels() else {
        return Ok(());
    };
    if let Some((rule, what, expected)) = malformed(after, case.event.room_version().rules()) {
        return case.deny(rule, Reason::MalformedLevels(what.to_owned(), expected));
    }
    if let Some(creator) = creator_with_level(case.create, after) {
        let reason = Reason::CreatorLevel(creator.to_owned());
        return case.deny(Rule::LevelsCreators, reason);
    }
    // Under another state key nothing precedes it: the specification does not say, and this is what
    // Synapse does.
    let is_elsewhere = case.event.state_key().is_some_and(|key| !key.is_empty());
    let Some(content) = before.content.filter(|_| !is_elsewhere) else {
        return Ok(());
    };
    let change = Change {
        case,
        before: content,
        after,
        sender_level: before.of_user(case.event.sender()),
    };
    change.check_named_levels()?;
    change.check_lists()?;
    change.check_users()
}

/// A value that is no level, or a user that is no user id: which rule that breaks, where it
/// stands, and what was to stand there.
fn malformed<'a>(
    levels: &'a PowerLevelsContent,
    rules: &RoomVersionRules,
) -> Option<(Rule, &'a str, &'static str)> {
    let expected = match rules.levels {
        LevelForm::Integer => "an integer",
        LevelForm::IntegerOrText | LevelForm::Number => "a level",
    };
    let mut named = NamedLevel::ALL.into_iter();
    if let Some(name) = named.find(|name| levels.named(*name) == Some(None)) {
        return Some((Rule::LevelsNamed, name.name(), expected));
    }
    let mut lists = lists_of_levels(rules).iter();
    if let Some(list) = lists.find(|list| is_malformed(levels.list(**list))) {
        return Some((Rule::LevelsLists, list.name(), "an object of levels"));
    }
    let users = levels.list(LevelsOf::Users);
    if is_malformed(users) {
        return Some((Rule::LevelsUsers, "users", "an object of levels"));
    }
    levels
        .stranger()
        .map(|stranger| (Rule::LevelsUsers, stranger, "a user id"))
}

fn is_malformed(list: &LevelList) -> bool {
    matches!(list, LevelList::Malformed) || list.entries().iter().any(|(_, level)| level.is_none())
}

/// The lists in which levels are needed for something; before notifications counted, nobody read
/// theirs.
fn lists_of_levels(rules: &RoomVersionRules) -> &'static [LevelsOf] {
    if rules.notification_levels {
        &[LevelsOf::Events, LevelsOf::Notifications]
    } else {
        &[LevelsOf::Events]
    }
}

fn creator_with_level<'a>(create: &Pdu, levels: &'a PowerLevelsContent) -> Option<&'a str> {
    let users = levels.list(LevelsOf::Users).entries().iter();
    users
        .map(|(user, _)| &**user)
        .find(|user| stands_above_levels(create, user))
}

/// A change of power levels, of which every part has to be within the sender's power.
///
/// A level is altered when it appears, disappears or gets another value, even if its default is the
/// same; a level that is absent before or after has no value there to compare with the sender's.
struct Change<'a> {
    case: Case<'a>,
    before: &'a PowerLevelsContent,
    after: &'a PowerLevelsContent,
    sender_level: PowerLevel,
}

impl<'a> Change<'a> {
    fn check_named_levels(&self) -> Result<(), Denied> {
        for name in NamedLevel::ALL {
            let (from, to) = (self.before.named(name), self.after.named(name));
            let altered = Altered {
                list: None,
                key: name.name(),
                from: from.flatten(),
                to: to.flatten(),
            };
            if altered.from != altered.to {
                self.require_within(Rule::LevelsNamedCurrent, altered, altered.from)?;
                self.require_within(Rule::LevelsNamedNew, altered, altered.to)?;
            }
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<(), Denied> {
        let lists = lists_of_levels(self.case.event.room_version().rules()).iter();
        let altered = || lists.clone().flat_map(|list| self.altered(*list));
        altered().try_for_each(|a| self.require_within(Rule::LevelsListCurrent, a, a.from))?;
        altered().try_for_each(|a| self.require_within(Rule::LevelsListNew, a, a.to))
    }

    fn check_users(&self) -> Result<(), Denied> {
        let sender = self.case.event.sender();
        let mut others = self.altered(LevelsOf::Users).filter(|a| sender != a.key);
        let reaches_sender = |a: &Altered<'_>| {
            a.from
                .is_some_and(|l| PowerLevel::Level(l) >= self.sender_level)
        };
        if let Some(altered) = others.find(reaches_sender) {
            return self.deny(Rule::LevelsUserCurrent, altered);
        }
        self.altered(LevelsOf::Users)
            .try_for_each(|a| self.require_within(Rule::LevelsUserNew, a, a.to))
    }

    fn altered(&self, list: LevelsOf) -> impl Iterator<Item = Altered<'a>> + use<'a> {
        let (before, after) = (self.before.list(list), self.after.list(list));
        let kept_or_removed = before
            .entries()
            .iter()
            .map(|(key, from)| (key, *from, after.get(key)));
        let added = after
            .entries()
            .iter()
            .filter(|(key, _)| before.get(key).is_none())
            .map(|(key, to)| (key, None, *to));
        let altered = kept_or_removed.chain(added);
        altered
            .filter(|(_, from, to)| from != to)
            .map(move |(key, from, to)| Altered {
                list: Some(list),
                key,
                from,
                to,
            })
    }

    /// A level that the sender sets, or sets aside, is not above their own.
    fn require_within(&self, rule: Rule, altered: Altered<'_>, level: Level) -> Result<(), Denied> {
        match level {
            Some(level) if PowerLevel::Level(level) > self.sender_level => self.deny(rule, altered),
            _ => Ok(()),
        }
    }

    fn deny(&self, rule: Rule, altered: Altered<'_>) -> Result<(), Denied> {
        let what = match altered.list {
            Some(list) => format!("{}.{}", list.name(), altered.key),
            None => altered.key.to_owned(),
        };
        let reason = Reason::LevelChange {
            what,
            from: altered.from,
            to: altered.to,
            sender: self.sender_level,
        };
        self.case.deny(rule, reason)
    }
}

/// A level whose value differs between two power-levels events.
#[derive(Clone, Copy)]
struct Altered<'a> {
    list: Option<LevelsOf>,
    key: &'a str,
    from: Level,
    to: Level,
}
