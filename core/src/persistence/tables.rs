//! What is stored: one type per table row.

use std::sync::Arc;

use ruma_common::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedServerSigningKeyId, OwnedUserId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    pdu::{Pdu, RoomVersion, StateKey, event_type::MEMBER},
    time::WallTime,
};

/// Names one state of one room. Chosen by the core, ascending, never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SnapshotId(pub u64);

/// Where an event stands in the order in which this server shows events to its users.
///
/// New events get ascending positive positions, across all rooms. Events older than everything
/// known (backfill) get descending negative ones, so that one room's timeline is always its
/// events sorted by position.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub i64);

/// What became of an event when it was judged.
/// (Server-server API, "Checks performed on receipt of a PDU".)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Passed every check.
    Accepted,
    /// Allowed by the state it names, but not by the room's current state. In the graph, not
    /// shown, never a forward extremity.
    SoftFailed(String),
    /// Denied by the authorisation rules. Stored so that it is not fetched again, and nothing else.
    Rejected(String),
}

/// The reason of [`Verdict::unverified`]. It stands in databases: it must not change.
const UNVERIFIED: &str = "the keys that its signatures need could not be had";

impl Verdict {
    /// Of an outlier whose signatures, or those of an event that it rests on, could not be checked
    /// for want of keys. It stands where the state has it, and is judged when something rests on it
    /// and the keys can be had. See [`StoredEvent::counts`].
    #[must_use]
    pub fn unverified() -> Self {
        Self::Rejected(UNVERIFIED.to_owned())
    }

    /// Whether it is [`Verdict::unverified`].
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        matches!(self, Self::Rejected(reason) if reason == UNVERIFIED)
    }

    /// Whether the event was rejected.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}

/// The room's state around one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventState {
    /// The state before the event.
    pub before: SnapshotId,
    /// The state after it: the same unless it is an accepted state event.
    pub after: SnapshotId,
}

/// One row of the event table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// The event itself.
    pub pdu: Arc<Pdu>,
    /// How it was judged.
    pub verdict: Verdict,
    /// The state around it; `None` for an outlier, an event we hold without knowing the history
    /// that led to it.
    pub state: Option<EventState>,
    /// Its place in the timeline shown to users; `None` if it is not shown.
    pub position: Option<Position>,
    /// The redaction that was applied to it. `pdu` is then already the redacted form.
    pub redacted_because: Option<OwnedEventId>,
}

impl StoredEvent {
    /// An event we hold without the history that led to it.
    #[must_use]
    pub fn outlier(pdu: Arc<Pdu>, verdict: Verdict) -> Self {
        Self {
            pdu,
            verdict,
            state: None,
            position: None,
            redacted_because: None,
        }
    }

    /// Whether `newer`, a row of the same event, knows more about it: an outlier gives way to a
    /// part of the graph, one that is not shown to one that is, and one that could not be verified
    /// to one that was.
    #[must_use]
    pub fn gives_way_to(&self, newer: &Self) -> bool {
        let is_now_shown = self.position.is_none() && newer.position.is_some();
        let is_now_verified = self.verdict.is_unverified() && !newer.verdict.is_unverified();
        self.is_outlier() && (!newer.is_outlier() || is_now_shown || is_now_verified)
    }

    /// Whether others can rest on it: it was not rejected. What could not be verified is as good as
    /// rejected, unless it is what a user says of its own membership. Of that it is believed who is
    /// in the room for others to invite, kick or talk to: whoever made it up would gain nothing by
    /// it, since whatever the user does is judged when the keys of its server are known.
    #[must_use]
    pub fn counts(&self) -> bool {
        let sender = self.pdu.sender();
        let is_own = || self.pdu.is_state_for(MEMBER, sender.as_str());
        !self.verdict.is_rejected() || self.verdict.is_unverified() && is_own()
    }

    /// Whether the event is held without its history.
    #[must_use]
    pub fn is_outlier(&self) -> bool {
        self.state.is_none()
    }
}

/// One change of a [`SnapshotRecord`] against its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Which entry of the state.
    pub key: StateKey,
    /// Its new event; `None` takes the entry out.
    pub event_id: Option<OwnedEventId>,
}

/// One state of a room, stored as its difference from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Its name.
    pub id: SnapshotId,
    /// The state it differs from; `None` means the empty state.
    pub parent: Option<SnapshotId>,
    /// The differences.
    pub changes: Vec<StateChange>,
}

/// One entry of a whole state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// Which entry.
    pub key: StateKey,
    /// The event that holds it.
    pub event_id: OwnedEventId,
}

/// What one state says of what one server's users may see of the events that stand in it
/// (client-server API, "Room history visibility").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// The room's history visibility, if the state has one that is a text.
    pub history_visibility: Option<String>,
    /// Whether a user of the server is joined; looked up only where the visibility is `joined` or
    /// `invited`, as most rooms' is not.
    pub joined: bool,
    /// The same for whether one is invited.
    pub invited: bool,
}

/// A room this server takes part in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
    /// The ends of its event graph: accepted events that no accepted event names as previous.
    pub extremities: Vec<OwnedEventId>,
    /// The state after all of `extremities`.
    pub current: SnapshotId,
    /// The depth of the event with which we came to be in the room, this time: of what lies before
    /// we hold but pieces.
    pub least_depth: u64,
}

/// What we know about one of our own users in one room, also where we hold no state of the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalMembership {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// `join`, `invite`, `leave`, `ban` or `knock`.
    pub membership: String,
    /// The member event that says so. If a resolution of states undid a join, it is that: no event
    /// says `leave` then.
    pub event: Arc<StoredEvent>,
    /// When this became so, in the order of events.
    pub position: Position,
    /// For an invite from outside: events that describe the room, as the inviting server gave
    /// them, checked for shape only.
    pub stripped_state: Vec<serde_json::Value>,
}

/// One public key of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeyRecord {
    /// Whose key it is.
    pub server: OwnedServerName,
    /// The key's name, such as `ed25519:a_1`.
    pub key_id: OwnedServerSigningKeyId,
    /// The 32 bytes of the public key.
    pub public: [u8; 32],
    /// A current key: until when it is valid. A retired key: when it stopped being used.
    pub valid_until: WallTime,
    /// Whether it is retired: it still proves old events, but no request.
    pub retired: bool,
}

/// The object in which another server published its keys last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKeysRecord {
    /// Whose keys.
    pub server: OwnedServerName,
    /// The object as JSON text, with no signatures but the server's own.
    pub json: String,
    /// When it was fetched.
    pub fetched: WallTime,
    /// Until when it is valid, as far as we believe it.
    pub valid_until: WallTime,
}

/// Names a set of servers that something goes to. Chosen by the core, ascending, never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct AudienceId(pub u64);

/// For how long an audience can be named: until so many others have been made after it. Later the
/// store may have forgotten it, unless something is still queued for it.
pub const AUDIENCES_NAMED: u64 = 1024;

/// What is queued for an audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// An event, which is stored by an earlier batch or earlier in the same one.
    Event(OwnedEventId),
    /// An ephemeral message that must not be lost, as canonical JSON.
    Edu(Arc<str>),
}

/// One thing that waits to be sent to one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingRecord {
    /// Its place in the queues: ascending over everything this server ever queued.
    pub sequence: u64,
    /// What to send.
    pub item: OutgoingItem,
}

/// What a transaction can hold, as canonical JSON that all destinations share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutgoingItem {
    /// An event.
    Pdu(Arc<str>),
    /// An ephemeral message.
    Edu(Arc<str>),
}

impl OutgoingItem {
    /// How many bytes of JSON it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Pdu(json) | Self::Edu(json) => json.len(),
        }
    }
}

/// Names a reliable EDU that arrived. Chosen by the core, ascending, never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct InboxId(pub u64);

/// An EDU that must not be lost on its way to the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxRecord {
    /// Names it.
    pub id: InboxId,
    /// Who sent it.
    pub origin: OwnedServerName,
    /// Its type, such as `m.direct_to_device`.
    pub edu_type: String,
    /// Its content.
    pub content: Map<String, Value>,
    /// What its sender calls it, if EDUs of its type have names: it arrives once under each.
    pub name: Option<String>,
    /// When it came.
    pub received_at: WallTime,
}

/// How far the judgement of a [`StagedEvent`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Its format is right.
    Received,
    /// It is genuine: signatures and hash were checked, and it was redacted if it was altered.
    Verified,
}

/// An event that another server sent us and that cannot be judged before a server has answered.
/// It waits here, so that its sender need not, and is found again after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedEvent {
    /// The event, as it is at this stage.
    pub event: Arc<Pdu>,
    /// Who sent it. What two servers send under one id waits twice: one of them may be forged.
    pub from: OwnedServerName,
    /// How far its judgement has come.
    pub stage: Stage,
    /// When it came.
    pub received_at: WallTime,
}

/// A join that was handed in to another server and has not ended: whether our user is in the room
/// is not known or, if it was [taken](TakenRecord), who else is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinRecord {
    /// The join, as we signed it. It names the room and our user.
    pub event: Arc<Pdu>,
    /// The server that it was handed in to.
    pub server: OwnedServerName,
    /// The servers to try after that one, best first.
    pub others: Vec<OwnedServerName>,
    /// What our user wanted the member event to hold.
    pub content: Map<String, Value>,
    /// How often the server was started since the join began.
    pub starts: u32,
    /// What is known since the server took it without telling who is in the room.
    pub taken: Option<TakenRecord>,
}

/// What is known of a join that was taken by a server that left out who is in the room: its command
/// has been answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenRecord {
    /// The servers in the room, as the server says that took it.
    pub servers: Vec<OwnedServerName>,
    /// When it did.
    pub at: WallTime,
}

/// The transaction that was last begun towards a server and not yet answered with 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunTransaction {
    /// Its id, never used again for this destination.
    pub transaction_id: String,
    /// The sequence of the last queued item in it; the first is the first not acknowledged.
    pub through: u64,
    /// The `origin_server_ts` in its body.
    pub begun_at: WallTime,
}

/// Where we stand with one other server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationRecord {
    /// The server.
    pub destination: OwnedServerName,
    /// How many attempts failed since the last that succeeded.
    pub failures: u32,
    /// Not before this time is it tried again.
    pub retry_at: WallTime,
    /// The transaction that must be repeated, if any.
    pub begun: Option<BegunTransaction>,
    /// Whether something is queued for it.
    pub queued: bool,
}

/// What of a destination's queue is more than is kept for one server: the oldest of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// Of the events.
    pub events: OldestOf,
    /// Of the ephemeral messages that must not be lost.
    pub edus: OldestOf,
}

/// The oldest things of one kind in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldestOf {
    /// How many.
    pub count: u64,
    /// The sequence of the last of them.
    pub through: u64,
}

/// What we know of another server's stream of events, which it may offer us page by page
/// ([`crate::transaction::after`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStream {
    /// The server.
    pub server: OwnedServerName,
    /// When it was last asked whether it offers its stream.
    pub asked_at: WallTime,
    /// Where we stand in it; `None` if it offers none.
    pub cursor: Option<StreamCursor>,
}

/// Where we stand in another server's stream. Positions are words of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCursor {
    /// Pull what follows this position.
    pub pull_after: String,
    /// Where the stream ended when we last looked, which may be further on.
    pub end: String,
    /// When that was.
    pub looked_at: WallTime,
}
