//! Every query, typed: what the core may ask of the store and what it gets back.

mod answers;

use std::sync::Arc;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId, OwnedUserId};
use serde::{Deserialize, Serialize};

pub use super::direction::Direction;
use super::tables::{
    AudienceId, BegunTransaction, Excess, InboxId, InboxRecord, JoinRecord, LocalMembership,
    OutgoingRecord, Outlook, PeerStream, Position, PublishedKeysRecord, Queued, RoomRecord,
    ServerKeyRecord, SnapshotId, SnapshotRecord, StagedEvent, StateChange, StateEntry, StoredEvent,
};
use crate::{
    pdu::{RoomVersion, StateKey},
    time::WallTime,
};

pub use answers::{Boot, Counts, EventsAfter, InboxStanding, LoadedRoom};

/// One unit of work for the store.
#[derive(Clone, Debug)]
pub enum Query {
    /// Answer a question; changes nothing.
    Read(Read),
    /// Write a batch, all or nothing, durably; answered by [`Answer::Committed`].
    Commit(Batch),
}

/// Writes that become durable together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// In the order in which they are applied.
    pub writes: Vec<Write>,
}

/// A question to the store. Two equal questions may share one answer, hence the ordering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Read {
    /// The counters and queues to start from; also counts this start. → [`Answer::Boot`]
    Boot,
    /// A room we take part in. → [`Answer::Room`]
    Room(OwnedRoomId),
    /// Those of these events that are stored, in any order. → [`Answer::Events`]
    Events(Vec<OwnedEventId>),
    /// Those of these events that are stored, and all events reachable from them by
    /// `auth_events`. → [`Answer::Events`]
    AuthChain(Vec<OwnedEventId>),
    /// The state events from which one of these events is reachable by `auth_events`, unless they
    /// are too many. → [`Answer::AuthDescendants`]
    AuthDescendants {
        /// The events, held or not.
        of: Vec<OwnedEventId>,
        /// How many are not too many.
        limit: u32,
    },
    /// A whole state. → [`Answer::State`]
    Snapshot(SnapshotId),
    /// The stored answer to a transaction. → [`Answer::Response`]
    ReceivedTransaction {
        /// Who sent it, as authenticated.
        origin: OwnedServerName,
        /// Its id.
        transaction_id: OwnedTransactionId,
    },
    /// The reliable EDUs that the application has not acknowledged yet, in the order in which they
    /// came. → [`Answer::Inbox`]
    Inbox {
        /// Only what came after this one.
        after: InboxId,
        /// At most so many.
        limit: u32,
    },
    /// How much of one server's the application has not acknowledged yet, and which of these names
    /// its EDUs have had. → [`Answer::InboxStanding`]
    InboxStanding {
        /// The server.
        origin: OwnedServerName,
        /// The names.
        names: Vec<String>,
    },
    /// All keys held of a server. → [`Answer::Keys`]
    ServerKeys(OwnedServerName),
    /// The object in which a server published its keys last. → [`Answer::PublishedKeys`]
    PublishedKeys(OwnedServerName),
    /// The queue for a destination, oldest first. → [`Answer::Outgoing`]
    Outgoing {
        /// The server.
        destination: OwnedServerName,
        /// At most so many.
        limit: u32,
    },
    /// How much of a destination's queue exceeds a bound, the transaction begun left out.
    /// → [`Answer::Excess`]
    OutgoingExcess {
        /// The server.
        destination: OwnedServerName,
        /// So many events, and so many ephemeral messages, are kept: the newest.
        depth: u32,
        /// Nothing is kept that was queued before this time.
        queued_since: WallTime,
    },
    /// The event that an earlier command with this key produced. → [`Answer::Once`]
    Once(String),
    /// These events and their ancestors in the graph, breadth-first by depth, deepest first;
    /// outliers and rejected events are left out. → [`Answer::Events`]
    Ancestors(Ancestors),
    /// Where the history that we hold of a room, which is its graph and whatever else of it is
    /// shown, ends: the previous events that its events name and that are neither part of it nor
    /// rejected, each with the depth of the shallowest event naming it; the deepest first, at
    /// most 20.
    /// → [`Answer::BackwardExtremities`]
    BackwardExtremities(OwnedRoomId),
    /// Shown events of a room, in the direction asked. → [`Answer::Events`]
    Timeline {
        /// The room.
        room_id: OwnedRoomId,
        /// Start after (forward) or before (backward) this position; `None` is the very end
        /// to start from.
        from: Option<Position>,
        /// Stop before reaching this position; `None` is no bound.
        to: Option<Position>,
        /// Which way.
        direction: Direction,
        /// At most so many.
        limit: u32,
    },
    /// Shown events of a room that claim to be of this time or of one after it (forward), or
    /// before it (backward): the nearest first, and of several of one time those first that stand
    /// first in the timeline, seen that way. → [`Answer::Events`]
    ByTime {
        /// The room.
        room_id: OwnedRoomId,
        /// The time.
        time: WallTime,
        /// Which way.
        direction: Direction,
        /// At most so many.
        limit: u32,
    },
    /// The events of a room's current state [that count](StoredEvent::counts), sorted by type and
    /// state key. → [`Answer::Events`]
    CurrentState(OwnedRoomId),
    /// One event of a room's current state, if it counts. → [`Answer::Events`] with at most one event
    CurrentStateEvent(OwnedRoomId, StateKey),
    /// The events of a snapshot, sorted by type and state key. → [`Answer::Events`]
    SnapshotEvents(SnapshotId),
    /// What each of these snapshots says of what one server may see. → [`Answer::Outlooks`]
    Outlooks {
        /// The snapshots.
        snapshots: Vec<SnapshotId>,
        /// Whose users count.
        server: OwnedServerName,
    },
    /// The accepted events, of this room or another, that ask to redact these, held or not; those
    /// stored first come first, at most 1,000. → [`Answer::Events`]
    RedactionsOf(Vec<OwnedEventId>),
    /// The events of a room that were soft-failed or rejected, those stored last first, as far as
    /// they are among the last 10,000 events that the store heard of. → [`Answer::Events`]
    SetAside {
        /// The room.
        room_id: OwnedRoomId,
        /// At most so many.
        limit: u32,
    },
    /// The ids of stored events that begin like this, in order. → [`Answer::EventIds`]
    EventIds {
        /// How they begin, with the sigil.
        prefix: String,
        /// At most so many.
        limit: u32,
    },
    /// What we know of one of our users in all rooms. → [`Answer::Memberships`]
    Memberships(OwnedUserId),
    /// The newest position in use. → [`Answer::Position`]
    NewestPosition,
    /// New events, oldest first, of the rooms in which a server has, or once had, a user.
    /// → [`Answer::EventsAfter`]
    EventsAfter {
        /// The server.
        server: OwnedServerName,
        /// Only what has a later position than this.
        position: Position,
        /// At most so many.
        limit: u32,
    },
    /// Rooms in which a server has, or once had, a user, by id. → [`Answer::Rooms`]
    RoomsOf {
        /// The server.
        server: OwnedServerName,
        /// At most so many.
        limit: u32,
    },
    /// What we know of a server's stream. → [`Answer::PeerStream`]
    PeerStream(OwnedServerName),
    /// How much is stored. → [`Answer::Counts`]
    Counts,
}

/// Which ancestors [`Read::Ancestors`] asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ancestors {
    /// The room all of it must be of.
    pub room_id: OwnedRoomId,
    /// Where to start.
    pub from: Vec<OwnedEventId>,
    /// Whether `from` itself is part of the answer.
    pub include_from: bool,
    /// Never enter these events.
    pub stop_at: Vec<OwnedEventId>,
    /// At most so many events.
    pub limit: u32,
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The batch is durable.
    Committed,
    /// To [`Read::Boot`].
    Boot(Boot),
    /// To [`Read::Room`]: `None` if we do not take part in it.
    Room(Option<Box<LoadedRoom>>),
    /// A list of events.
    Events(Vec<Arc<StoredEvent>>),
    /// To [`Read::AuthDescendants`]: `None` if they are too many.
    AuthDescendants(Option<Vec<Arc<StoredEvent>>>),
    /// To [`Read::EventIds`].
    EventIds(Vec<OwnedEventId>),
    /// To [`Read::Snapshot`]; `None` if there is no such snapshot.
    State(Option<Vec<StateEntry>>),
    /// To [`Read::Outlooks`], in the same order.
    Outlooks(Vec<(SnapshotId, Outlook)>),
    /// To [`Read::ReceivedTransaction`]: the body of the response given then.
    Response(Option<Vec<u8>>),
    /// To [`Read::Inbox`].
    Inbox(Vec<InboxRecord>),
    /// To [`Read::InboxStanding`].
    InboxStanding(InboxStanding),
    /// To [`Read::ServerKeys`].
    Keys(Vec<ServerKeyRecord>),
    /// To [`Read::PublishedKeys`]; `None` if none was kept.
    PublishedKeys(Option<PublishedKeysRecord>),
    /// To [`Read::Outgoing`].
    Outgoing(Vec<OutgoingRecord>),
    /// To [`Read::OutgoingExcess`].
    Excess(Excess),
    /// To [`Read::Once`].
    Once(Option<OwnedEventId>),
    /// To [`Read::BackwardExtremities`]: event id and depth.
    BackwardExtremities(Vec<(OwnedEventId, u64)>),
    /// To [`Read::Memberships`].
    Memberships(Vec<LocalMembership>),
    /// To [`Read::NewestPosition`].
    Position(Position),
    /// To [`Read::EventsAfter`].
    EventsAfter(EventsAfter),
    /// To [`Read::RoomsOf`].
    Rooms(Vec<OwnedRoomId>),
    /// To [`Read::PeerStream`]; `None` if it was never asked.
    PeerStream(Option<PeerStream>),
    /// To [`Read::Counts`].
    Counts(Counts),
}

/// One change to the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Remember which version a room has, before any event of it is written.
    RoomVersion(OwnedRoomId, RoomVersion),
    /// Insert an event with its edges. One that is there is replaced if
    /// [it gives way to](StoredEvent::gives_way_to) this row, but stays redacted; otherwise it
    /// stays untouched.
    Event(Arc<StoredEvent>),
    /// Replace an event that is stored by its redacted form.
    Redact {
        /// The event, already in its redacted form.
        redacted: Arc<StoredEvent>,
    },
    /// Insert a state.
    Snapshot(SnapshotRecord),
    /// Replace what is known of a room's ends and current state.
    Room {
        /// The new record.
        record: RoomRecord,
        /// How its current state differs from the one before (from the empty one for a new
        /// room).
        changes: Vec<StateChange>,
    },
    /// Replace what is known of one of our users in a room, having written its event as
    /// [`Write::Event`] does.
    Membership(LocalMembership),
    /// Keep keys of another server. A key that is there keeps the larger validity, and stays
    /// retired; another key under its id takes its place.
    ServerKeys(Vec<ServerKeyRecord>),
    /// Keep the object in which a server published its keys, in place of the one before.
    PublishedKeys(PublishedKeysRecord),
    /// Keep the response to a transaction. The first one stays.
    ReceivedTransaction {
        /// Who sent it.
        origin: OwnedServerName,
        /// Its id.
        transaction_id: OwnedTransactionId,
        /// The body we answer with, now and whenever it is repeated.
        response: Vec<u8>,
        /// When it was answered.
        received_at: WallTime,
    },
    /// Forget old responses to transactions.
    ForgetTransactions {
        /// All that were received before this time.
        received_before: WallTime,
        /// And of each server all for which so many others are as new.
        of_each: u64,
        /// And all that, with those as new, are more bytes than this.
        bytes: u64,
    },
    /// Keep a reliable EDU until the application acknowledges it, and its name for longer.
    Receive(InboxRecord),
    /// The application has dealt with this reliable EDU and all before it.
    Acknowledge {
        /// The last one.
        through: InboxId,
    },
    /// Forget the names of acknowledged EDUs received before this time.
    ForgetInbox {
        /// Up to when.
        received_before: WallTime,
    },
    /// Stage an event, or replace what is staged under its id and sender; it keeps its place in
    /// the order.
    Stage(StagedEvent),
    /// Forget a staged event.
    Unstage {
        /// The event.
        event_id: OwnedEventId,
        /// Who sent it.
        from: OwnedServerName,
    },
    /// A join is about to be handed in; takes the place of what was noted of the room.
    Join(JoinRecord),
    /// The join of this room has ended.
    JoinEnded(OwnedRoomId),
    /// Note a set of servers.
    Audience {
        /// Its name.
        id: AudienceId,
        /// The servers, sorted.
        servers: Arc<[OwnedServerName]>,
    },
    /// Queue one thing for several servers.
    Enqueue {
        /// Its place in every one of the queues.
        sequence: u64,
        /// The servers, noted by an earlier batch or earlier in this one, and at most
        /// [`AUDIENCES_NAMED`](super::tables::AUDIENCES_NAMED) audiences ago.
        audience: AudienceId,
        /// When it is queued.
        queued_at: WallTime,
        /// What.
        queued: Queued,
    },
    /// A transaction is about to be sent.
    TransactionBegun {
        /// Where to.
        destination: OwnedServerName,
        /// Which.
        transaction: BegunTransaction,
    },
    /// A transaction was answered with 200: what it held leaves the queue, failures are forgotten.
    TransactionDelivered {
        /// Where to.
        destination: OwnedServerName,
        /// The last sequence that it held; 0 if it held nothing queued.
        through: u64,
    },
    /// An attempt failed.
    DestinationFailed {
        /// The server.
        destination: OwnedServerName,
        /// How many attempts failed in a row.
        failures: u32,
        /// When to try again.
        retry_at: WallTime,
    },
    /// Take the oldest things off a destination's queue unsent, but not what was begun.
    GiveUp {
        /// The server.
        destination: OwnedServerName,
        /// Events up to this sequence.
        events_through: u64,
        /// Ephemeral messages up to this sequence.
        edus_through: u64,
    },
    /// Forget some of what no queue holds any more. What is queued is looked through in turn, so
    /// much with each of these writes.
    ForgetSent {
        /// At most so many items are looked at.
        limit: u32,
    },
    /// Replace what we know of a server's stream.
    PeerStream(PeerStream),
    /// A command with this key has produced this event. The first one stays.
    Once {
        /// The caller's key.
        key: String,
        /// The event.
        event_id: OwnedEventId,
    },
}

/// Why the store could not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// The database refused or the disk failed; for a commit, nothing of the batch is there.
    #[error("the database failed: {0}")]
    Failed(String),
    /// A row does not make sense.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}
