//! One random write.

use std::{collections::BTreeSet, sync::Arc};

use comity_core::{
    persistence::{
        queries::Write,
        tables::{
            AUDIENCES_NAMED, AudienceId, BegunTransaction, InboxId, InboxRecord, JoinRecord,
            LocalMembership, PeerStream, Position, PublishedKeysRecord, Queued, RoomRecord,
            ServerKeyRecord, SnapshotId, SnapshotRecord, Stage, StagedEvent, StateChange,
            StoredEvent, StreamCursor, TakenRecord,
        },
    },
    time::WallTime,
};
use comity_tests::rooms::Dice;
use serde_json::json;

use crate::events::{Events, ROOMS, server, user};

/// The largest id of a snapshot.
pub const SNAPSHOTS: usize = 100;

pub fn write(events: &Events, dice: &mut Dice) -> Write {
    match dice.below(62) {
        0..15 => Write::Event(events.stored(dice)),
        15..17 => version(dice.below(3)),
        17..19 => redact(events, dice),
        19..22 => Write::Snapshot(snapshot(events, dice)),
        22..25 => room(events, dice),
        25..27 => Write::Membership(membership(events, dice)),
        27..29 => Write::ServerKeys(vec![key(dice), key(dice)]),
        29..31 => Write::ReceivedTransaction {
            origin: server(dice),
            transaction_id: name(dice).into(),
            response: name(dice).into_bytes(),
            received_at: time(dice),
        },
        31 => Write::ForgetTransactions {
            received_before: WallTime(dice.below(10) as u64),
            of_each: dice.below(5) as u64,
            bytes: dice.below(100) as u64,
        },
        32 => audience(dice),
        33..37 => enqueue(events, dice),
        37 => Write::TransactionBegun {
            destination: server(dice),
            transaction: BegunTransaction {
                transaction_id: name(dice),
                through: dice.below(100) as u64,
                begun_at: time(dice),
            },
        },
        38 => Write::TransactionDelivered {
            destination: server(dice),
            through: dice.below(100) as u64,
        },
        39 => Write::DestinationFailed {
            destination: server(dice),
            failures: u32::try_from(dice.below(9)).unwrap(),
            retry_at: time(dice),
        },
        40 => Write::GiveUp {
            destination: server(dice),
            events_through: dice.below(100) as u64,
            edus_through: dice.below(100) as u64,
        },
        41..43 => Write::ForgetSent {
            limit: u32::try_from(dice.below(50)).unwrap(),
        },
        43..45 => Write::Once {
            key: name(dice),
            event_id: events.id(dice),
        },
        45..48 => Write::Stage(staged(events, dice)),
        48..52 => Write::Receive(edu(dice)),
        52 => Write::Acknowledge {
            through: InboxId(dice.below(100) as u64),
        },
        53 => Write::ForgetInbox {
            received_before: WallTime(dice.below(100) as u64),
        },
        54..56 => Write::PeerStream(stream(dice)),
        56..58 => Write::Join(join(events, dice)),
        58 => Write::JoinEnded(ROOMS[dice.below(ROOMS.len())].0.try_into().unwrap()),
        59 => Write::PublishedKeys(published(dice)),
        _ => Write::Unstage {
            event_id: events.id(dice),
            from: server(dice),
        },
    }
}

/// Few enough that something is queued for each, and now and then far more.
fn audience(dice: &mut Dice) -> Write {
    let far = dice.once_in(9) as u64 * AUDIENCES_NAMED;
    let servers: BTreeSet<_> = (0..1 + dice.below(3)).map(|_| server(dice)).collect();
    Write::Audience {
        id: AudienceId(far + dice.below(9) as u64),
        servers: servers.into_iter().collect(),
    }
}

fn enqueue(events: &Events, dice: &mut Dice) -> Write {
    Write::Enqueue {
        sequence: dice.below(200) as u64,
        audience: AudienceId(dice.below(9) as u64),
        queued_at: time(dice),
        queued: match dice.once_in(3) {
            true => Queued::Edu(format!("\"{}\"", name(dice)).into()),
            false => Queued::Event(events.id(dice)),
        },
    }
}

/// A few names, so that the same one comes again.
pub fn name(dice: &mut Dice) -> String {
    format!("name{}", dice.below(6))
}

/// Now and then later than a database can say.
pub fn time(dice: &mut Dice) -> WallTime {
    match dice.once_in(20) {
        true => WallTime(u64::MAX),
        false => WallTime(dice.below(100) as u64),
    }
}

/// Says which version one of the first rooms has.
pub fn version(room: usize) -> Write {
    let (room_id, version) = ROOMS[room];
    Write::RoomVersion(room_id.try_into().unwrap(), version)
}

fn redact(events: &Events, dice: &mut Dice) -> Write {
    let redacted = Arc::new(StoredEvent {
        pdu: Arc::new(events.pick(dice).redacted()),
        redacted_because: Some(events.id(dice)),
        ..StoredEvent::clone(&events.stored(dice))
    });
    Write::Redact { redacted }
}

/// Hardly more than one: all must be of events that are held.
fn changes(events: &Events, dice: &mut Dice) -> Vec<StateChange> {
    (0..dice.below(3)).map(|_| events.change(dice)).collect()
}

fn snapshot(events: &Events, dice: &mut Dice) -> SnapshotRecord {
    let id = 1 + dice.below(SNAPSHOTS);
    let changes = (0..dice.below(8)).map(|_| events.change(dice)).collect();
    SnapshotRecord {
        id: SnapshotId(id as u64),
        parent: (!dice.once_in(3)).then(|| SnapshotId(dice.below(id) as u64)),
        changes,
    }
}

fn room(events: &Events, dice: &mut Dice) -> Write {
    let (room_id, version) = ROOMS[dice.below(ROOMS.len() - 1)];
    let record = RoomRecord {
        room_id: room_id.try_into().unwrap(),
        version,
        extremities: events.ids(dice),
        current: SnapshotId(dice.below(20) as u64),
        least_depth: dice.below(20) as u64,
    };
    let changes = changes(events, dice);
    Write::Room { record, changes }
}

fn membership(events: &Events, dice: &mut Dice) -> LocalMembership {
    let event = events.stored(dice);
    LocalMembership {
        user_id: user(dice),
        room_id: event.pdu.room_id().to_owned(),
        membership: name(dice),
        event,
        position: Position(i64::try_from(dice.below(500)).unwrap()),
        stripped_state: vec![json!({ "type": name(dice) })],
    }
}

fn edu(dice: &mut Dice) -> InboxRecord {
    let content = json!({ "text": name(dice) });
    InboxRecord {
        id: InboxId(dice.below(100) as u64),
        origin: server(dice),
        edu_type: name(dice),
        content: content.as_object().unwrap().clone(),
        name: (!dice.once_in(3)).then(|| name(dice)),
        received_at: time(dice),
    }
}

fn staged(events: &Events, dice: &mut Dice) -> StagedEvent {
    StagedEvent {
        event: events.pick(dice).clone(),
        from: server(dice),
        stage: *dice.pick(&[Stage::Received, Stage::Verified]),
        received_at: time(dice),
    }
}

fn join(events: &Events, dice: &mut Dice) -> JoinRecord {
    let content = json!({ "displayname": name(dice) });
    JoinRecord {
        event: events.pick(dice).clone(),
        server: server(dice),
        others: (0..dice.below(3)).map(|_| server(dice)).collect(),
        content: content.as_object().unwrap().clone(),
        starts: u32::try_from(dice.below(4)).unwrap(),
        taken: dice.once_in(2).then(|| TakenRecord {
            servers: (0..dice.below(3)).map(|_| server(dice)).collect(),
            at: time(dice),
        }),
    }
}

fn stream(dice: &mut Dice) -> PeerStream {
    let cursor = StreamCursor {
        pull_after: name(dice),
        end: name(dice),
        looked_at: time(dice),
    };
    PeerStream {
        server: server(dice),
        asked_at: time(dice),
        cursor: (!dice.once_in(3)).then_some(cursor),
    }
}

fn published(dice: &mut Dice) -> PublishedKeysRecord {
    PublishedKeysRecord {
        server: server(dice),
        json: format!("\"{}\"", name(dice)),
        fetched: time(dice),
        valid_until: time(dice),
    }
}

fn key(dice: &mut Dice) -> ServerKeyRecord {
    let public = u8::try_from(dice.below(3)).unwrap();
    ServerKeyRecord {
        server: server(dice),
        key_id: format!("ed25519:{}", dice.below(2)).try_into().unwrap(),
        public: [public; 32],
        valid_until: time(dice),
        retired: dice.once_in(3),
    }
}
