//! What remains of an event once its content has been taken away (room versions, "Redactions").
//!
//! The remainder is what event ids and signatures cover, so an event keeps its id and its
//! signatures when it is redacted, and peers must agree on it to the byte. `unsigned` is never
//! part of it.

use std::ops::Range;

use super::{
    canonical_json::Members,
    event_text::{EventText, Field},
    event_type::{
        ALIASES, CREATE, HISTORY_VISIBILITY, JOIN_RULES, MEMBER, POWER_LEVELS, REDACTION,
    },
    room_version::RoomVersion,
};

/// The redaction algorithm of a room version, as data.
#[derive(Debug)]
pub struct RedactionRules {
    /// The top-level keys that survive, in the order of canonical JSON.
    pub top_level: &'static [Field],
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
const TOP_LEVEL_V1: &[Field] = &[
    Field::AuthEvents,
    Field::Content,
    Field::Depth,
    Field::EventId,
    Field::Hashes,
    Field::Membership,
    Field::Origin,
    Field::OriginServerTs,
    Field::PrevEvents,
    Field::PrevState,
    Field::RoomId,
    Field::Sender,
    Field::Signatures,
    Field::StateKey,
    Field::Type,
];

/// From room version 11 on.
const TOP_LEVEL_V11: &[Field] = &[
    Field::AuthEvents,
    Field::Content,
    Field::Depth,
    Field::EventId,
    Field::Hashes,
    Field::OriginServerTs,
    Field::PrevEvents,
    Field::RoomId,
    Field::Sender,
    Field::Signatures,
    Field::StateKey,
    Field::Type,
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

/// The text of an event without what its room version lets a redaction remove.
pub fn redact(event: &EventText, version: RoomVersion) -> String {
    let mut text = String::with_capacity(event.json().len());
    redacted_pieces(event, version, |_| true, |piece| text.push_str(piece));
    text
}

/// The text that a server signs to sign an event, and that an event is named by: the redacted event
/// without `signatures`.
pub fn signed_text(event: &EventText, version: RoomVersion) -> String {
    let mut text = String::with_capacity(event.json().len());
    signed_pieces(event, version, |piece| text.push_str(piece));
    text
}

/// Calls `piece` with one piece after the other of [`signed_text`].
pub(super) fn signed_pieces(event: &EventText, version: RoomVersion, piece: impl FnMut(&str)) {
    let is_wanted = |field| field != Field::Signatures;
    redacted_pieces(event, version, is_wanted, piece);
}

/// What stands together in the event and stays makes one piece.
fn redacted_pieces(
    event: &EventText,
    version: RoomVersion,
    is_wanted: impl Fn(Field) -> bool,
    mut piece: impl FnMut(&str),
) {
    let (json, rules) = (event.json(), &version.rules().redaction);
    let text = |range: Range<usize>| json.get(range).unwrap_or_default();
    // What is to be given away next, from the opening brace on.
    let mut run = 0..1;
    for field in rules.top_level.iter().copied().filter(|f| is_wanted(*f)) {
        let Some(place) = event.place(field) else {
            continue;
        };
        // Between two entries there is a comma, but none before the first.
        let start = place.entry.start - usize::from(run.end > 1);
        if start > run.end {
            piece(text(run));
            run = start..start;
        }
        run.end = place.entry.end;
        if field == Field::Content && text(place.value.clone()).starts_with('{') {
            piece(text(run.start..place.value.start));
            kept_pieces(text(place.value), rules.kept_content(event), &mut piece);
            run.start = run.end;
        }
    }
    piece(text(run));
    piece("}");
}

impl RedactionRules {
    fn kept_content(&self, event: &EventText) -> KeptContent {
        let event_type = event.string(Field::Type).unwrap_or_default();
        let kept = self.content.iter().find(|(kept, _)| *kept == event_type);
        kept.map_or(Keys(&[]), |(_, kept)| *kept)
    }
}

fn kept_pieces(object: &str, kept: KeptContent, piece: &mut impl FnMut(&str)) {
    match kept {
        All => piece(object),
        Keys([]) => piece("{}"),
        Keys(keys) => {
            let mut kept = String::with_capacity(object.len());
            write_kept(&mut kept, object, keys);
            piece(&kept);
        }
    }
}

/// Writes what is kept of an object. The kept keys are ones that need no escapes.
fn write_kept(out: &mut String, object: &str, keys: &[KeptKey]) {
    out.push('{');
    for (key, value) in Members::of(object) {
        match keys.iter().find(|kept| kept.name() == key) {
            Some(Whole(_)) => {
                write_key(out, key);
                out.push_str(value);
            }
            Some(Inside(_, inner)) if value.starts_with('{') => {
                write_key(out, key);
                write_kept(out, value, &[Whole(inner)]);
            }
            Some(Inside(..)) | None => {}
        }
    }
    out.push('}');
}

impl KeptKey {
    fn name(self) -> &'static str {
        match self {
            Whole(name) | Inside(name, _) => name,
        }
    }
}

/// Writes the key of the next entry of an object.
fn write_key(out: &mut String, key: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
}
