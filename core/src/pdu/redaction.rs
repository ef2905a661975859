//! What remains of an event once its content has been taken away (room versions, "Redactions").
//!
//! The remainder is what event ids and signatures cover, so an event keeps its id and its
//! signatures when it is redacted, and peers must agree on it to the byte. `unsigned` is never
//! part of it.

use serde_json::Value;

use super::{
    canonical_json::Object,
    event_type::{
        ALIASES, CREATE, HISTORY_VISIBILITY, JOIN_RULES, MEMBER, POWER_LEVELS, REDACTION,
    },
    room_version::RoomVersion,
};

/// The redaction algorithm of a room version, as data.
#[derive(Debug)]
pub struct RedactionRules {
    /// The top-level keys that survive.
    pub top_level: &'static [&'static str],
    /// What survives of the content, by event type; of other types nothing does.
    pub content: &'static [(&'static str, KeptContent)],
}

/// What survives of the content of one event type.
#[derive(Clone, Copy, Debug)]
pub enum KeptContent {
    /// Everything.
    All,
    /// These keys.
    Keys(&'static [KeptKey]),
}

/// A key of `content` that survives.
#[derive(Clone, Copy, Debug)]
pub enum KeptKey {
    /// The key with its whole value.
    Whole(&'static str),
    /// Of the object under the first key only the second key. Any other value under the first key
    /// goes: the specification does not speak of it, and this is what Synapse does.
    Inside(&'static str, &'static str),
}

use KeptContent::{All, Keys};
use KeptKey::{Inside, Whole};

/// Up to room version 10.
const TOP_LEVEL_V1: &[&str] = &[
    "auth_events",
    "content",
    "depth",
    "event_id",
    "hashes",
    "membership",
    "origin",
    "origin_server_ts",
    "prev_events",
    "prev_state",
    "room_id",
    "sender",
    "signatures",
    "state_key",
    "type",
];

/// From room version 11 on.
const TOP_LEVEL_V11: &[&str] = &[
    "auth_events",
    "content",
    "depth",
    "event_id",
    "hashes",
    "origin_server_ts",
    "prev_events",
    "room_id",
    "sender",
    "signatures",
    "state_key",
    "type",
];

const CREATE_V1: KeptContent = Keys(&[Whole("creator")]);
const MEMBER_V1: KeptContent = Keys(&[Whole("membership")]);
const MEMBER_V9: KeptContent = Keys(&[
    Whole("membership"),
    Whole("join_authorised_via_users_server"),
]);
const MEMBER_V11: KeptContent = Keys(&[
    Whole("membership"),
    Whole("join_authorised_via_users_server"),
    Inside("third_party_invite", "signed"),
]);
const JOIN_RULES_V1: KeptContent = Keys(&[Whole("join_rule")]);
const JOIN_RULES_V8: KeptContent = Keys(&[Whole("join_rule"), Whole("allow")]);
const POWER_LEVELS_V1: KeptContent = Keys(&[
    Whole("ban"),
    Whole("events"),
    Whole("events_default"),
    Whole("kick"),
    Whole("redact"),
    Whole("state_default"),
    Whole("users"),
    Whole("users_default"),
]);
const POWER_LEVELS_V11: KeptContent = Keys(&[
    Whole("ban"),
    Whole("events"),
    Whole("events_default"),
    Whole("invite"),
    Whole("kick"),
    Whole("redact"),
    Whole("state_default"),
    Whole("users"),
    Whole("users_default"),
]);
const ALIASES_V1: KeptContent = Keys(&[Whole("aliases")]);
const HISTORY_VISIBILITY_V1: KeptContent = Keys(&[Whole("history_visibility")]);
const REDACTION_V11: KeptContent = Keys(&[Whole("redacts")]);

impl RedactionRules {
    /// Room versions 1 to 5.
    pub const V1: Self = Self {
        top_level: TOP_LEVEL_V1,
        content: &[
            (CREATE, CREATE_V1),
            (MEMBER, MEMBER_V1),
            (JOIN_RULES, JOIN_RULES_V1),
            (POWER_LEVELS, POWER_LEVELS_V1),
            (ALIASES, ALIASES_V1),
            (HISTORY_VISIBILITY, HISTORY_VISIBILITY_V1),
        ],
    };

    /// Room versions 6 and 7.
    pub const V6: Self = Self {
        top_level: TOP_LEVEL_V1,
        content: &[
            (CREATE, CREATE_V1),
            (MEMBER, MEMBER_V1),
            (JOIN_RULES, JOIN_RULES_V1),
            (POWER_LEVELS, POWER_LEVELS_V1),
            (HISTORY_VISIBILITY, HISTORY_VISIBILITY_V1),
        ],
    };

    /// Room version 8.
    pub const V8: Self = Self {
        top_level: TOP_LEVEL_V1,
        content: &[
            (CREATE, CREATE_V1),
            (MEMBER, MEMBER_V1),
            (JOIN_RULES, JOIN_RULES_V8),
            (POWER_LEVELS, POWER_LEVELS_V1),
            (HISTORY_VISIBILITY, HISTORY_VISIBILITY_V1),
        ],
    };

    /// Room versions 9 and 10.
    pub const V9: Self = Self {
        top_level: TOP_LEVEL_V1,
        content: &[
            (CREATE, CREATE_V1),
            (MEMBER, MEMBER_V9),
            (JOIN_RULES, JOIN_RULES_V8),
            (POWER_LEVELS, POWER_LEVELS_V1),
            (HISTORY_VISIBILITY, HISTORY_VISIBILITY_V1),
        ],
    };

    /// Room versions 11 and 12.
    pub const V11: Self = Self {
        top_level: TOP_LEVEL_V11,
        content: &[
            (CREATE, All),
            (MEMBER, MEMBER_V11),
            (JOIN_RULES, JOIN_RULES_V8),
            (POWER_LEVELS, POWER_LEVELS_V11),
            (HISTORY_VISIBILITY, HISTORY_VISIBILITY_V1),
            (REDACTION, REDACTION_V11),
        ],
    };
}

/// The event without what its room version lets a redaction remove.
pub fn redact(event: &Object, version: RoomVersion) -> Object {
    let rules = &version.rules().redaction;
    let event_type = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kept = rules
        .content
        .iter()
        .find(|(kept_type, _)| *kept_type == event_type);
    let mut redacted = Object::new();
    for (key, value) in event
        .iter()
        .filter(|(key, _)| rules.top_level.contains(&key.as_str()))
    {
        let value = match value {
            Value::Object(content) if key == "content" => Value::Object(kept_content(
                content,
                kept.map_or(Keys(&[]), |(_, kept)| *kept),
            )),
            _ => value.clone(),
        };
        redacted.insert(key.clone(), value);
    }
    redacted
}

fn kept_content(content: &Object, kept: KeptContent) -> Object {
    match kept {
        All => content.clone(),
        Keys(keys) => keys
            .iter()
            .filter_map(|key| kept_entry(content, *key))
            .collect(),
    }
}

fn kept_entry(content: &Object, kept: KeptKey) -> Option<(String, Value)> {
    match kept {
        Whole(key) => Some((key.to_owned(), content.get(key)?.clone())),
        Inside(outer, inner) => {
            let object = content.get(outer)?.as_object()?;
            let inside = object
                .get(inner)
                .map(|value| (inner.to_owned(), value.clone()));
            Some((
                outer.to_owned(),
                Value::Object(inside.into_iter().collect()),
            ))
        }
    }
}
