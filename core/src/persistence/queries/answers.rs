//! What the larger answers hold.

use std::sync::Arc;

use ruma_common::OwnedUserId;
use serde::{Deserialize, Serialize};

use crate::persistence::tables::{
    AudienceId, DestinationRecord, InboxId, JoinRecord, PeerStream, Position, RoomRecord,
    SnapshotId, StagedEvent, StateEntry, StoredEvent,
};

/// How one server's reliable EDUs stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxStanding {
    /// How many the application has not acknowledged yet.
    pub waiting: u64,
    /// How many bytes their contents are.
    pub bytes: u64,
    /// Those of the names that have come before, sorted.
    pub known: Vec<String>,
}

/// Where the last run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// How often this database was started before this time.
    pub starts: u64,
    /// The highest snapshot id in use.
    pub last_snapshot: SnapshotId,
    /// The highest position in use.
    pub newest_position: Position,
    /// The lowest position in use, zero or negative.
    pub oldest_position: Position,
    /// The highest sequence ever queued.
    pub last_sequence: u64,
    /// The highest id ever given to a reliable EDU.
    pub last_inbox: InboxId,
    /// The newest audience ever made.
    pub last_audience: AudienceId,
    /// Every server that has something queued, or a failure or a begun transaction on record, by
    /// name.
    pub destinations: Vec<DestinationRecord>,
    /// Every staged event, in the order in which they came.
    pub staged: Vec<StagedEvent>,
    /// Every join that has not ended, by room.
    pub joins: Vec<JoinRecord>,
    /// Every server that offers its stream.
    pub streams: Vec<PeerStream>,
}

/// A part of our stream of events as one server shares it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsAfter {
    /// The events, oldest first.
    pub events: Vec<Arc<StoredEvent>>,
    /// Up to here there is nothing else. It may be further on than the last event, and is further
    /// on than the position asked about if anything is.
    pub through: Position,
    /// The newest position in use.
    pub newest: Position,
}

/// A room with what is needed to judge its next event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadedRoom {
    /// The room.
    pub record: RoomRecord,
    /// Its current state.
    pub state: Vec<StateEntry>,
    /// Who is joined in that state.
    pub joined: Vec<OwnedUserId>,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events, outliers and rejected ones included.
    pub events: u64,
    /// Rooms.
    pub rooms: u64,
    /// Events and ephemeral messages queued for other servers, counted once per destination.
    pub queued: u64,
    /// Transactions received whose response is kept.
    pub received_transactions: u64,
}
