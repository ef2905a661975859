//! Every query, executed. This file routes; the SQL is in the files by topic.

mod events;
mod federation;
mod graph;
mod inbox;
mod joins;
mod local;
mod names;
mod outgoing;
mod redactions;
mod rooms;
mod staged;
mod start;
mod state;
mod statement;
mod streams;
mod visibility;

use comity_core::persistence::queries::{Answer, Read, Write};
use rusqlite::Connection;

/// Answers a question.
pub(crate) fn read(database: &Connection, read: &Read) -> rusqlite::Result<Answer> {
    Ok(match read {
        Read::Boot => Answer::Boot(start::boot(database)?),
        Read::NewestPosition => Answer::Position(start::newest_position(database)?),
        Read::Counts => Answer::Counts(start::counts(database)?),
        Read::Events(ids) => Answer::Events(events::stored(database, ids)?),
        Read::AuthChain(ids) => Answer::Events(graph::auth_chain(database, ids)?),
        Read::AuthDescendants { of, limit } => {
            Answer::AuthDescendants(graph::auth_descendants(database, of, *limit)?)
        }
        Read::Ancestors(asked) => Answer::Events(graph::ancestors(database, asked)?),
        Read::BackwardExtremities(room_id) => {
            Answer::BackwardExtremities(graph::backward_extremities(database, room_id)?)
        }
        Read::Timeline {
            room_id,
            from,
            to,
            direction,
            limit,
        } => Answer::Events(events::timeline(
            database, room_id, *from, *to, *direction, *limit,
        )?),
        Read::ByTime {
            room_id,
            time,
            direction,
            limit,
        } => Answer::Events(events::by_time(
            database, room_id, *time, *direction, *limit,
        )?),
        Read::RedactionsOf(ids) => Answer::Events(redactions::of(database, ids)?),
        Read::SetAside { room_id, limit } => {
            Answer::Events(events::set_aside(database, room_id, *limit)?)
        }
        Read::EventIds { prefix, limit } => {
            Answer::EventIds(events::ids_by_prefix(database, prefix, *limit)?)
        }
        Read::Room(room_id) => Answer::Room(rooms::load(database, room_id)?),
        Read::CurrentState(room_id) => Answer::Events(rooms::current_state(database, room_id)?),
        Read::CurrentStateEvent(room_id, key) => {
            Answer::Events(rooms::current_state_event(database, room_id, key)?)
        }
        Read::Snapshot(id) => Answer::State(state::snapshot(database, *id)?),
        Read::Outlooks { snapshots, server } => {
            Answer::Outlooks(visibility::outlooks(database, snapshots, server)?)
        }
        Read::SnapshotEvents(id) => Answer::Events(state::snapshot_events(database, *id)?),
        Read::Memberships(user_id) => Answer::Memberships(local::memberships(database, user_id)?),
        Read::Once(key) => Answer::Once(local::once(database, key)?),
        Read::EventsAfter {
            server,
            position,
            limit,
        } => Answer::EventsAfter(streams::events_after(database, server, *position, *limit)?),
        Read::RoomsOf { server, limit } => Answer::Rooms(streams::rooms(database, server, *limit)?),
        Read::PeerStream(server) => Answer::PeerStream(streams::peer(database, server)?),
        Read::Outgoing { destination, limit } => {
            Answer::Outgoing(outgoing::queue(database, destination, *limit)?)
        }
        Read::OutgoingExcess {
            destination,
            depth,
            queued_since,
        } => {
            let excess = outgoing::excess(database, destination, *depth, *queued_since)?;
            Answer::Excess(excess)
        }
        Read::ReceivedTransaction {
            origin,
            transaction_id,
        } => Answer::Response(federation::response(database, origin, transaction_id)?),
        Read::Inbox { after, limit } => Answer::Inbox(inbox::waiting(database, *after, *limit)?),
        Read::InboxStanding { origin, names } => {
            Answer::InboxStanding(inbox::standing(database, origin, names)?)
        }
        Read::PublishedKeys(of) => Answer::PublishedKeys(federation::published(database, of)?),
        Read::ServerKeys(server) => Answer::Keys(federation::server_keys(database, server)?),
    })
}

/// Applies one change.
pub(crate) fn write(database: &Connection, write: &Write) -> rusqlite::Result<()> {
    match write {
        Write::RoomVersion(room_id, version) => {
            rooms::remember_version(database, room_id, *version)
        }
        Write::Event(event) => events::insert(database, event),
        Write::Redact { redacted } => events::redact(database, redacted),
        Write::Snapshot(snapshot) => state::insert_snapshot(database, snapshot),
        Write::Room { record, changes } => rooms::replace(database, record, changes),
        Write::Membership(membership) => local::replace_membership(database, membership),
        Write::Once { key, event_id } => local::remember_once(database, key, event_id),
        Write::Stage(event) => staged::stage_event(database, event),
        Write::Unstage { event_id, from } => staged::unstage(database, event_id, from),
        Write::Join(join) => joins::replace(database, join),
        Write::JoinEnded(room_id) => joins::end(database, room_id),
        Write::Audience { id, servers } => outgoing::note_audience(database, *id, servers),
        Write::Enqueue {
            sequence,
            audience,
            queued_at,
            queued,
        } => outgoing::enqueue(database, *sequence, *audience, *queued_at, queued),
        Write::TransactionBegun {
            destination,
            transaction,
        } => outgoing::begin(database, destination, transaction),
        Write::TransactionDelivered {
            destination,
            through,
        } => outgoing::delivered(database, destination, *through),
        Write::DestinationFailed {
            destination,
            failures,
            retry_at,
        } => outgoing::failed(database, destination, *failures, *retry_at),
        Write::GiveUp {
            destination,
            events_through,
            edus_through,
        } => outgoing::give_up(database, destination, *events_through, *edus_through),
        Write::ForgetSent { limit } => outgoing::forget_sent(database, *limit),
        Write::PeerStream(stream) => streams::replace_peer(database, stream),
        Write::ServerKeys(keys) => federation::keep_keys(database, keys),
        Write::PublishedKeys(record) => federation::keep_published_keys(database, record),
        Write::ReceivedTransaction {
            origin,
            transaction_id,
            response,
            received_at,
        } => federation::keep_response(database, origin, transaction_id, response, *received_at),
        Write::ForgetTransactions {
            received_before,
            of_each,
            bytes,
        } => federation::forget_responses(database, *received_before, *of_each, *bytes),
        Write::Receive(edu) => inbox::receive(database, edu),
        Write::Acknowledge { through } => inbox::acknowledge(database, *through),
        Write::ForgetInbox { received_before } => inbox::forget(database, *received_before),
    }
}
