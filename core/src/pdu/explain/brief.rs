//! An event in a few words.

use ruma_common::{OwnedEventId, OwnedUserId};
use serde::Serialize;

use crate::persistence::tables::{StoredEvent, Verdict};

/// What became of an event here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Part of the room's graph, shown to users.
    Accepted,
    /// Part of the graph, allowed where it stands and not by the room's current state: not shown.
    SoftFailed,
    /// Not allowed.
    Rejected,
    /// From before our history of the room: shown, and no part of the graph.
    Backfilled,
    /// Held without its history, because other events rest on it.
    Outlier,
}

impl Standing {
    /// What became of this event.
    pub fn of(event: &StoredEvent) -> Self {
        match &event.verdict {
            Verdict::Rejected(_) => Self::Rejected,
            Verdict::SoftFailed(_) => Self::SoftFailed,
            Verdict::Accepted if !event.is_outlier() => Self::Accepted,
            Verdict::Accepted if event.position.is_some() => Self::Backfilled,
            Verdict::Accepted => Self::Outlier,
        }
    }
}

/// What is said of an event wherever it is mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventBrief {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its state key, if it is a state event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `content.membership`, if it is a membership event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<String>,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// When its sender's server says it was made, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// Its depth in the graph, as its sender's server says.
    pub depth: u64,
    /// What became of it here.
    pub standing: Standing,
}

impl From<&StoredEvent> for EventBrief {
    fn from(event: &StoredEvent) -> Self {
        let pdu = &event.pdu;
        Self {
            event_id: pdu.event_id().to_owned(),
            event_type: pdu.event_type().to_owned(),
            state_key: pdu.state_key().map(ToOwned::to_owned),
            membership: pdu.membership().map(ToOwned::to_owned),
            sender: pdu.sender().to_owned(),
            origin_server_ts: pdu.origin_server_ts(),
            depth: pdu.depth(),
            standing: Standing::of(event),
        }
    }
}
