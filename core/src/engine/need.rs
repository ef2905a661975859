//! What a decision may lack, and what it is given.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};

use super::JobId;
use crate::{
    input::CallError,
    messaging::notice::{Question, Told},
    pdu::{StateMap, signing::SignatureError},
    persistence::{
        queries::{Answer, Read},
        tables::{SnapshotId, StoredEvent},
    },
    time::WallTime,
    transport::{
        discovery::well_known::Page,
        names::{Found, Lookup, LookupError},
        remote_request::RemoteRequest,
        remote_response::RemoteResponse,
        server_address::ServerAddress,
    },
};

/// A fact that a decision lacks. Jobs with equal needs share the work of meeting them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A room, loaded into the world, when no join of it is under way any more.
    Room(OwnedRoomId),
    /// A room as it stands, loaded into the world.
    RoomAtPresent(OwnedRoomId),
    /// An event: from the jobs in flight, then from the store. Never from the network: which
    /// server to ask is a decision.
    Event(OwnedEventId),
    /// Events with everything that authorises them.
    AuthChain(Vec<OwnedEventId>),
    /// Who rests on some events.
    AuthDescendants(AuthDescendants),
    /// A whole state.
    Snapshot(SnapshotId),
    /// A key of a server that is valid at a time: from memory, the store, then that server.
    Key {
        /// Whose key.
        server: OwnedServerName,
        /// Which key.
        key_id: String,
        /// When it must be valid.
        valid_at: WallTime,
    },
    /// Whether the signatures of these events hold.
    Signatures(Vec<OwnedEventId>),
    /// The answer of another server.
    Call(Box<RemoteRequest>),
    /// What is known of a name.
    Lookup(Lookup),
    /// A page on the web: from where, and its path and query.
    Page(Box<(ServerAddress, String)>),
    /// The answer of the store.
    Read(Read),
    /// The answer of the application.
    Told(Question),
    /// The end of a transaction that is being received from this server.
    Turn(OwnedServerName),
    /// That a job's server has few enough others at work.
    Service(JobId),
}

/// The state events that we hold in whose auth chains one of these is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthDescendants {
    /// The events, in order.
    pub of: Vec<OwnedEventId>,
    /// More descendants than these are too many.
    pub limit: u32,
    /// The current state of the room. When it moves on, an answer may have become too old.
    pub current: SnapshotId,
}

/// A need, met. That something does not exist, or could not be had, is an answer too.
#[derive(Clone, Debug, PartialEq)]
pub enum Met {
    /// It is in the world now, or is known not to be had; or the job waited for is done.
    InWorld,
    /// To either for a room that we do not take part in.
    NoRoom,
    /// To [`Need::Event`].
    Event(Option<Arc<StoredEvent>>),
    /// To [`Need::AuthChain`].
    Chain(BTreeMap<OwnedEventId, Arc<StoredEvent>>),
    /// To [`Need::AuthDescendants`]; `None` if they are too many.
    Descendants(Option<BTreeMap<OwnedEventId, Arc<StoredEvent>>>),
    /// To [`Need::Snapshot`].
    State(StateMap),
    /// To [`Need::Signatures`], in the same order.
    Signatures(Vec<Result<(), SignatureError>>),
    /// To [`Need::Call`].
    Response(RemoteResponse),
    /// To [`Need::Lookup`].
    Found(Result<Found, LookupError>),
    /// To [`Need::Page`].
    Page(Result<Page, CallError>),
    /// To [`Need::Read`].
    Read(Answer),
    /// To [`Need::Told`].
    Told(Told),
}
