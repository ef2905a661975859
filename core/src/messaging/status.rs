//! How a server stands, for the people who run it: whom it cannot reach, what it is at, and which
//! rooms have come apart. [`Status`] is told
//! by [`Command::Status`](super::command::Command::Status); a runtime publishes [`Measurements`].

use std::{collections::BTreeMap, fmt, time::Duration};

use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{messaging::command::Statistics, time::WallTime};

/// At most so many destinations, jobs and rooms are told of.
pub const LISTED_MAX: usize = 1000;

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Servers that are owed something or failed last time: the longest failing first, then by
    /// name.
    pub destinations: Vec<DestinationStatus>,
    /// What is under way, oldest first.
    pub jobs: Vec<JobStatus>,
    /// The loaded rooms whose graph has more than one end, those with most ends first.
    pub rooms: Vec<RoomStatus>,
    /// The rooms that were joined in part, the oldest join first.
    pub joins: Vec<JoinStatus>,
}

/// How one other server stands with us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Which server.
    pub server: OwnedServerName,
    /// What is being done about it.
    pub state: DestinationState,
    /// How many queued items are in memory.
    pub queued: u64,
    /// Whether the database holds further ones behind these.
    pub more_on_disk: bool,
    /// How many attempts failed since it last showed that it is alive.
    pub failures: u32,
    /// When it last took a transaction, as far as is remembered since the start.
    pub last_success: Option<WallTime>,
    /// When and how it last failed, as far as is remembered since the start.
    pub last_error: Option<Failure>,
}

/// What is being done about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum DestinationState {
    /// It waits for its turn, or there is nothing to do.
    Idle,
    /// What it missed is being read from the database.
    CatchingUp,
    /// A transaction is on its way or waits for its answer.
    InFlight,
    /// It failed and is left alone until then.
    BackingOff {
        /// The moment.
        until: WallTime,
    },
}

impl DestinationState {
    /// Every name, for counting.
    pub const NAMES: [&str; 4] = ["idle", "catching_up", "in_flight", "backing_off"];

    /// The state in one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::CatchingUp => "catching_up",
            Self::InFlight => "in_flight",
            Self::BackingOff { .. } => "backing_off",
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: WallTime,
    /// Why, for people.
    pub reason: String,
}

/// A job and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its number; a later job has a higher one.
    pub id: u64,
    /// What kind of work it is.
    pub kind: String,
    /// For how long it has been in its present phase, in milliseconds.
    pub for_ms: u64,
    /// What it waits for; empty if it is about to run.
    pub waits_for: Vec<String>,
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = Duration::from_millis(self.for_ms);
        let waits_for = self.waits_for.join(", ");
        write!(
            f,
            "{} {} for {age:?}: waits for {waits_for}",
            self.id, self.kind
        )
    }
}

/// A room that has come apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomStatus {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// How many ends its graph has.
    pub extremities: u64,
}

/// A room whose join another server took without telling who is in it. What is missing is its state
/// before the join; until that has come, nothing of the room is judged or shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinStatus {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// Who joined.
    pub user_id: OwnedUserId,
    /// Who took the join.
    pub taken_by: OwnedServerName,
    /// When.
    pub taken_at: WallTime,
    /// How the search for what is missing stands.
    pub state: JoinState,
    /// How many rounds of questions brought nothing.
    pub rounds: u32,
    /// How many other servers there are to ask, besides the one that took it.
    pub others: u64,
    /// How many events of the room wait for it.
    pub staged: u64,
}

/// How the search for the rest of a room stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum JoinState {
    /// A server is being asked.
    Asking {
        /// Which.
        server: OwnedServerName,
    },
    /// What came is being checked.
    Checking,
    /// Nobody whom we asked had it, and all are left alone until then.
    Pausing {
        /// The moment.
        until: WallTime,
    },
}

impl JoinState {
    /// Every name, for counting.
    pub const NAMES: [&str; 3] = ["asking", "checking", "pausing"];

    /// The state in one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Asking { .. } => "asking",
            Self::Checking => "checking",
            Self::Pausing { .. } => "pausing",
        }
    }
}

/// The engine in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// What [`Command::Statistics`](super::command::Command::Statistics) tells.
    pub statistics: Statistics,
    /// How many jobs there are, by what kind of work they are and what they wait for first.
    pub jobs: BTreeMap<(&'static str, &'static str), u64>,
    /// For how long the job waits that waits longest in its present phase.
    pub oldest_job: Duration,
    /// How the destinations stand, by [their state](DestinationState::NAMES).
    pub destinations: BTreeMap<&'static str, Queues>,
    /// How many rooms are loaded.
    pub rooms: u64,
    /// How many of them have more than one end.
    pub rooms_apart: u64,
    /// How often states were resolved since the start.
    pub resolutions: u64,
    /// The rooms that were joined in part, by [how that stands](JoinState::NAMES).
    pub joins: BTreeMap<&'static str, u64>,
    /// What became of events since the start, ours and others'.
    pub verdicts: Verdicts,
    /// How often other servers were asked for their keys since the start.
    pub key_fetches: KeyFetches,
    /// How often something was looked for in what is kept in memory, by what it was.
    pub caches: BTreeMap<&'static str, Lookups>,
    /// How much is kept there: events, states, and servers with something known of them.
    pub kept: BTreeMap<&'static str, u64>,
    /// How many bytes are held in memory, by what they are.
    pub memory: BTreeMap<&'static str, HeldBytes>,
}

/// What became of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// How many there were, in one word; an event that was judged again counts again.
    pub events: BTreeMap<&'static str, u64>,
    /// Of those that were rejected or soft-failed, how many for what: a rule of a room version, the
    /// policy server, or something else.
    pub denials: BTreeMap<(&'static str, String), u64>,
}

/// How often other servers were asked for their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFetches {
    /// And told them.
    pub told: u64,
    /// And told nothing that is to be believed.
    pub in_vain: u64,
}

/// Bytes that are held in memory, and how many that may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBytes {
    /// So many bytes are held.
    pub bytes: u64,
    /// At most so many may be.
    pub max: u64,
}

impl HeldBytes {
    pub(crate) fn new(bytes: usize, max: usize) -> Self {
        Self {
            bytes: bytes as u64,
            max: max as u64,
        }
    }
}

/// The queues of several destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// How many destinations.
    pub destinations: u64,
    /// How many queued items of theirs are in memory.
    pub queued: u64,
    /// For how long the oldest transaction that was begun for one of them has not arrived.
    pub lag: Duration,
}

/// How often something was looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// And was there.
    pub hits: u64,
    /// And was not.
    pub misses: u64,
}

impl Lookups {
    /// With another one.
    pub(crate) fn and(self, was_there: bool) -> Self {
        Self {
            hits: self.hits + u64::from(was_there),
            misses: self.misses + u64::from(!was_there),
        }
    }
}
