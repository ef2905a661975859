//! The one gate that everything passes which another server reads of a room.
//!
//! **Contract.** [`enter`] lets a server look at a room at all; [`shown`] says what it sees of
//! single events, and [`whole`] of which it sees all, by the room's history visibility where each of them stands (client-server API,
//! "Room history visibility"). A server that may not enter is told the same whether the room, or
//! the event, exists or not.
//!
//! A state and what authorises it is not filtered: whoever is in the room gets it with the join. So
//! an event of the present state is whole wherever it is read: one that took it redacted would have
//! another state than we for good, and a list of servers that it denies without an end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{OwnedEventId, RoomId, ServerName};

use super::{Pdu, acl, event_type::MEMBER};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        stop::Stop,
        world::Room,
    },
    persistence::{
        queries::{Answer, Read},
        tables::{Outlook, SnapshotId, StoredEvent},
    },
    transport::matrix_error::{ErrorCode, MatrixError},
};

const HISTORY_VISIBILITY: &str = "m.room.history_visibility";

/// A room, for a server that may read it: a user of it is joined, and the room's server ACL does not
/// deny it (STATEREQ-2, ACL-6). Where no user of ours is joined any more, this is as it was when the
/// last one left: what we said then may build on what only we can give.
///
/// A room that was joined without its members cannot be read before they have come: those who are
/// said to be in it hear so, and nobody else does (ERR-20).
///
/// # Errors
/// 403 `M_FORBIDDEN`, or `ORG.MATRIX.MSC3895_UNABLE_DUE_TO_PARTIAL_STATE`.
pub fn enter<'f>(
    room_id: &RoomId,
    server: &ServerName,
    facts: &Facts<'f>,
) -> Result<&'f Room, Stop<MatrixError>> {
    let room = facts.room_at_present(room_id)?;
    if facts.is_said_to_be_in(room_id, server) {
        let reason = "this server does not know yet who is in the room";
        return Err(MatrixError::new(ErrorCode::UnableDueToPartialState, reason).into());
    }
    let room = room.filter(|room| room.has_server(server));
    let room = room.ok_or_else(|| forbidden("your server is not in the room"))?;
    match acl::allows(facts, room, server)? {
        true => Ok(room),
        false => Err(forbidden("your server is denied by the room").into()),
    }
}

/// These events, of rooms that `server` may enter, as it may see them: whole or, where its
/// users were not to see them, redacted (PDU-30, PDU-35).
///
/// Where an event stands is unknown if we hold it without its history. As part of some state it is
/// shown; anything else is left out, since nobody can say who was to see it.
pub fn shown(
    events: &[Arc<StoredEvent>],
    server: &ServerName,
    facts: &Facts<'_>,
) -> Result<Vec<Arc<Pdu>>, Blocked> {
    let sight = Sight::of(events, server, facts)?;
    let shown = |event: &Arc<StoredEvent>| match (sight.is_whole(event), event.state) {
        (true, _) => Some(event.pdu.clone()),
        (false, Some(_)) => Some(Arc::new(event.pdu.redacted())),
        (false, None) => None,
    };
    Ok(events.iter().filter_map(shown).collect())
}

/// Those of these events, of rooms that `server` may enter, that it may see whole.
pub fn whole<'e>(
    events: &'e [Arc<StoredEvent>],
    server: &ServerName,
    facts: &Facts<'_>,
) -> Result<Vec<&'e Arc<StoredEvent>>, Blocked> {
    let sight = Sight::of(events, server, facts)?;
    let events = events.iter();
    Ok(events.filter(|event| sight.is_whole(event)).collect())
}

/// What a server sees of some events.
struct Sight<'s> {
    server: &'s ServerName,
    outlooks: BTreeMap<SnapshotId, Outlook>,
    /// Those of the events that belong to the present state of their room.
    present: BTreeSet<OwnedEventId>,
}

impl<'s> Sight<'s> {
    fn of(
        events: &[Arc<StoredEvent>],
        server: &'s ServerName,
        facts: &Facts<'_>,
    ) -> Result<Self, Blocked> {
        let mut present = BTreeSet::new();
        for event in events {
            if is_present(&event.pdu, facts)? {
                present.insert(event.pdu.event_id().to_owned());
            }
        }
        let outlooks = outlooks(events, server, facts)?;
        Ok(Self {
            server,
            outlooks,
            present,
        })
    }

    /// Whether the server sees all of an event.
    fn is_whole(&self, event: &StoredEvent) -> bool {
        let open = |snapshot: SnapshotId| self.outlooks.get(&snapshot).is_some_and(is_open);
        match event.state {
            None => event.pdu.is_state(),
            Some(_) if self.present.contains(event.pdu.event_id()) => true,
            Some(state) => {
                open(state.before) || opens_itself(&event.pdu, self.server) && open(state.after)
            }
        }
    }
}

/// Whether an event belongs to the present state of its room.
fn is_present(event: &Pdu, facts: &Facts<'_>) -> Result<bool, Blocked> {
    let Some(state_key) = event.state_key() else {
        return Ok(false);
    };
    let room = facts.room_at_present(event.room_id())?;
    let held = room.and_then(|room| room.state.get(event.event_type(), state_key));
    Ok(held == Some(event.event_id()))
}

/// What the states around these events say of what a server may see, in one question.
fn outlooks(
    events: &[Arc<StoredEvent>],
    server: &ServerName,
    facts: &Facts<'_>,
) -> Result<BTreeMap<SnapshotId, Outlook>, Blocked> {
    let around = events.iter().filter_map(|event| event.state);
    let mut snapshots: Vec<SnapshotId> = around
        .flat_map(|state| [state.before, state.after])
        .collect();
    snapshots.sort();
    snapshots.dedup();
    if snapshots.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = Read::Outlooks {
        snapshots,
        server: server.to_owned(),
    };
    Ok(match facts.read(read)? {
        Answer::Outlooks(outlooks) => outlooks.iter().cloned().collect(),
        _ => BTreeMap::new(),
    })
}

/// Whether a server may see the events that stand in such a state. What is no valid visibility
/// counts as `shared`.
fn is_open(outlook: &Outlook) -> bool {
    match outlook.history_visibility.as_deref() {
        Some("joined") => outlook.joined,
        Some("invited") => outlook.joined || outlook.invited,
        Some(_) | None => true,
    }
}

/// Whether an event is also seen by those who may see what follows it: one that changes who may
/// see what, and one about a user of that server.
fn opens_itself(event: &Pdu, server: &ServerName) -> bool {
    let of_server = |user_id: &str| {
        let parts = user_id.split_once(':');
        parts.is_some_and(|(_, name)| name == server.as_str())
    };
    match event.event_type() {
        HISTORY_VISIBILITY => event.state_key() == Some(""),
        MEMBER => event.state_key().is_some_and(of_server),
        _ => false,
    }
}

fn forbidden(reason: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Forbidden, reason)
}
