//! What is stored, table by table.

use std::sync::Arc;

use comity_core::{
    pdu::{RoomVersion, StateKey},
    persistence::tables::{
        AudienceId, BegunTransaction, InboxId, InboxRecord, JoinRecord, LocalMembership,
        PeerStream, Position, PublishedKeysRecord, Queued, ServerKeyRecord, SnapshotId,
        SnapshotRecord, StagedEvent, StoredEvent,
    },
    time::WallTime,
};
use ruma_common::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedServerSigningKeyId,
    OwnedTransactionId, OwnedUserId,
};

use super::table::{Batched, Table};

/// Every table.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// When an event was first heard of, held or not: before what has a larger number.
    pub(super) heard: Table<OwnedEventId, u64>,
    /// The same, the other way round.
    pub(super) in_order: Table<u64, OwnedEventId>,
    /// The events held.
    pub(super) events: Table<OwnedEventId, Arc<StoredEvent>>,
    /// Those of them that are shown.
    pub(super) timeline: Table<(OwnedRoomId, Position), OwnedEventId>,
    /// Where the history of a room ends, with the depth of the shallowest event that says so.
    pub(super) ends: Table<(OwnedEventId, OwnedRoomId), u64>,
    /// Redactions by target, then by when they were heard of.
    pub(super) redactions: Table<(OwnedEventId, u64), OwnedEventId>,
    /// From events to the state events that name them among their auth events.
    pub(super) citations: Table<(OwnedEventId, u64), OwnedEventId>,
    pub(super) rooms: Table<OwnedRoomId, RoomRow>,
    /// Which servers have, or once had, a user joined in which rooms.
    pub(super) room_servers: Table<(OwnedServerName, OwnedRoomId), ()>,
    pub(super) current_state: Table<(OwnedRoomId, StateKey), CurrentEntry>,
    pub(super) snapshots: Table<SnapshotId, SnapshotRecord>,
    pub(super) memberships: Table<(OwnedUserId, OwnedRoomId), LocalMembership>,
    /// The events that commands have produced.
    pub(super) once: Table<String, OwnedEventId>,
    /// Sets of servers that something goes to.
    pub(super) audiences: Table<AudienceId, Arc<[OwnedServerName]>>,
    /// What goes out, by sequence.
    pub(super) outgoing: Table<u64, OutgoingRow>,
    /// Every server of an audience, and those that failed or to which a transaction was begun.
    pub(super) destinations: Table<OwnedServerName, DestinationRow>,
    pub(super) received: Table<(OwnedServerName, OwnedTransactionId), ReceivedRow>,
    /// The joins that have not ended.
    pub(super) joins: Table<OwnedRoomId, JoinRecord>,
    /// The events that wait for other servers, by sender.
    pub(super) staged: Table<(OwnedEventId, OwnedServerName), StagedRow>,
    pub(super) inbox: Table<InboxId, InboxRow>,
    pub(super) server_keys: Table<(OwnedServerName, OwnedServerSigningKeyId), ServerKeyRecord>,
    pub(super) published_keys: Table<OwnedServerName, PublishedKeysRecord>,
    /// What is known of other servers' streams.
    pub(super) streams: Table<OwnedServerName, PeerStream>,
    /// The extremes of the numbers that the core has chosen.
    pub(super) counters: Table<Counter, i64>,
}

/// A room of which at least the version is known.
#[derive(Clone, Debug)]
pub(super) struct RoomRow {
    pub(super) version: RoomVersion,
    /// Its current state; `None` if we take no part in it.
    pub(super) current: Option<SnapshotId>,
    pub(super) extremities: Vec<OwnedEventId>,
    pub(super) least_depth: u64,
}

/// One entry of a room's current state.
#[derive(Clone, Debug)]
pub(super) struct CurrentEntry {
    pub(super) event_id: OwnedEventId,
    /// Whether it says that a user is joined.
    pub(super) joins: bool,
}

/// Something that goes to several servers.
#[derive(Clone, Debug)]
pub(super) struct OutgoingRow {
    pub(super) audience: AudienceId,
    pub(super) queued_at: WallTime,
    pub(super) queued: Queued,
}

/// Where we stand with another server.
#[derive(Clone, Debug, Default)]
pub(super) struct DestinationRow {
    /// Up to which sequence all has arrived …
    pub(super) acknowledged: u64,
    /// … and up to which events, and other messages, were given up.
    pub(super) events_lost: u64,
    pub(super) edus_lost: u64,
    /// The same when the transaction was begun.
    pub(super) events_lost_before: u64,
    pub(super) edus_lost_before: u64,
    pub(super) failures: u32,
    pub(super) retry_at: WallTime,
    pub(super) begun: Option<BegunTransaction>,
}

/// An answered transaction.
#[derive(Clone, Debug)]
pub(super) struct ReceivedRow {
    pub(super) response: Vec<u8>,
    pub(super) received_at: WallTime,
}

/// A reliable EDU, or what is left of it once it is acknowledged.
#[derive(Clone, Debug)]
pub(super) struct InboxRow {
    pub(super) record: InboxRecord,
    pub(super) acknowledged: bool,
}

/// A staged event, after all those with a smaller number.
#[derive(Clone, Debug)]
pub(super) struct StagedRow {
    pub(super) order: u64,
    pub(super) staged: StagedEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    Starts,
    LastSnapshot,
    NewestPosition,
    OldestPosition,
    LastSequence,
    LastAudience,
    SentForgotten,
    LastInbox,
}

impl Tables {
    pub(super) fn begin(&mut self) {
        self.all().into_iter().for_each(Batched::begin);
    }

    pub(super) fn roll_back(&mut self) {
        self.all().into_iter().for_each(Batched::roll_back);
    }

    fn all(&mut self) -> [&mut dyn Batched; 24] {
        [
            &mut self.heard,
            &mut self.in_order,
            &mut self.events,
            &mut self.timeline,
            &mut self.ends,
            &mut self.redactions,
            &mut self.citations,
            &mut self.rooms,
            &mut self.room_servers,
            &mut self.current_state,
            &mut self.snapshots,
            &mut self.memberships,
            &mut self.once,
            &mut self.audiences,
            &mut self.outgoing,
            &mut self.destinations,
            &mut self.received,
            &mut self.joins,
            &mut self.staged,
            &mut self.inbox,
            &mut self.server_keys,
            &mut self.published_keys,
            &mut self.streams,
            &mut self.counters,
        ]
    }

    /// Notes that an event was heard of, and says when that was for the first time.
    pub(super) fn hear(&mut self, event_id: &EventId) -> u64 {
        let event_id = event_id.to_owned();
        if let Some(number) = self.heard.get(&event_id) {
            return *number;
        }
        let number = self.heard.len() as u64 + 1;
        self.in_order.set(number, event_id.clone());
        self.heard.set(event_id, number);
        number
    }

    /// When an event was first heard of.
    pub(super) fn heard_at(&self, event_id: &EventId) -> u64 {
        let number = self.heard.get(&event_id.to_owned());
        number.copied().unwrap_or_default()
    }

    pub(super) fn event(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        self.events.get(&event_id.to_owned())
    }

    pub(super) fn counter(&self, counter: Counter) -> i64 {
        self.counters.get(&counter).copied().unwrap_or_default()
    }

    /// Raises a counter to this number, if it is lower.
    pub(super) fn raise(&mut self, counter: Counter, number: i64) {
        if self.counter(counter) < number {
            self.counters.set(counter, number);
        }
    }
}

/// The largest number that is kept as it is; only a peer's idea of time or depth is larger.
pub(super) const LARGEST: u64 = i64::MAX as u64;

/// A time as it is kept.
pub(super) fn kept(time: WallTime) -> WallTime {
    WallTime(time.0.min(LARGEST))
}
