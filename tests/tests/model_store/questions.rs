//! One random question of every kind.

use comity_core::persistence::{
    queries::{Ancestors, Direction, Read},
    tables::{InboxId, Position, SnapshotId},
};
use comity_tests::rooms::Dice;

use crate::{
    events::{Events, room, server, user},
    writes::{SNAPSHOTS, name, time},
};

/// How many kinds of questions there are.
pub const KINDS: usize = 31;

/// More than there are: where positions are taken twice, a limit may cut either way.
const ALL: u32 = 1_000;

pub fn questions(events: &Events, dice: &mut Dice) -> Vec<Read> {
    let mut questions = vec![
        Read::Boot,
        Read::NewestPosition,
        Read::Counts,
        Read::Room(room(dice)),
        Read::CurrentState(room(dice)),
        Read::CurrentStateEvent(room(dice), events.change(dice).key),
        Read::Snapshot(snapshot(dice)),
        Read::SnapshotEvents(snapshot(dice)),
        Read::Outlooks {
            snapshots: vec![snapshot(dice), snapshot(dice)],
            server: server(dice),
        },
        Read::ReceivedTransaction {
            origin: server(dice),
            transaction_id: name(dice).into(),
        },
        Read::ServerKeys(server(dice)),
        Read::PublishedKeys(server(dice)),
        Read::Outgoing {
            destination: server(dice),
            limit: limit(dice),
        },
        Read::OutgoingExcess {
            destination: server(dice),
            depth: limit(dice),
            queued_since: time(dice),
        },
        Read::Inbox {
            after: InboxId(dice.below(50) as u64),
            limit: limit(dice),
        },
        Read::InboxStanding {
            origin: server(dice),
            names: vec![name(dice), name(dice)],
        },
        Read::Once(name(dice)),
        Read::Memberships(user(dice)),
        Read::EventsAfter {
            server: server(dice),
            position: position(dice).unwrap_or_default(),
            limit: ALL,
        },
        Read::RoomsOf {
            server: server(dice),
            limit: limit(dice),
        },
        Read::PeerStream(server(dice)),
    ];
    questions.extend(about_events(events, dice));
    questions
}

fn about_events(events: &Events, dice: &mut Dice) -> Vec<Read> {
    vec![
        Read::Events(events.ids(dice)),
        Read::AuthChain(events.ids(dice)),
        Read::AuthDescendants {
            of: events.ids(dice),
            limit: limit(dice),
        },
        Read::Ancestors(Ancestors {
            room_id: room(dice),
            from: events.ids(dice),
            include_from: dice.once_in(2),
            stop_at: events.ids(dice),
            limit: limit(dice),
        }),
        Read::BackwardExtremities(room(dice)),
        Read::Timeline {
            room_id: room(dice),
            from: position(dice),
            to: position(dice),
            direction: *dice.pick(&[Direction::Forward, Direction::Backward]),
            limit: limit(dice),
        },
        Read::ByTime {
            room_id: room(dice),
            time: time(dice),
            direction: *dice.pick(&[Direction::Forward, Direction::Backward]),
            limit: limit(dice),
        },
        Read::RedactionsOf(events.ids(dice)),
        Read::SetAside {
            room_id: room(dice),
            limit: limit(dice),
        },
        Read::EventIds {
            prefix: (*dice.pick(&["", "$", "$v1-1", "$lost", "$A"])).to_owned(),
            limit: limit(dice),
        },
    ]
}

fn snapshot(dice: &mut Dice) -> SnapshotId {
    SnapshotId(1 + dice.below(SNAPSHOTS) as u64)
}

fn limit(dice: &mut Dice) -> u32 {
    u32::try_from(dice.below(12)).unwrap()
}

fn position(dice: &mut Dice) -> Option<Position> {
    let position = i64::try_from(dice.below(400)).unwrap() - 100;
    (!dice.once_in(3)).then_some(Position(position))
}
