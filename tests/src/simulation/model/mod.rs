//! A store in plain memory: what the core's queries mean, said a second time.
//!
//! **Contract.** It answers every [`Query`] exactly as `comity-store` does, but for the order where
//! the query leaves that open, and for the words of an error. It is written to be read, one file for
//! each topic, as the store's SQL is; and it is fast, since an event that is read is not parsed
//! again. Whether the two agree is tested with random writes, and may be watched all through a
//! simulation: see [`DatabaseKind::Compared`](super::DatabaseKind::Compared).
//!
//! **To add a query,** give it an arm in `Model::read` or `Model::write`, a function in the file
//! of its topic, and, if it stores something, a table in `tables.rs`. Then let
//! `tests/tests/model_store` write it and ask for it.

mod events;
mod federation;
mod graph;
mod inbox;
mod local;
mod outgoing;
mod redactions;
mod rooms;
mod staged;
mod start;
mod state;
mod streams;
mod table;
mod tables;
mod visibility;

use comity_core::persistence::queries::{Answer, Query, Read, StoreError, Write};

use tables::{OutgoingRow, Tables};

/// The store; see the module.
#[derive(Debug, Default)]
pub struct Model {
    tables: Tables,
}

impl Model {
    /// Executes one query. After an error of a commit nothing of its batch is there.
    pub fn run(&mut self, query: &Query) -> Result<Answer, StoreError> {
        match query {
            Query::Read(read) => self.read(read),
            Query::Commit(batch) => {
                self.tables.begin();
                match batch.writes.iter().try_for_each(|write| self.write(write)) {
                    Ok(()) => Ok(Answer::Committed),
                    Err(error) => {
                        self.tables.roll_back();
                        Err(error)
                    }
                }
            }
        }
    }

    fn read(&mut self, read: &Read) -> Result<Answer, StoreError> {
        let tables = &self.tables;
        Ok(match read {
            Read::Boot => Answer::Boot(start::boot(&mut self.tables)),
            Read::NewestPosition => Answer::Position(start::newest_position(tables)),
            Read::Counts => Answer::Counts(start::counts(tables)),
            Read::Events(ids) => Answer::Events(events::stored(tables, ids)),
            Read::AuthChain(ids) => Answer::Events(graph::auth_chain(tables, ids)),
            Read::AuthDescendants { of, limit } => {
                Answer::AuthDescendants(graph::auth_descendants(tables, of, *limit))
            }
            Read::Ancestors(asked) => Answer::Events(graph::ancestors(tables, asked)),
            Read::BackwardExtremities(room_id) => {
                Answer::BackwardExtremities(graph::backward_extremities(tables, room_id))
            }
            Read::Timeline {
                room_id,
                from,
                to,
                direction,
                limit,
            } => Answer::Events(events::timeline(
                tables, room_id, *from, *to, *direction, *limit,
            )),
            Read::ByTime {
                room_id,
                time,
                direction,
                limit,
            } => Answer::Events(events::by_time(tables, room_id, *time, *direction, *limit)),
            Read::RedactionsOf(ids) => Answer::Events(redactions::of(tables, ids)),
            Read::SetAside { room_id, limit } => {
                Answer::Events(events::set_aside(tables, room_id, *limit))
            }
            Read::EventIds { prefix, limit } => {
                Answer::EventIds(events::ids_by_prefix(tables, prefix, *limit))
            }
            Read::Room(room_id) => Answer::Room(rooms::load(tables, room_id)?),
            Read::CurrentState(room_id) => Answer::Events(rooms::current_state(tables, room_id)),
            Read::CurrentStateEvent(room_id, key) => {
                Answer::Events(rooms::current_state_event(tables, room_id, key))
            }
            Read::Snapshot(id) => Answer::State(state::snapshot(tables, *id)),
            Read::Outlooks { snapshots, server } => {
                Answer::Outlooks(visibility::outlooks(tables, snapshots, server))
            }
            Read::SnapshotEvents(id) => Answer::Events(state::snapshot_events(tables, *id)),
            Read::Memberships(user_id) => Answer::Memberships(local::memberships(tables, user_id)),
            Read::Once(key) => Answer::Once(tables.once.get(key).cloned()),
            Read::Outgoing { destination, limit } => {
                Answer::Outgoing(outgoing::queue(tables, destination, *limit))
            }
            Read::OutgoingExcess {
                destination,
                depth,
                queued_since,
            } => Answer::Excess(outgoing::excess(tables, destination, *depth, *queued_since)),
            Read::ReceivedTransaction {
                origin,
                transaction_id,
            } => Answer::Response(federation::response(tables, origin, transaction_id)),
            Read::Inbox { after, limit } => Answer::Inbox(inbox::waiting(tables, *after, *limit)),
            Read::InboxStanding { origin, names } => {
                Answer::InboxStanding(inbox::standing(tables, origin, names))
            }
            Read::EventsAfter {
                server,
                position,
                limit,
            } => Answer::EventsAfter(streams::events_after(tables, server, *position, *limit)),
            Read::RoomsOf { server, limit } => {
                Answer::Rooms(streams::rooms_of(tables, server, *limit))
            }
            Read::PeerStream(server) => Answer::PeerStream(tables.streams.get(server).cloned()),
            Read::PublishedKeys(server) => {
                Answer::PublishedKeys(tables.published_keys.get(server).cloned())
            }
            Read::ServerKeys(server) => Answer::Keys(federation::server_keys(tables, server)),
        })
    }

    fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        let tables = &mut self.tables;
        match write {
            Write::RoomVersion(room_id, version) => {
                rooms::remember_version(tables, room_id, *version);
            }
            Write::Event(event) => events::insert(tables, event)?,
            Write::Redact { redacted } => events::redact(tables, redacted)?,
            Write::Snapshot(snapshot) => state::insert_snapshot(tables, snapshot)?,
            Write::Room { record, changes } => rooms::replace(tables, record, changes)?,
            Write::Membership(membership) => local::replace_membership(tables, membership)?,
            Write::Once { key, event_id } => local::remember_once(tables, key, event_id),
            Write::Stage(event) => staged::stage_event(tables, event),
            Write::Unstage { event_id, from } => staged::unstage(tables, event_id, from),
            Write::Join(join) => {
                let room_id = join.event.room_id().to_owned();
                tables.joins.set(room_id, join.clone());
            }
            Write::JoinEnded(room_id) => tables.joins.remove(room_id),
            Write::Audience { id, servers } => outgoing::note_audience(tables, *id, servers)?,
            Write::Enqueue {
                sequence,
                audience,
                queued_at,
                queued,
            } => {
                let row = OutgoingRow {
                    audience: *audience,
                    queued_at: *queued_at,
                    queued: queued.clone(),
                };
                outgoing::enqueue(tables, *sequence, row)?;
            }
            Write::TransactionBegun {
                destination,
                transaction,
            } => outgoing::begin(tables, destination, transaction),
            Write::TransactionDelivered {
                destination,
                through,
            } => outgoing::delivered(tables, destination, *through),
            Write::DestinationFailed {
                destination,
                failures,
                retry_at,
            } => outgoing::failed(tables, destination, *failures, *retry_at),
            Write::GiveUp {
                destination,
                events_through,
                edus_through,
            } => outgoing::give_up(tables, destination, *events_through, *edus_through),
            Write::ForgetSent { limit } => outgoing::forget_sent(tables, *limit),
            Write::PeerStream(stream) => streams::replace_peer(tables, stream),
            Write::PublishedKeys(record) => federation::keep_published_keys(tables, record),
            Write::ServerKeys(keys) => federation::keep_keys(tables, keys),
            Write::ReceivedTransaction {
                origin,
                transaction_id,
                response,
                received_at,
            } => federation::keep_response(tables, origin, transaction_id, response, *received_at),
            Write::ForgetTransactions {
                received_before,
                of_each,
                bytes,
            } => federation::forget_responses(tables, *received_before, *of_each, *bytes),
            Write::Receive(edu) => inbox::receive(tables, edu)?,
            Write::Acknowledge { through } => inbox::acknowledge(tables, *through),
            Write::ForgetInbox { received_before } => inbox::forget(tables, *received_before),
        }
        Ok(())
    }
}

/// An error for what the writes of a batch say and cannot be.
fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged(what.into())
}

/// An error for a row that cannot stand beside those that are there.
fn refused(what: impl Into<String>) -> StoreError {
    StoreError::Failed(what.into())
}
