//! Streams of events: ours as another server shares it, and where we stand in those of others.

use std::sync::Arc;

use comity_core::persistence::{
    queries::{Direction, EventsAfter},
    tables::{PeerStream, Position, StoredEvent},
};
use ruma_common::{OwnedRoomId, ServerName};

use super::{
    events, start,
    tables::{Tables, kept},
};

/// New events, oldest first, of the rooms in which a server has, or once had, a user.
pub(super) fn events_after(
    tables: &Tables,
    server: &ServerName,
    position: Position,
    limit: u32,
) -> EventsAfter {
    let newest = start::newest_position(tables);
    let from = Some(position.max(Position(0)));
    let of_room =
        |room_id| events::timeline(tables, room_id, from, None, Direction::Forward, limit);
    let rooms = rooms_of(tables, server, u32::MAX);
    let mut events: Vec<Arc<StoredEvent>> = rooms.iter().flat_map(|room| of_room(room)).collect();
    events.sort_by_key(|event| event.position);
    events.truncate(limit as usize);
    let is_full = events.len() >= limit as usize;
    let last = events.last().and_then(|event| event.position);
    EventsAfter {
        through: last.filter(|_| is_full).unwrap_or(newest),
        events,
        newest,
    }
}

/// Rooms in which a server has, or once had, a user, by id.
pub(super) fn rooms_of(tables: &Tables, server: &ServerName, limit: u32) -> Vec<OwnedRoomId> {
    let all = tables.room_servers.iter().map(|(place, ())| place);
    let theirs = all.filter(|(of, _)| of == server);
    theirs
        .take(limit as usize)
        .map(|(_, room_id)| room_id.clone())
        .collect()
}

/// Every server that offers its stream.
pub(super) fn offered(tables: &Tables) -> Vec<PeerStream> {
    let streams = tables.streams.iter().map(|(_, stream)| stream);
    streams
        .filter(|stream| stream.cursor.is_some())
        .cloned()
        .collect()
}

/// Replaces what is known of a server's stream.
pub(super) fn replace_peer(tables: &mut Tables, stream: &PeerStream) {
    let mut stream = stream.clone();
    stream.asked_at = kept(stream.asked_at);
    if let Some(cursor) = &mut stream.cursor {
        cursor.looked_at = kept(cursor.looked_at);
    }
    tables.streams.set(stream.server.clone(), stream);
}
