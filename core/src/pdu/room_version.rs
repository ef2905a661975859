//! The room versions we support, as one table of data.
//!
//! A row says only in what a version differs from the one before it, and code asks a rule
//! (`rules.room_id_is_create_event`), never compares versions: identifiers of room versions are
//! opaque and unordered (room versions, "Room version grammar"). To support another version, add
//! its row, and a field for each rule in which it differs from all rows here. A version without a
//! row is refused, never guessed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::redaction::RedactionRules;

/// What distinguishes one room version from another.
#[derive(Debug)]
pub struct RoomVersionRules {
    /// The identifier, as in `content.room_version` of the create event.
    pub id: &'static str,
    /// Where event ids come from.
    pub event_ids: EventIds,
    /// Numbers must be integers in ±(2^53−1), as canonical JSON demands. Elsewhere any number is
    /// hashed and signed as it is.
    pub strict_numbers: bool,
    /// A signature counts only if its key was valid when the event says it was made.
    pub key_validity: bool,
    /// How forks of the room's state are merged.
    pub state_resolution: StateResolution,
    /// What survives a redaction.
    pub redaction: RedactionRules,
    /// A redaction names its target in `content.redacts`, not in a top-level `redacts`.
    pub redacts_in_content: bool,
    /// Whether a redaction may stand is a rule of authorisation. Elsewhere the event always stands,
    /// and the question is whether it is applied.
    pub redaction_is_authorised: bool,
    /// A server may send `m.room.aliases` under its own name, whatever its users' levels.
    pub aliases_of_servers: bool,
    /// What counts as a power level.
    pub levels: LevelForm,
    /// Changes of `notifications` in the power levels need the level that they set.
    pub notification_levels: bool,
    /// Users may knock.
    pub knock: bool,
    /// The join rule `restricted` exists.
    pub restricted: bool,
    /// The join rule `knock_restricted` exists.
    pub knock_restricted: bool,
    /// `m.room.create` must name the room's creator in `content.creator`; otherwise the creator
    /// is its sender.
    pub creator_in_content: bool,
    /// The room id is the create event's id with another sigil, so the create event carries no
    /// `room_id`, and no event lists it in its `auth_events`.
    pub room_id_is_create_event: bool,
    /// The create event's sender and its `additional_creators` stand above every power level.
    pub creators_above_levels: bool,
}

/// Where event ids come from (room versions, "Event IDs").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventIds {
    /// The sender's server makes one up and puts it into `event_id`; events name others by pairs
    /// of id and reference hash; and the server in the id must have signed too.
    Chosen,
    /// The reference hash in standard base64.
    Base64,
    /// The reference hash in URL-safe base64.
    UrlSafeBase64,
}

/// What counts as a power level (room versions, version 1, "Deprecated event content schemas").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelForm {
    /// An integer, a number with a fraction, which is cut off, or the text of an integer.
    Number,
    /// An integer or the text of one.
    IntegerOrText,
    /// An integer.
    Integer,
}

/// The state resolution algorithms (room versions, "State resolution").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateResolution {
    /// Room version 1.
    V1,
    /// Room versions 2 to 11.
    V2,
    /// Room version 12: replays from the empty state, over the conflicted state subgraph too.
    V2_1,
}

const V1: RoomVersionRules = RoomVersionRules {
    id: "1",
    event_ids: EventIds::Chosen,
    strict_numbers: false,
    key_validity: false,
    state_resolution: StateResolution::V1,
    redaction: RedactionRules::V1,
    redacts_in_content: false,
    redaction_is_authorised: true,
    aliases_of_servers: true,
    levels: LevelForm::Number,
    notification_levels: false,
    knock: false,
    restricted: false,
    knock_restricted: false,
    creator_in_content: true,
    room_id_is_create_event: false,
    creators_above_levels: false,
};

const V2: RoomVersionRules = RoomVersionRules {
    id: "2",
    state_resolution: StateResolution::V2,
    ..V1
};

const V3: RoomVersionRules = RoomVersionRules {
    id: "3",
    event_ids: EventIds::Base64,
    redaction_is_authorised: false,
    ..V2
};

const V4: RoomVersionRules = RoomVersionRules {
    id: "4",
    event_ids: EventIds::UrlSafeBase64,
    ..V3
};

const V5: RoomVersionRules = RoomVersionRules {
    id: "5",
    key_validity: true,
    ..V4
};

const V6: RoomVersionRules = RoomVersionRules {
    id: "6",
    strict_numbers: true,
    redaction: RedactionRules::V6,
    aliases_of_servers: false,
    levels: LevelForm::IntegerOrText,
    notification_levels: true,
    ..V5
};

const V7: RoomVersionRules = RoomVersionRules {
    id: "7",
    knock: true,
    ..V6
};

const V8: RoomVersionRules = RoomVersionRules {
    id: "8",
    redaction: RedactionRules::V8,
    restricted: true,
    ..V7
};

const V9: RoomVersionRules = RoomVersionRules {
    id: "9",
    redaction: RedactionRules::V9,
    ..V8
};

const V10: RoomVersionRules = RoomVersionRules {
    id: "10",
    levels: LevelForm::Integer,
    knock_restricted: true,
    ..V9
};

const V11: RoomVersionRules = RoomVersionRules {
    id: "11",
    creator_in_content: false,
    redacts_in_content: true,
    redaction: RedactionRules::V11,
    ..V10
};

const V12: RoomVersionRules = RoomVersionRules {
    id: "12",
    room_id_is_create_event: true,
    creators_above_levels: true,
    state_resolution: StateResolution::V2_1,
    ..V11
};

/// A room version with a row in the table. Copied freely; compared by its identifier.
#[derive(Clone, Copy)]
pub struct RoomVersion(&'static RoomVersionRules);

impl RoomVersion {
    /// Room version 1.
    pub const V1: Self = Self(&V1);
    /// Room version 2.
    pub const V2: Self = Self(&V2);
    /// Room version 3.
    pub const V3: Self = Self(&V3);
    /// Room version 4.
    pub const V4: Self = Self(&V4);
    /// Room version 5.
    pub const V5: Self = Self(&V5);
    /// Room version 6.
    pub const V6: Self = Self(&V6);
    /// Room version 7.
    pub const V7: Self = Self(&V7);
    /// Room version 8.
    pub const V8: Self = Self(&V8);
    /// Room version 9.
    pub const V9: Self = Self(&V9);
    /// Room version 10.
    pub const V10: Self = Self(&V10);
    /// Room version 11.
    pub const V11: Self = Self(&V11);
    /// Room version 12.
    pub const V12: Self = Self(&V12);

    /// The version of rooms we create unless told otherwise.
    pub const DEFAULT: Self = Self::V12;

    /// Every version we can take part in, in the order in which we list them to other servers.
    pub const SUPPORTED: &[Self] = &[
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// The version with this identifier, if we support it.
    pub fn parse(id: &str) -> Option<Self> {
        Self::SUPPORTED
            .iter()
            .copied()
            .find(|version| version.as_str() == id)
    }

    /// The identifier, as in `content.room_version`.
    pub fn as_str(self) -> &'static str {
        self.0.id
    }

    /// The row of the table.
    pub fn rules(self) -> &'static RoomVersionRules {
        self.0
    }
}

impl PartialEq for RoomVersion {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RoomVersion {}

/// By identifier as text: good for ordered maps, meaningless otherwise.
impl Ord for RoomVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for RoomVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for RoomVersion {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomVersion({})", self.as_str())
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RoomVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RoomVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::parse(&id)
            .ok_or_else(|| de::Error::custom(format_args!("unsupported room version {id:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ROOMVER-1, ROOMVER-2, ROOMVER-3: those that are not stable are no versions of ours.
    /// ID-7, LIMIT-8.
    #[test]
    fn only_versions_with_a_row_are_known() {
        for id in 1..=12 {
            let id = id.to_string();
            let version = RoomVersion::parse(&id);
            assert_eq!(version.map(RoomVersion::as_str), Some(&*id));
        }
        for id in [
            "",
            "0",
            "13",
            "012",
            " 12",
            "org.matrix.hydra.11",
            "org.matrix.msc1767.10",
        ] {
            assert_eq!(RoomVersion::parse(id), None, "{id:?}");
        }
        assert_eq!(RoomVersion::DEFAULT.as_str(), "12");
    }

    #[test]
    fn serialises_as_its_identifier() {
        let text = serde_json::to_string(&RoomVersion::V11).unwrap();
        assert_eq!(text, r#""11""#);
        assert_eq!(
            serde_json::from_str::<RoomVersion>(&text).unwrap(),
            RoomVersion::V11
        );
        assert!(serde_json::from_str::<RoomVersion>(r#""99""#).is_err());
    }
}
