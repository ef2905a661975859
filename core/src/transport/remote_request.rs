//! The requests that we make of other servers, as data.
//!
//! A [`RemoteRequest`] is ordered, so that two jobs that want the same answer share one request.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId, OwnedUserId};
use serde_json::{Value, json};

use super::{homeserver_question, path::path_segment};
use crate::{
    messaging::{
        media::{MEDIA_BYTES_MAX, WantedMedia},
        notice::Question,
        public_rooms::WantedRooms,
    },
    pdu::RoomVersion,
    persistence::queries::Direction,
    time::WallTime,
};

/// A request to one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteRequest {
    /// Which server.
    pub destination: OwnedServerName,
    /// What to ask.
    pub endpoint: Endpoint,
}

/// An endpoint of the server-server API with its arguments. Bodies are JSON text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /_matrix/key/v2/server`
    ServerKeys,
    /// `POST /_matrix/key/v2/query`, for a key of another server.
    NotaryQuery {
        /// Whose key.
        server: OwnedServerName,
        /// Which.
        key_id: String,
        /// Until when it should be valid at least.
        valid_until: WallTime,
    },
    /// `PUT /send/{txnId}`
    SendTransaction {
        /// The transaction.
        transaction_id: OwnedTransactionId,
        /// Its body, which is canonical JSON.
        body: Bytes,
    },
    /// `GET /make_join/{roomId}/{userId}`
    MakeJoin(OwnedRoomId, OwnedUserId),
    /// `PUT /v2/send_join/{roomId}/{eventId}`
    SendJoin(SignedEvent),
    /// The same, with `omit_members`: the answer may leave out who is in the room (FJOIN-1).
    SendJoinInPart(SignedEvent),
    /// `GET /make_knock/{roomId}/{userId}`
    MakeKnock(OwnedRoomId, OwnedUserId),
    /// `PUT /send_knock/{roomId}/{eventId}`
    SendKnock(SignedEvent),
    /// `GET /make_leave/{roomId}/{userId}`
    MakeLeave(OwnedRoomId, OwnedUserId),
    /// `PUT /v2/send_leave/{roomId}/{eventId}`
    SendLeave(SignedEvent),
    /// `PUT /v2/invite/{roomId}/{eventId}`; the body holds more than the event.
    Invite(SignedEvent),
    /// `PUT /v1/invite/{roomId}/{eventId}`; the body holds more than the event.
    InviteOfOld(SignedEvent),
    /// `PUT /exchange_third_party_invite/{roomId}`, with the invite to make.
    ExchangeThirdPartyInvite(OwnedRoomId, String),
    /// `GET /event/{eventId}`
    Event(OwnedEventId),
    /// `GET /state/{roomId}`
    State(OwnedRoomId, OwnedEventId),
    /// `GET /state_ids/{roomId}`
    StateIds(OwnedRoomId, OwnedEventId),
    /// `GET /event_auth/{roomId}/{eventId}`
    EventAuth(OwnedRoomId, OwnedEventId),
    /// `POST /get_missing_events/{roomId}`
    MissingEvents {
        /// The room.
        room_id: OwnedRoomId,
        /// Events that we have: the walk does not go past them.
        earliest: Vec<OwnedEventId>,
        /// Events whose ancestors we lack.
        latest: Vec<OwnedEventId>,
        /// At most so many events.
        limit: u32,
        /// No events of lesser depth.
        min_depth: u64,
    },
    /// `GET /backfill/{roomId}`
    Backfill {
        /// The room.
        room_id: OwnedRoomId,
        /// Where to start; part of the answer.
        from: Vec<OwnedEventId>,
        /// At most so many events.
        limit: u32,
    },
    /// `GET /timestamp_to_event/{roomId}`
    EventByTime {
        /// The room.
        room_id: OwnedRoomId,
        /// The time.
        time: WallTime,
        /// Which way to go from it.
        direction: Direction,
    },
    /// `POST /_matrix/policy/v1/sign`: the event to sign.
    PolicySign(String),
    /// What belongs to the other homeserver; see `homeserver_question`.
    Question(Question),
    /// `GET /_matrix/media/v3/download/{serverName}/{mediaId}`, or `thumbnail`: of the past.
    OpenMedia(OwnedServerName, WantedMedia),
    /// `GET /publicRooms`, or `POST` with a filter.
    PublicRooms(WantedRooms),
    /// `GET /hierarchy/{roomId}`
    Hierarchy {
        /// The space.
        room_id: OwnedRoomId,
        /// Only children that are marked as suggested.
        suggested_only: bool,
    },
    /// `GET /version`
    Version,
    /// `GET /_matrix/federation/unstable/org.comity/after`
    /// ([everything after](crate::transaction::after)); only for servers known to offer it.
    After {
        /// A position in that server's stream; without one it tells where its stream ends.
        from: Option<String>,
        /// At most so many events.
        limit: u32,
    },
}

/// A signed event on its way to a `send_*` or `invite` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedEvent {
    /// The event's room.
    pub room_id: OwnedRoomId,
    /// The event's id.
    pub event_id: OwnedEventId,
    /// The request's body, as JSON text.
    pub body: String,
}

pub(super) const FEDERATION_V1: &str = "/_matrix/federation/v1";
const FEDERATION_V2: &str = "/_matrix/federation/v2";
const FEDERATION_UNSTABLE: &str = "/_matrix/federation/unstable/org.comity";

impl Endpoint {
    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::SendTransaction { .. }
            | Self::SendJoin(_)
            | Self::SendJoinInPart(_)
            | Self::SendLeave(_)
            | Self::SendKnock(_)
            | Self::Invite(_)
            | Self::InviteOfOld(_)
            | Self::ExchangeThirdPartyInvite(..) => Method::PUT,
            Self::PublicRooms(wanted) if wanted.filter.is_none() => Method::GET,
            Self::MissingEvents { .. }
            | Self::PolicySign(_)
            | Self::PublicRooms(_)
            | Self::NotaryQuery { .. } => Method::POST,
            Self::ServerKeys
            | Self::MakeJoin(..)
            | Self::MakeKnock(..)
            | Self::MakeLeave(..)
            | Self::Event(_)
            | Self::State(..)
            | Self::StateIds(..)
            | Self::EventAuth(..)
            | Self::Backfill { .. }
            | Self::EventByTime { .. }
            | Self::Hierarchy { .. }
            | Self::OpenMedia(..)
            | Self::Version
            | Self::After { .. } => Method::GET,
            Self::Question(question) => homeserver_question::method(question),
        }
    }

    /// Whether it changes something elsewhere, and so must not leave before what was decided until
    /// then is on disk.
    #[must_use]
    pub fn is_a_deed(&self) -> bool {
        self.method() == Method::PUT
    }

    /// The path and query, percent-encoded.
    #[must_use]
    pub fn target(&self) -> String {
        let v1 = |name: &str, segments: &[&str]| path(FEDERATION_V1, name, segments);
        let v2 = |name: &str, segments: &[&str]| path(FEDERATION_V2, name, segments);
        match self {
            Self::ServerKeys => "/_matrix/key/v2/server".to_owned(),
            Self::NotaryQuery { .. } => "/_matrix/key/v2/query".to_owned(),
            Self::SendTransaction { transaction_id, .. } => v1("send", &[transaction_id.as_str()]),
            Self::MakeJoin(room_id, user_id) => {
                v1("make_join", &[room_id.as_str(), user_id.as_str()]) + &known_versions()
            }
            Self::MakeKnock(room_id, user_id) => {
                v1("make_knock", &[room_id.as_str(), user_id.as_str()]) + &known_versions()
            }
            Self::SendKnock(event) => v1("send_knock", &event.segments()),
            Self::MakeLeave(room_id, user_id) => {
                v1("make_leave", &[room_id.as_str(), user_id.as_str()])
            }
            Self::SendJoin(event) => v2("send_join", &event.segments()),
            Self::SendJoinInPart(event) => {
                v2("send_join", &event.segments()) + &query(&[("omit_members", "true")])
            }
            Self::SendLeave(event) => v2("send_leave", &event.segments()),
            Self::Invite(event) => v2("invite", &event.segments()),
            Self::InviteOfOld(event) => v1("invite", &event.segments()),
            Self::ExchangeThirdPartyInvite(room_id, _) => {
                v1("exchange_third_party_invite", &[room_id.as_str()])
            }
            Self::Event(event_id) => v1("event", &[event_id.as_str()]),
            Self::State(room_id, event_id) => {
                v1("state", &[room_id.as_str()]) + &query(&[("event_id", event_id.as_str())])
            }
            Self::StateIds(room_id, event_id) => {
                v1("state_ids", &[room_id.as_str()]) + &query(&[("event_id", event_id.as_str())])
            }
            Self::EventAuth(room_id, event_id) => {
                v1("event_auth", &[room_id.as_str(), event_id.as_str()])
            }
            Self::MissingEvents { room_id, .. } => v1("get_missing_events", &[room_id.as_str()]),
            Self::Backfill {
                room_id,
                from,
                limit,
            } => v1("backfill", &[room_id.as_str()]) + &backfill_query(from, *limit),
            Self::EventByTime {
                room_id,
                time,
                direction,
            } => {
                let (time, direction) = (time.to_string(), direction.letter());
                v1("timestamp_to_event", &[room_id.as_str()])
                    + &query(&[("ts", &*time), ("dir", direction)])
            }
            Self::PolicySign(_) => "/_matrix/policy/v1/sign".to_owned(),
            Self::Question(question) => homeserver_question::target(question),
            Self::OpenMedia(server, wanted) => homeserver_question::open_media(server, wanted),
            Self::PublicRooms(wanted) => v1("publicRooms", &[]) + &public_rooms_query(wanted),
            Self::Hierarchy {
                room_id,
                suggested_only,
            } => {
                let suggested_only = suggested_only.to_string();
                v1("hierarchy", &[room_id.as_str()])
                    + &query(&[("suggested_only", &*suggested_only)])
            }
            Self::Version => v1("version", &[]),
            Self::After { from, limit } => {
                let limit = limit.to_string();
                let from = from.as_deref().map(|position| ("from", position));
                let pairs: Vec<(&str, &str)> =
                    from.into_iter().chain([("limit", &*limit)]).collect();
                path(FEDERATION_UNSTABLE, "after", &[]) + &query(&pairs)
            }
        }
    }

    /// The body as JSON text; `None` for a GET.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        match self {
            Self::SendTransaction { body, .. } => Some(body.clone()),
            Self::PolicySign(body) | Self::ExchangeThirdPartyInvite(_, body) => {
                Some(body.clone().into())
            }
            Self::PublicRooms(wanted) => {
                let body = wanted.filter.is_some().then(|| json!(wanted));
                body.map(|body| body.to_string().into())
            }
            Self::NotaryQuery {
                server,
                key_id,
                valid_until,
            } => {
                let criteria = json!({ "minimum_valid_until_ts": valid_until.0 });
                let keys = json!({ "server_keys": { server.as_str(): { key_id: criteria } } });
                Some(keys.to_string().into())
            }
            Self::SendJoin(event)
            | Self::SendJoinInPart(event)
            | Self::SendLeave(event)
            | Self::SendKnock(event)
            | Self::Invite(event)
            | Self::InviteOfOld(event) => Some(event.body.clone().into()),
            Self::MissingEvents {
                earliest,
                latest,
                limit,
                min_depth,
                ..
            } => {
                let body: Value = json!({
                    "earliest_events": earliest,
                    "latest_events": latest,
                    "limit": limit,
                    "min_depth": min_depth,
                });
                Some(body.to_string().into())
            }
            Self::ServerKeys
            | Self::MakeJoin(..)
            | Self::MakeKnock(..)
            | Self::MakeLeave(..)
            | Self::Event(_)
            | Self::State(..)
            | Self::StateIds(..)
            | Self::EventAuth(..)
            | Self::Backfill { .. }
            | Self::EventByTime { .. }
            | Self::Hierarchy { .. }
            | Self::OpenMedia(..)
            | Self::Version
            | Self::After { .. } => None,
            Self::Question(question) => homeserver_question::body(question),
        }
    }

    /// How long to wait for the whole answer (GEN-10).
    #[must_use]
    pub fn time_out(&self) -> Duration {
        match self {
            Self::ServerKeys | Self::NotaryQuery { .. } | Self::Version => Duration::from_secs(10),
            Self::Question(question) => homeserver_question::time_out(question),
            Self::MakeJoin(..)
            | Self::MakeKnock(..)
            | Self::MakeLeave(..)
            | Self::PublicRooms(_)
            | Self::EventByTime { .. }
            | Self::Hierarchy { .. } => Duration::from_secs(20),
            Self::PolicySign(_) => Duration::from_secs(30),
            Self::SendJoin(_) | Self::SendJoinInPart(_) | Self::State(..) => {
                Duration::from_secs(300)
            }
            Self::SendTransaction { .. }
            | Self::SendLeave(_)
            | Self::SendKnock(_)
            | Self::Invite(_)
            | Self::InviteOfOld(_)
            | Self::ExchangeThirdPartyInvite(..)
            | Self::Event(_)
            | Self::StateIds(..)
            | Self::EventAuth(..)
            | Self::MissingEvents { .. }
            | Self::Backfill { .. }
            | Self::OpenMedia(..)
            | Self::After { .. } => Duration::from_secs(60),
        }
    }

    /// The largest answer to accept, in bytes (GEN-10).
    #[must_use]
    pub fn response_limit(&self) -> usize {
        const MIB: usize = 1024 * 1024;
        match self {
            Self::SendJoin(_) | Self::SendJoinInPart(_) | Self::State(..) => 500 * MIB,
            Self::StateIds(..) | Self::EventAuth(..) => 100 * MIB,
            Self::MissingEvents { .. } | Self::Backfill { .. } => 16 * MIB,
            Self::After { .. } | Self::PublicRooms(_) | Self::Hierarchy { .. } => 2 * MIB,
            Self::ServerKeys
            | Self::NotaryQuery { .. }
            | Self::SendTransaction { .. }
            | Self::MakeJoin(..)
            | Self::MakeKnock(..)
            | Self::MakeLeave(..)
            | Self::SendLeave(_)
            | Self::SendKnock(_)
            | Self::Invite(_)
            | Self::InviteOfOld(_)
            | Self::ExchangeThirdPartyInvite(..)
            | Self::Event(_)
            | Self::EventByTime { .. }
            | Self::PolicySign(_)
            | Self::Version => MIB,
            Self::OpenMedia(..) => MEDIA_BYTES_MAX,
            Self::Question(question) => homeserver_question::response_limit(question),
        }
    }

    /// What kinds of answers there are, as in the `Accept` header.
    #[must_use]
    pub fn accept(&self) -> &'static str {
        match self {
            Self::Question(Question::Media(_)) => "multipart/mixed, application/json",
            Self::OpenMedia(..) => "*/*",
            _ => "application/json",
        }
    }

    /// Whether the request is signed: all but those that anybody may make (XMTX-11).
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        !matches!(
            self,
            Self::ServerKeys
                | Self::NotaryQuery { .. }
                | Self::Version
                | Self::OpenMedia(..)
                | Self::Question(Question::OpenIdUser(_))
        )
    }
}

impl SignedEvent {
    fn segments(&self) -> [&str; 2] {
        [self.room_id.as_str(), self.event_id.as_str()]
    }
}

pub(super) fn path(prefix: &str, name: &str, segments: &[&str]) -> String {
    let mut path = format!("{prefix}/{name}");
    for segment in segments {
        path.push('/');
        path.push_str(&path_segment(segment));
    }
    path
}

fn backfill_query(from: &[OwnedEventId], limit: u32) -> String {
    let limit = limit.to_string();
    let events = from.iter().map(|event_id| ("v", event_id.as_str()));
    query(&events.chain([("limit", &*limit)]).collect::<Vec<_>>())
}

/// With a filter the body says everything.
fn public_rooms_query(wanted: &WantedRooms) -> String {
    if wanted.filter.is_some() {
        return String::new();
    }
    let limit = wanted.limit.map(|limit| limit.to_string());
    let network = wanted.third_party_instance_id.as_deref();
    let pairs = [
        ("limit", limit.as_deref()),
        ("since", wanted.since.as_deref()),
        ("third_party_instance_id", network),
    ];
    let given = pairs.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value?)));
    query(&given.collect::<Vec<_>>())
}

/// The room versions that we know, as a query.
fn known_versions() -> String {
    let versions = RoomVersion::SUPPORTED.iter();
    let versions: Vec<(&str, &str)> = versions.map(|version| ("ver", version.as_str())).collect();
    query(&versions)
}

pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        query.push(if index == 0 { '?' } else { '&' });
        query.push_str(key);
        query.push('=');
        query.push_str(&path_segment(value));
    }
    query
}
