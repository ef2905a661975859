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
    /// `m.room.create` must name the room's creator in `content.creator`; otherwise the creator
    /// is its sender.
    pub creator_in_content: bool,
    /// A redaction names its target in `content.redacts`, not in a top-level `redacts`.
    pub redacts_in_content: bool,
    /// The room id is the create event's id with another sigil, so the create event carries no
    /// `room_id`, and no event lists it in its `auth_events`.
    pub room_id_is_create_event: bool,
    /// The create event's sender and its `additional_creators` stand above every power level.
    pub creators_above_levels: bool,
    /// How forks of the room's state are merged.
    pub state_resolution: StateResolution,
    /// What survives a redaction.
    pub redaction: RedactionRules,
}

/// The state resolution algorithms (room versions, "State resolution").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateResolution {
    /// Room versions 2 to 11.
    V2,
    /// Room version 12: replays from the empty state, over the conflicted state subgraph too.
    V2_1,
}

const V10: RoomVersionRules = RoomVersionRules {
    id: "10",
    creator_in_content: true,
    redacts_in_content: false,
    room_id_is_create_event: false,
    creators_above_levels: false,
    state_resolution: StateResolution::V2,
    redaction: RedactionRules::V9,
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
    /// Room version 10.
    pub const V10: Self = Self(&V10);
    /// Room version 11.
    pub const V11: Self = Self(&V11);
    /// Room version 12.
    pub const V12: Self = Self(&V12);

    /// The version of rooms we create unless told otherwise.
    pub const DEFAULT: Self = Self::V12;

    /// Every version we can take part in, in the order in which we list them to other servers.
    pub const SUPPORTED: &[Self] = &[Self::V10, Self::V11, Self::V12];

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

    /// ROOMVER-1, ROOMVER-2
    #[test]
    fn only_versions_with_a_row_are_known() {
        for id in ["10", "11", "12"] {
            assert_eq!(RoomVersion::parse(id).map(RoomVersion::as_str), Some(id));
        }
        for id in ["", "1", "9", "13", "012", " 12", "org.matrix.hydra.11"] {
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
