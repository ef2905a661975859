//! What the authorisation rules read of an event's content.
//!
//! It is read once, when the event is parsed, so that judging an event by a state of the room
//! parses nothing and, unless it is denied, allocates nothing. Events of which the rules read
//! nothing, among them all messages, hold nothing.
//!
//! Values of the wrong form are kept as such, never refused: what they mean is for the rules to
//! say.

use std::{borrow::Cow, num::IntErrorKind, sync::Arc};

use ruma_common::{OwnedUserId, UserId};
use serde_json::Value;

use super::{
    canonical_json::{Object, object_to_canonical_string},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
    format::MAX_ID_BYTES,
    room_version::{LevelForm, RoomVersion},
    unpadded_base64,
};

/// What the authorisation rules read of the content of one event, by the event's type.
#[derive(Clone, Debug)]
pub enum AuthContent {
    /// `m.room.create`.
    Create(Box<CreateContent>),
    /// `m.room.member`.
    Member(MemberContent),
    /// `m.room.power_levels`.
    PowerLevels(Arc<PowerLevelsContent>),
    /// `m.room.join_rules`.
    JoinRules(JoinRulesContent),
    /// `m.room.third_party_invite`: its keys, sorted, leaving out what is no key.
    ThirdPartyInvite(Box<[[u8; 32]]>),
    /// Any other event.
    Other,
}

/// The content of `m.room.create`.
#[derive(Clone, Debug)]
pub struct CreateContent {
    /// `room_version`; "1" if there is none, empty if it is no text.
    pub room_version: Cow<'static, str>,
    /// `creator`; empty if it is no text.
    pub creator: Option<Box<str>>,
    /// Whether other servers may take part: `m.federate` is not `false`.
    pub federate: bool,
    /// The user ids in `additional_creators`, sorted; `None` if it is anything but a list of user
    /// ids.
    pub additional_creators: Option<Box<[OwnedUserId]>>,
}

/// The content of `m.room.member`.
#[derive(Clone, Debug)]
pub struct MemberContent {
    membership: Option<Cow<'static, str>>,
    /// What few members have.
    more: Option<Box<MoreMemberContent>>,
}

#[derive(Clone, Debug)]
struct MoreMemberContent {
    authorising_user: Option<Box<str>>,
    third_party_invite: Option<ThirdPartyInvite>,
}

/// `third_party_invite` of an invite.
#[derive(Clone, Debug)]
pub struct ThirdPartyInvite {
    /// `signed`, if it is an object.
    pub signed: Option<SignedInvite>,
}

/// What an identity server signed.
#[derive(Clone, Debug)]
pub struct SignedInvite {
    /// `mxid`: whose the address is.
    pub user: Option<Box<str>>,
    /// `token`: the state key of the `m.room.third_party_invite`.
    pub token: Option<Box<str>>,
    /// The text that was signed.
    pub text: Box<str>,
    /// Every ed25519 signature, whoever made it.
    pub signatures: Box<[Box<str>]>,
}

/// The content of `m.room.join_rules`.
#[derive(Clone, Debug)]
pub struct JoinRulesContent {
    /// `join_rule`; empty if it is no text.
    pub join_rule: Option<Box<str>>,
}

/// The content of `m.room.power_levels`.
#[derive(Clone, Debug)]
pub struct PowerLevelsContent {
    named: [Option<Level>; NamedLevel::ALL.len()],
    lists: [LevelList; LevelsOf::ALL.len()],
    stranger: Option<Box<str>>,
}

/// A power level; `None` is a value that is none in the event's room version.
pub type Level = Option<i64>;

/// One list of power levels.
#[derive(Clone, Debug)]
pub enum LevelList {
    /// It is not there.
    Absent,
    /// It is no object.
    Malformed,
    /// Its entries, sorted by key.
    Entries(Box<[(Box<str>, Level)]>),
}

/// The single levels of `m.room.power_levels`, besides its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedLevel {
    /// The level of users not in `users`.
    UsersDefault,
    /// What events not in `events` need.
    EventsDefault,
    /// What state events not in `events` need.
    StateDefault,
    /// What a ban needs.
    Ban,
    /// What a redaction of another server's event needs.
    Redact,
    /// What a kick needs.
    Kick,
    /// What an invite needs.
    Invite,
}

/// The lists of `m.room.power_levels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelsOf {
    /// `events`: what events of a type need.
    Events,
    /// `notifications`: what a kind of notification needs.
    Notifications,
    /// `users`: the levels of users.
    Users,
}

impl AuthContent {
    /// Reads the content of an event of this type.
    pub fn read(event_type: &str, content: &Object, version: RoomVersion) -> Self {
        match event_type {
            CREATE => Self::Create(Box::new(CreateContent::read(content))),
            MEMBER => Self::Member(MemberContent::read(content)),
            POWER_LEVELS => Self::PowerLevels(Arc::new(PowerLevelsContent::read(
                content,
                version.rules().levels,
            ))),
            JOIN_RULES => Self::JoinRules(JoinRulesContent::read(content)),
            THIRD_PARTY_INVITE => Self::ThirdPartyInvite(public_keys(content)),
            _ => Self::Other,
        }
    }

    /// Whether the rules read anything of the content of events of this type.
    pub fn is_read_of(event_type: &str) -> bool {
        [CREATE, MEMBER, POWER_LEVELS, JOIN_RULES, THIRD_PARTY_INVITE].contains(&event_type)
    }

    /// The content of a create event.
    pub fn create(&self) -> Option<&CreateContent> {
        match self {
            Self::Create(content) => Some(content),
            _ => None,
        }
    }

    /// The content of a membership event.
    pub fn member(&self) -> Option<&MemberContent> {
        match self {
            Self::Member(content) => Some(content),
            _ => None,
        }
    }

    /// The content of a power-levels event.
    pub fn power_levels(&self) -> Option<&PowerLevelsContent> {
        match self {
            Self::PowerLevels(content) => Some(content),
            _ => None,
        }
    }

    /// The content of a join-rules event.
    pub fn join_rules(&self) -> Option<&JoinRulesContent> {
        match self {
            Self::JoinRules(content) => Some(content),
            _ => None,
        }
    }

    /// The keys of a third-party invite.
    pub fn public_keys(&self) -> Option<&[[u8; 32]]> {
        match self {
            Self::ThirdPartyInvite(keys) => Some(keys),
            _ => None,
        }
    }
}

impl CreateContent {
    fn read(content: &Object) -> Self {
        let version = content.get("room_version").map(text_or_empty);
        let federate = content.get("m.federate") != Some(&Value::Bool(false));
        let additional = content.get("additional_creators");
        Self {
            room_version: version.map_or(Cow::Borrowed("1"), |v| Cow::Owned(v.into())),
            creator: content.get("creator").map(text_or_empty),
            federate,
            additional_creators: additional.map_or(Some(Box::default()), user_ids),
        }
    }
}

fn user_ids(value: &Value) -> Option<Box<[OwnedUserId]>> {
    let user_id = |user: &Value| OwnedUserId::try_from(user.as_str()?).ok();
    let mut users: Box<[_]> = value
        .as_array()?
        .iter()
        .map(user_id)
        .collect::<Option<_>>()?;
    users.sort_unstable();
    Some(users)
}

impl MemberContent {
    fn read(content: &Object) -> Self {
        let more = MoreMemberContent {
            authorising_user: content
                .get("join_authorised_via_users_server")
                .map(text_or_empty),
            third_party_invite: content
                .get("third_party_invite")
                .map(ThirdPartyInvite::read),
        };
        let has_more = more.authorising_user.is_some() || more.third_party_invite.is_some();
        Self {
            membership: content
                .get("membership")
                .and_then(Value::as_str)
                .map(membership),
            more: has_more.then(|| Box::new(more)),
        }
    }

    /// `membership`, if it is a text.
    pub fn membership(&self) -> Option<&str> {
        self.membership.as_deref()
    }

    /// `join_authorised_via_users_server`; empty if it is no text.
    pub fn authorising_user(&self) -> Option<&str> {
        self.more.as_ref()?.authorising_user.as_deref()
    }

    /// `third_party_invite`, whatever its form.
    pub fn third_party_invite(&self) -> Option<&ThirdPartyInvite> {
        self.more.as_ref()?.third_party_invite.as_ref()
    }
}

/// Does not allocate for a membership that exists.
fn membership(name: &str) -> Cow<'static, str> {
    match name {
        "join" => Cow::Borrowed("join"),
        "invite" => Cow::Borrowed("invite"),
        "leave" => Cow::Borrowed("leave"),
        "ban" => Cow::Borrowed("ban"),
        "knock" => Cow::Borrowed("knock"),
        other => Cow::Owned(other.to_owned()),
    }
}

impl ThirdPartyInvite {
    fn read(value: &Value) -> Self {
        let signed = value.get("signed").and_then(Value::as_object);
        Self {
            signed: signed.map(SignedInvite::read),
        }
    }
}

impl SignedInvite {
    fn read(signed: &Object) -> Self {
        let text = |key| signed.get(key).and_then(Value::as_str).map(Box::from);
        let servers = signed.get("signatures").and_then(Value::as_object);
        let signatures = servers
            .into_iter()
            .flat_map(Object::values)
            .filter_map(Value::as_object)
            .flatten()
            .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
            .filter_map(|(_, signature)| signature.as_str());
        Self {
            user: text("mxid"),
            token: text("token"),
            text: object_to_canonical_string(signed, &["signatures", "unsigned"]).into(),
            signatures: signatures.map(Box::from).collect(),
        }
    }
}

impl JoinRulesContent {
    fn read(content: &Object) -> Self {
        Self {
            join_rule: content.get("join_rule").map(text_or_empty),
        }
    }
}

fn public_keys(content: &Object) -> Box<[[u8; 32]]> {
    let listed = content.get("public_keys").and_then(Value::as_array);
    let listed = listed.into_iter().flatten();
    let decode = |key: &Value| {
        unpadded_base64::decode_either_alphabet(key.as_str()?)?
            .try_into()
            .ok()
    };
    let mut keys: Vec<[u8; 32]> = listed
        .map(|entry| entry.get("public_key"))
        .chain([content.get("public_key")])
        .filter_map(|key| decode(key?))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into()
}

fn text_or_empty(value: &Value) -> Box<str> {
    value.as_str().unwrap_or_default().into()
}

/// A power level in the form that the room version has for them (room versions, version 1,
/// "Deprecated event content schemas"). What no integer of ours can hold counts as the nearest one
/// that can.
fn read_level(value: &Value, form: LevelForm) -> Level {
    match (value, form) {
        (Value::Number(number), LevelForm::Number) => {
            let cut_off = |number: f64| number as i64;
            number.as_i64().or_else(|| number.as_f64().map(cut_off))
        }
        (Value::Number(number), _) => number.as_i64(),
        (Value::String(text), LevelForm::Number | LevelForm::IntegerOrText) => level_in_text(text),
        _ => None,
    }
}

/// Decimal digits, a sign before them if there is one, and white space around. White space is what
/// Python takes for it: Unicode's, and four separators of ASCII.
fn level_in_text(text: &str) -> Level {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    match text.trim_matches(is_space).parse::<i64>() {
        Ok(level) => Some(level),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

impl PowerLevelsContent {
    fn read(content: &Object, form: LevelForm) -> Self {
        let named = |name: NamedLevel| {
            let level = content.get(name.name())?;
            Some(read_level(level, form))
        };
        let mut read = Self {
            named: NamedLevel::ALL.map(named),
            lists: LevelsOf::ALL.map(|list| LevelList::read(content.get(list.name()), form)),
            stranger: None,
        };
        let mut users = read.list(LevelsOf::Users).entries().iter();
        let stranger = users.find(|(user, _)| !is_user_id(user));
        read.stranger = stranger.map(|(user, _)| user.clone());
        read
    }

    /// The first key in `users` that is no user id by the grammar.
    pub fn stranger(&self) -> Option<&str> {
        self.stranger.as_deref()
    }

    /// The level of this name, if there is any value for it.
    pub fn named(&self, name: NamedLevel) -> Option<Level> {
        self.named.get(name as usize).copied().flatten()
    }

    /// One of the lists.
    pub fn list(&self, list: LevelsOf) -> &LevelList {
        self.lists.get(list as usize).unwrap_or(&LevelList::Absent)
    }
}

/// Whether this is a user id by the grammar (appendices, "User Identifiers", "Server Name"), which
/// has ports up to 99,999. The identifier's parser knows none above 65,535.
fn is_user_id(text: &str) -> bool {
    let is_five_digits = |port: &str| port.len() == 5 && port.bytes().all(|b| b.is_ascii_digit());
    let with_other_port = || match text.rsplit_once(':') {
        Some((before, port)) if is_five_digits(port) && text.len() <= MAX_ID_BYTES => {
            UserId::parse(format!("{before}:1")).is_ok()
        }
        _ => false,
    };
    <&UserId>::try_from(text).is_ok() || with_other_port()
}

impl LevelList {
    fn read(value: Option<&Value>, form: LevelForm) -> Self {
        let entries = match value {
            None => return Self::Absent,
            Some(Value::Object(entries)) => entries,
            Some(_) => return Self::Malformed,
        };
        let entry =
            |(key, level): (&String, &Value)| (key.as_str().into(), read_level(level, form));
        let mut entries: Box<[(Box<str>, Level)]> = entries.iter().map(entry).collect();
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self::Entries(entries)
    }

    /// Its entries, sorted by key; none if there is no list.
    pub fn entries(&self) -> &[(Box<str>, Level)] {
        match self {
            Self::Entries(entries) => entries,
            Self::Absent | Self::Malformed => &[],
        }
    }

    /// The level at this key.
    pub fn get(&self, key: &str) -> Level {
        let entries = self.entries();
        let index = entries
            .binary_search_by(|(other, _)| (**other).cmp(key))
            .ok()?;
        entries.get(index)?.1
    }
}

impl NamedLevel {
    /// All of them, in the order of the rule for `m.room.power_levels`.
    pub const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    /// Its key in the content.
    pub fn name(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }

    /// The level where the room does not say.
    pub fn default(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }
}

impl LevelsOf {
    /// All of them, in the order of the rule for `m.room.power_levels`.
    pub const ALL: [Self; 3] = [Self::Events, Self::Notifications, Self::Users];

    /// Its key in the content.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Notifications => "notifications",
            Self::Users => "users",
        }
    }
}
