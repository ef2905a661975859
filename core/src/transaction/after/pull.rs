//! Pulling what we have missed out of another server's stream.
//!
//! [`ContactPeer`] finds out where we stand; [`PullPage`] fetches what follows, and has its events
//! judged; [`AdvanceCursor`] then notes that we stand behind them, and goes on. With a server that
//! we meet for the first time we begin at the present end of its stream.
//!
//! While all is well the place where we stand moves on without pulling: to where the stream ended
//! at the look before the last. So the events that were on their way to us at that time are pulled
//! again after an outage, rather than missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PAGE_EVENTS_MAX, discovery, page, page::Page, schedule::Turn};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::{Fate, Outcome},
        registry::Identity,
    },
    pdu::{Pdu, RoomVersion, acl, admit::VerifyEvent},
    persistence::{
        queries::{Answer, Read, Write},
        tables::{PeerStream, StreamCursor},
    },
    transport::{
        remote_request::Endpoint,
        remote_response::{RemoteError, RemoteResponse},
    },
};

/// How many pages are pulled before it is another server's turn.
const PAGES_PER_TURN: u32 = 100;

/// What is wanted of another server's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To know where it ends.
    LookIn,
    /// Everything that we have missed.
    CatchUp,
}

/// Finds out where we stand in a server's stream, and whether it has one.
#[derive(Clone, Debug)]
pub struct ContactPeer {
    /// The server.
    pub server: OwnedServerName,
    /// What is wanted.
    pub wish: Wish,
}

impl ContactPeer {
    /// One job at a time deals with a server's stream.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Pull(self.server.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let known = match facts.read(Read::PeerStream(self.server.clone()))? {
            Answer::PeerStream(known) => known.as_ref(),
            _ => None,
        };
        if discovery::is_due(known, facts.now().wall) {
            return self.discover(facts);
        }
        let Some((known, cursor)) = known.and_then(|known| Some((known, known.cursor.as_ref()?)))
        else {
            return Ok(ended(&self.server, Turn::Done));
        };
        match self.wish {
            Wish::CatchUp => Ok(Outcome::phase(PullPage {
                known: known.clone(),
                cursor: cursor.clone(),
                pages_left: PAGES_PER_TURN,
                was_new: false,
            })),
            Wish::LookIn => {
                let pull_after = Some(cursor.end.clone());
                look_in(known, pull_after, facts)
            }
        }
    }

    /// Asks whether there is a stream, once, if we share a room.
    fn discover(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let shared = facts.read(Read::RoomsOf {
            server: self.server.clone(),
            limit: 1,
        })?;
        if matches!(shared, Answer::Rooms(rooms) if rooms.is_empty()) {
            return Ok(ended(&self.server, Turn::Stranger));
        }
        let known = PeerStream {
            server: self.server.clone(),
            asked_at: facts.now().wall,
            cursor: None,
        };
        match facts.call(&self.server, Endpoint::Version)? {
            Ok(body) if discovery::is_offered(body) => look_in(&known, None, facts),
            Ok(_) | Err(RemoteError::Refused { .. } | RemoteError::Nonsense(_)) => {
                Ok(noted(known, Turn::Done))
            }
            Err(error) => Ok(failed(&self.server, error)),
        }
    }
}

/// Notes where a stream ends, and that what follows `pull_after`, or else that end, is to be
/// pulled one day.
fn look_in(
    known: &PeerStream,
    pull_after: Option<String>,
    facts: &Facts<'_>,
) -> Result<Outcome, Blocked> {
    let endpoint = Endpoint::After {
        from: None,
        limit: 1,
    };
    let answer = facts.call(&known.server, endpoint)?;
    let end = match page_of(answer, None, 1) {
        Ok(page) => page.position,
        Err(error) if is_offered_no_more(&error) => return Ok(withdrawn(known)),
        Err(error) => return Ok(failed(&known.server, &error)),
    };
    let cursor = StreamCursor {
        pull_after: pull_after.unwrap_or_else(|| end.clone()),
        end,
        looked_at: facts.now().wall,
    };
    let stream = PeerStream {
        cursor: Some(cursor),
        ..known.clone()
    };
    Ok(noted(stream, Turn::Done))
}

/// Fetches the next page of a server's stream.
#[derive(Clone, Debug)]
pub struct PullPage {
    known: PeerStream,
    cursor: StreamCursor,
    pages_left: u32,
    /// Whether this turn has brought anything new.
    was_new: bool,
}

impl PullPage {
    /// See [`ContactPeer::identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Pull(self.known.server.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let from = &self.cursor.pull_after;
        let endpoint = Endpoint::After {
            from: Some(from.clone()),
            limit: PAGE_EVENTS_MAX,
        };
        let answer = facts.call(&self.known.server, endpoint)?;
        match page_of(answer, Some(from), PAGE_EVENTS_MAX) {
            Ok(page) => self.judge(&page, facts),
            Err(error) if is_offered_no_more(&error) => Ok(withdrawn(&self.known)),
            Err(error) if is_unknown_position(&error) => look_in(&self.known, None, facts),
            Err(error) => Ok(failed(&self.known.server, &error)),
        }
    }

    /// Has the page's events judged, and then the cursor moved behind them.
    fn judge(&self, page: &Page<'_>, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let first = self.unknown(page, facts)?;
        let mut pull = self.clone();
        pull.pages_left = pull.pages_left.saturating_sub(1);
        pull.cursor.pull_after.clone_from(&page.position);
        if !page.more {
            pull.cursor.end.clone_from(&page.position);
            pull.cursor.looked_at = facts.now().wall;
        }
        let more = page.more;
        Ok(Outcome::default().then(first, AdvanceCursor { pull, more }))
    }

    /// Jobs for the events of a page that we do not have, of rooms that we are in and in which
    /// the server may speak. Whatever else the page holds is left out, and so is what came before
    /// we did: it would be no news. What lies behind a hole that was stepped over since is taken
    /// in: nobody else may bring it.
    fn unknown(&self, page: &Page<'_>, facts: &Facts<'_>) -> Result<Vec<Job>, Blocked> {
        let rooms = rooms_of(page, &self.known.server, facts)?;
        let mut seen = BTreeSet::new();
        let parsed = page.pdus.iter().filter_map(|json| {
            let known = rooms.get(&room_of(json)?)?;
            let event = Pdu::parse(json.get(), known.version).ok()?;
            (event.depth() >= known.least_depth).then_some(event)
        });
        let events: Vec<Arc<Pdu>> = parsed
            .filter(|event| seen.insert(event.event_id().to_owned()))
            .map(Arc::new)
            .collect();
        let held = facts.all_held(seen.iter().map(|id: &OwnedEventId| &**id))?;
        let is_known = |event: &Pdu| {
            let held = held.get(event.event_id());
            held.is_some_and(|event| !event.is_outlier())
        };
        let unknown = events.into_iter().filter(|event| !is_known(event));
        let verify = |event| Job::from(VerifyEvent::pushed(event, self.known.server.clone()));
        Ok(unknown.map(verify).collect())
    }
}

/// Notes that the events of a page are judged or staged. What they came to is on disk before this
/// is.
#[derive(Clone, Debug)]
pub struct AdvanceCursor {
    pull: PullPage,
    more: bool,
}

impl AdvanceCursor {
    /// See [`ContactPeer::identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.pull.identity()
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let mut pull = self.pull.clone();
        pull.was_new |= facts.fates().contains(&Fate::Handled);
        let stream = PeerStream {
            cursor: Some(pull.cursor.clone()),
            ..pull.known.clone()
        };
        let turn = match (self.more, pull.pages_left) {
            (false, _) => Turn::Done,
            (true, 0) => Turn::Paused {
                was_new: pull.was_new,
            },
            (true, _) => {
                let writes = vec![Write::PeerStream(stream)];
                return Ok(Outcome {
                    writes,
                    ..Outcome::phase(pull)
                });
            }
        };
        Ok(noted(stream, turn))
    }
}

#[derive(Deserialize)]
struct RoomOf {
    room_id: OwnedRoomId,
}

fn room_of(json: &RawValue) -> Option<OwnedRoomId> {
    let RoomOf { room_id } = serde_json::from_str(json.get()).ok()?;
    Some(room_id)
}

/// What the events of a room are read by.
struct KnownRoom {
    version: RoomVersion,
    /// The depth at which we came.
    least_depth: u64,
}

/// The rooms that a page speaks of, as far as it has a right to.
fn rooms_of(
    page: &Page<'_>,
    server: &ServerName,
    facts: &Facts<'_>,
) -> Result<BTreeMap<OwnedRoomId, KnownRoom>, Blocked> {
    let ids: BTreeSet<OwnedRoomId> = page.pdus.iter().filter_map(|json| room_of(json)).collect();
    let rooms: Vec<_> = ids
        .into_iter()
        .map(|room_id| {
            let known = known_room(&room_id, server, facts)?;
            Ok(known.map(|known| (room_id, known)))
        })
        .collect();
    let rooms = rooms.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    Ok(rooms.into_iter().flatten().collect())
}

fn known_room(
    room_id: &RoomId,
    server: &ServerName,
    facts: &Facts<'_>,
) -> Result<Option<KnownRoom>, Blocked> {
    let room = facts.room(room_id)?;
    let Some(room) = room.filter(|room| room.has_server(facts.our_name())) else {
        return Ok(None);
    };
    let known = KnownRoom {
        version: room.version,
        least_depth: room.least_depth,
    };
    let may_speak = acl::allows(facts, room, server)?;
    Ok(may_speak.then_some(known))
}

fn page_of<'a>(
    answer: &'a RemoteResponse,
    from: Option<&str>,
    limit: u32,
) -> Result<Page<'a>, RemoteError> {
    let body = answer.as_ref().map_err(Clone::clone)?;
    page::read(body, from, limit)
}

/// Whether a server has stopped to offer its stream (GEN-6).
fn is_offered_no_more(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Refused { errcode, .. } if errcode == "M_UNRECOGNIZED")
}

/// Whether a server does not know the position that it told us, or nothing so old any more.
fn is_unknown_position(error: &RemoteError) -> bool {
    let RemoteError::Refused { errcode, .. } = error else {
        return false;
    };
    matches!(errcode.as_str(), "M_INVALID_PARAM" | "M_NOT_FOUND")
}

fn withdrawn(known: &PeerStream) -> Outcome {
    let known = PeerStream {
        cursor: None,
        ..known.clone()
    };
    noted(known, Turn::Done)
}

fn noted(stream: PeerStream, turn: Turn) -> Outcome {
    let outcome = ended(&stream.server, turn);
    Outcome {
        writes: vec![Write::PeerStream(stream)],
        ..outcome
    }
}

fn failed(server: &OwnedServerName, error: &RemoteError) -> Outcome {
    tracing::debug!(%server, %error, "its stream could not be pulled");
    ended(server, Turn::Failed)
}

fn ended(server: &OwnedServerName, turn: Turn) -> Outcome {
    Outcome {
        pulled: Some((server.clone(), turn)),
        ..Outcome::default()
    }
}
