//! Events as they are kept elsewhere than in a database: what they were stored as.

use std::borrow::Cow;

use ruma_common::EventId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Pdu, RoomVersion};

#[derive(Serialize, Deserialize)]
struct Kept<'p> {
    version: RoomVersion,
    event_id: Cow<'p, EventId>,
    json: Cow<'p, str>,
}

impl Serialize for Pdu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = Kept {
            version: self.room_version(),
            event_id: Cow::Borrowed(self.event_id()),
            json: Cow::Borrowed(self.json()),
        };
        kept.serialize(serializer)
    }
}

/// As [`Pdu::from_stored`]: the id is trusted.
impl<'de> Deserialize<'de> for Pdu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Kept {
            version,
            event_id,
            json,
        } = Kept::deserialize(deserializer)?;
        let event = Self::from_stored(event_id.into_owned(), json.as_bytes(), version);
        event.map_err(de::Error::custom)
    }
}
