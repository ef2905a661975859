//! What the rest of a homeserver may ask for, and what it gets back.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use ruma_common::{
    OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    device_keys::{DeviceList, Failures, OneTimeKeys, UserKeys, WantedKeys, WantedOneTimeKeys},
    hierarchy::Hierarchy,
    join::candidates::NotLetIn,
    media::{Media, WantedMedia},
    public_rooms::{PublicRooms, WantedRooms},
    status::Status,
};
use crate::{
    pdu::RoomVersion,
    persistence::{
        queries::{Answer, Direction, Read},
        tables::{InboxId, SnapshotId},
    },
    time::{Monotonic, WallTime},
    transport::{
        matrix_error::{ErrorCode, MatrixError},
        remote_response::RemoteError,
    },
};

/// A JSON object, the content of an event.
pub type Content = Map<String, Value>;

/// Something a user or the application wants done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Create a room. → [`Reply::Room`]
    CreateRoom(Box<CreateRoom>),
    /// Join a room, by federation if we are not in it. → [`Reply::Room`]
    Join {
        /// Our user.
        user_id: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Servers that are likely in the room, best first. An invite's sender is tried too.
        via: Vec<OwnedServerName>,
        /// Further keys of the member event, such as `displayname` and `reason`.
        content: Content,
    },
    /// Ask to be let into a room, by federation if we are not in it. → [`Reply::Event`]
    Knock {
        /// Our user.
        user_id: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Servers that are likely in the room, best first.
        via: Vec<OwnedServerName>,
        /// Further keys of the member event, such as `displayname` and `reason`.
        content: Content,
    },
    /// Leave a room, refuse an invite or take back a knock. → [`Reply::Event`]
    Leave {
        /// Our user.
        user_id: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Further keys of the member event, such as `reason`.
        content: Content,
    },
    /// Invite somebody, of this server or another. → [`Reply::Event`]
    Invite {
        /// Our user, who invites.
        sender: OwnedUserId,
        /// Who is invited.
        target: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Further keys of the member event, such as `displayname`, `is_direct` and `reason`.
        content: Content,
    },
    /// Send a message or state event. → [`Reply::Event`]
    Send(Box<SendEvent>),
    /// Redact an event. → [`Reply::Event`]
    Redact {
        /// Our user.
        sender: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// The event to strip.
        redacts: OwnedEventId,
        /// Why, for people.
        reason: Option<String>,
        /// As [`SendEvent::once`].
        once: Option<String>,
    },
    /// Tell other servers something that is no event. What says who may decrypt what
    /// (`m.direct_to_device`, `m.device_list_update`, `m.signing_key_update`) is on disk when this
    /// is answered and is kept until it has arrived; all else is true for a moment.
    /// → [`Reply::Queued`]
    SendEdu {
        /// For whom.
        to: EduAudience,
        /// Its type, such as `m.typing`.
        edu_type: String,
        /// Its content, in the shape that the type has on the wire.
        content: Content,
    },
    /// Say that a [reliable EDU](super::notice::Notice::Edu), and all that were told before it,
    /// are dealt with. → [`Reply::Acknowledged`]
    ///
    /// While [more than a few](crate::transaction::inbox) of one server's are not, its
    /// transactions are put off.
    Acknowledge {
        /// The last one.
        through: InboxId,
    },
    /// Fetch events from before our history of a room begins. → [`Reply::Backfilled`]
    Backfill {
        /// The room.
        room_id: OwnedRoomId,
        /// At most so many events; more than 100 are not asked for.
        limit: u32,
    },
    /// Find the event of a room that is nearest to a time, in a direction, and have it. Where our
    /// history of the room does not go back to that time, other servers are asked.
    /// → [`Reply::Event`]
    EventByTime {
        /// The room.
        room_id: OwnedRoomId,
        /// The time.
        time: WallTime,
        /// Which way to go from it.
        direction: Direction,
    },
    /// Ask what room an alias of any server stands for. → [`Reply::Directory`]
    ResolveAlias(OwnedRoomAliasId),
    /// Ask for the profile of a user of any server. → [`Reply::Profile`]
    Profile(OwnedUserId),
    /// Ask for the keys of devices of users of any servers. → [`Reply::Keys`]
    QueryKeys(WantedKeys),
    /// Claim one-time keys of devices of users of any servers. → [`Reply::OneTimeKeys`]
    ClaimKeys(WantedOneTimeKeys),
    /// Ask for all devices of a user of any server, to follow their changes from there on.
    /// → [`Reply::Devices`]
    ListDevices(OwnedUserId),
    /// Ask a server, ours or another, which of its users got an OpenID token.
    /// → [`Reply::OpenIdUser`]
    OpenIdUser {
        /// Which server.
        server: OwnedServerName,
        /// The token.
        token: String,
    },
    /// Ask a server, ours or another, for a file. → [`Reply::Media`]
    Media {
        /// Which server.
        server: OwnedServerName,
        /// Which file.
        wanted: WantedMedia,
    },
    /// Ask for the rooms that a server publishes, ours or another. → [`Reply::PublicRooms`]
    PublicRooms {
        /// Which server.
        server: OwnedServerName,
        /// What of its directory.
        wanted: WantedRooms,
    },
    /// Ask for a space and its children, as one of our users may see them. → [`Reply::Hierarchy`]
    Hierarchy {
        /// Our user.
        user_id: OwnedUserId,
        /// The space.
        room_id: OwnedRoomId,
        /// Servers that may know it, if we do not.
        via: Vec<OwnedServerName>,
        /// Only children that are marked as suggested.
        suggested_only: bool,
    },
    /// Read what is stored. → [`Reply::Read`]
    Read(Read),
    /// Say how a room stands. → [`Reply::RoomSummary`]
    RoomSummary(OwnedRoomId),
    /// Try a server again at once that is backed off from, or every one of them.
    /// → [`Reply::Retrying`]
    Retry(Option<OwnedServerName>),
    /// Say how the engine stands, in numbers. → [`Reply::Statistics`]
    Statistics,
    /// Say how the server stands, for people. → [`Reply::Status`]
    Status,
}

/// For whom an ephemeral message is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EduAudience {
    /// Every server in a room.
    Room(OwnedRoomId),
    /// Every server with which one of our users shares a room.
    Peers(OwnedUserId),
    /// These servers.
    Servers(BTreeSet<OwnedServerName>),
}

/// See [`Command::CreateRoom`]. The events are made in the order that the client-server API
/// gives for `createRoom`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateRoom {
    /// Our user.
    pub creator: OwnedUserId,
    /// The room's version; [`RoomVersion::DEFAULT`] if not given.
    pub version: Option<RoomVersion>,
    /// Who may come in and what newcomers see.
    pub preset: Preset,
    /// Further keys of the create event, such as `m.federate` and `type`.
    pub creation_content: Content,
    /// Keys of the power levels that replace the preset's.
    pub power_levels: Content,
    /// Further keys of the creator's member event, such as `displayname`.
    pub creator_content: Content,
    /// The room's alias here, already reserved by the caller.
    pub alias: Option<OwnedRoomAliasId>,
    /// State events that come after the preset's own and may replace them.
    pub initial_state: Vec<InitialState>,
    /// The room's name.
    pub name: Option<String>,
    /// The room's topic.
    pub topic: Option<String>,
}

impl CreateRoom {
    /// A private room of the default version with nothing in it but what every room has.
    #[must_use]
    pub fn new(creator: OwnedUserId) -> Self {
        Self {
            creator,
            version: None,
            preset: Preset::default(),
            creation_content: Content::new(),
            power_levels: Content::new(),
            creator_content: Content::new(),
            alias: None,
            initial_state: Vec::new(),
            name: None,
            topic: None,
        }
    }
}

/// Which rules a new room starts with (client-server API, `createRoom`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    /// By invitation only.
    #[default]
    Private,
    /// By invitation only, and those who are invited at the start get the creator's power. Here
    /// the same as [`Preset::Private`] but for the power given in [`CreateRoom::power_levels`].
    TrustedPrivate,
    /// Anybody may join.
    Public,
}

/// One state event of a new room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitialState {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: Content,
}

/// See [`Command::Send`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendEvent {
    /// Our user.
    pub sender: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event's type. Member events of others (kick, ban, unban) are sent this way too.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Content,
    /// A key of the caller's choice. A second command with the same key, even after a crash,
    /// sends nothing and gets the first one's event id.
    pub once: Option<String>,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The room that was created or joined.
    Room(OwnedRoomId),
    /// The event that was sent, which is on disk and queued for every other server in the room; or
    /// the one that was found.
    Event(OwnedEventId),
    /// It will be sent, unless it is true for a moment only, to those that can be reached soon.
    Queued,
    /// To [`Command::Acknowledge`].
    Acknowledged,
    /// How many events of the past were added to the room's timeline, and whether a server was
    /// found that had any.
    Backfilled(u32),
    /// What an alias stands for.
    Directory {
        /// The room.
        room_id: OwnedRoomId,
        /// Servers that are in it.
        servers: Vec<OwnedServerName>,
    },
    /// The public profile of a user.
    Profile(Content),
    /// The keys that were found.
    Keys {
        /// They.
        keys: UserKeys,
        /// Servers that could not tell.
        failures: Failures,
    },
    /// One-time keys, which nobody else will get.
    OneTimeKeys {
        /// They.
        keys: OneTimeKeys,
        /// Servers that could not tell.
        failures: Failures,
    },
    /// The devices of a user.
    Devices(Box<DeviceList>),
    /// Who got the token.
    OpenIdUser(OwnedUserId),
    /// A file.
    Media(Box<Media>),
    /// A page of a directory.
    PublicRooms(PublicRooms),
    /// One level of a space.
    Hierarchy(Box<Hierarchy>),
    /// What was read.
    Read(Answer),
    /// To [`Command::RoomSummary`].
    RoomSummary(RoomSummary),
    /// How many servers were backed off from and are tried again now.
    Retrying(u64),
    /// To [`Command::Statistics`].
    Statistics(Statistics),
    /// To [`Command::Status`].
    Status(Box<Status>),
}

/// How a room stands on this server.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSummary {
    /// Its version.
    pub version: RoomVersion,
    /// The ends of its graph, sorted.
    pub extremities: Vec<OwnedEventId>,
    /// Its current state.
    pub current: SnapshotId,
    /// A digest of the current state: equal on two servers exactly if their states are.
    pub state_digest: String,
    /// How many users are joined.
    pub joined: usize,
    /// The servers of joined users, sorted.
    pub servers: Vec<OwnedServerName>,
}

/// How the engine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions received and answered with 200 for the first time since the start.
    pub transactions_received: u64,
    /// Transactions of ours answered with 200 since the start.
    pub transactions_sent: u64,
    /// Jobs under way.
    pub jobs: u64,
    /// Events queued in memory for other servers, counted once per destination.
    pub queued: u64,
    /// Destinations that are being backed off from.
    pub destinations_down: u64,
    /// Events that were acknowledged and wait for other servers before they can be judged.
    pub staged: u64,
    /// Since when the job waits that waits longest in its present phase; `None` without jobs.
    pub oldest_job: Option<Monotonic>,
}

/// Why a command failed. The Matrix error codes are those a client should see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The room's rules do not allow it, or another server says so.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such room, event, alias or user.
    #[error("{0}")]
    NotFound(String),
    /// The command does not make sense as given.
    #[error("{0}")]
    Invalid(String),
    /// The room has a version that we do not know, or the other server lacks it.
    #[error("room version {0} is not supported")]
    UnsupportedRoomVersion(String),
    /// No server that could help was reachable or willing; the last one's reason.
    #[error("no server could help: {0}")]
    Unreachable(String),
    /// None of the servers that may be in a room let our user in.
    #[error(transparent)]
    NotLetIn(#[from] NotLetIn),
    /// Another server refused with an error of its own, to be passed on.
    #[error("{server} refused: {errcode}: {error}")]
    Refused {
        /// Which server.
        server: OwnedServerName,
        /// Its HTTP status.
        status: u16,
        /// Its error code.
        errcode: String,
        /// Its explanation.
        error: String,
    },
    /// Our user joined the room, but who is in it is not known yet, and those who could tell do not
    /// answer at present: they are asked again.
    #[error("{0} has not come as a whole yet")]
    RoomInPart(OwnedRoomId),
    /// Too much is going on at once.
    #[error("too busy: {0}")]
    Busy(String),
    /// The server is shutting down or its database failed.
    #[error("stopped: {0}")]
    Stopped(String),
}

impl CommandError {
    /// What a client is told when another server could not help or refused.
    #[must_use]
    pub fn of_server(server: &ServerName, error: &RemoteError) -> Self {
        match error {
            RemoteError::Refused {
                status,
                errcode,
                error,
            } => Self::Refused {
                server: server.to_owned(),
                status: *status,
                errcode: errcode.clone(),
                error: error.clone(),
            },
            RemoteError::Unreachable(_) | RemoteError::NotAsked(_) | RemoteError::Nonsense(_) => {
                Self::Unreachable(format!("{server}: {error}"))
            }
        }
    }
}

/// What another server is told whose request came to a command.
impl From<&CommandError> for MatrixError {
    fn from(error: &CommandError) -> Self {
        let (code, status) = match error {
            CommandError::Forbidden(_) => (ErrorCode::Forbidden, StatusCode::FORBIDDEN),
            CommandError::NotFound(_) => (ErrorCode::NotFound, StatusCode::NOT_FOUND),
            CommandError::Invalid(_) => (ErrorCode::InvalidParam, StatusCode::BAD_REQUEST),
            CommandError::UnsupportedRoomVersion(_) => {
                (ErrorCode::IncompatibleRoomVersion, StatusCode::BAD_REQUEST)
            }
            CommandError::Refused { errcode, .. } if errcode == "M_FORBIDDEN" => {
                (ErrorCode::Forbidden, StatusCode::FORBIDDEN)
            }
            CommandError::Unreachable(_)
            | CommandError::NotLetIn(_)
            | CommandError::Refused { .. } => (ErrorCode::Unknown, StatusCode::BAD_GATEWAY),
            CommandError::RoomInPart(_) => (
                ErrorCode::UnableDueToPartialState,
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            CommandError::Busy(_) | CommandError::Stopped(_) => {
                (ErrorCode::Unknown, StatusCode::SERVICE_UNAVAILABLE)
            }
        };
        Self::new(code, error.to_string()).with_status(status)
    }
}

/// A [`Read`] wrapped for the callers' convenience.
impl From<Read> for Command {
    fn from(read: Read) -> Self {
        Self::Read(read)
    }
}

/// What a shared, finished event list is; spelled once for callers.
pub type Events = Vec<Arc<crate::persistence::tables::StoredEvent>>;
