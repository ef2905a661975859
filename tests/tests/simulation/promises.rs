//! What every run must have kept when all is quiet, as its servers' stores and notices show it.

use std::{collections::BTreeSet, sync::Arc};

use comity_core::{
    messaging::{
        command::{Command, Reply, RoomSummary},
        notice::Notice,
    },
    persistence::{
        queries::{Answer, Direction, Read},
        tables::StoredEvent,
    },
};
use comity_tests::simulation::Network;
use ruma_common::{OwnedEventId, OwnedRoomId};

/// What a server answers to a question for events.
pub fn events(network: &mut Network, server: &str, read: Read) -> Vec<Arc<StoredEvent>> {
    match network.server(server).read(read) {
        Answer::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

/// All that a server shows of a room, in order.
pub fn timeline(
    network: &mut Network,
    server: &str,
    room_id: &OwnedRoomId,
) -> Vec<Arc<StoredEvent>> {
    let read = Read::Timeline {
        room_id: room_id.clone(),
        from: None,
        to: None,
        direction: Direction::Forward,
        limit: 100_000,
    };
    events(network, server, read)
}

/// How a room stands on a server, if it is in it.
pub fn summary(network: &mut Network, server: &str, room_id: &OwnedRoomId) -> Option<RoomSummary> {
    match network.run(server, Command::RoomSummary(room_id.clone())) {
        Ok(Reply::RoomSummary(summary)) => Some(summary),
        _ => None,
    }
}

/// No event was noticed twice, or before one that it builds on; but what was said before a
/// server's join may reach it after.
pub fn check_notices(network: &mut Network, server: &str) {
    let notices = &network.server(server).notices;
    let noticed: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Event(event) => Some(event),
            _ => None,
        })
        .collect();
    let all: BTreeSet<_> = noticed.iter().map(|event| event.pdu.event_id()).collect();
    let mut before = BTreeSet::new();
    for event in noticed {
        for previous in event.pdu.prev_events() {
            let own_join = event.pdu.membership() == Some("join") && event.pdu.origin() == server;
            let in_order = own_join || !all.contains(previous) || before.contains(previous);
            assert!(in_order, "{server} noticed {event:?} before {previous}");
        }
        let is_new = before.insert(event.pdu.event_id());
        assert!(is_new, "{server} noticed {event:?} twice");
    }
}

/// What a server said while a user of the other, who knew of it and never left since, was in the
/// room, the other holds and did not reject.
pub fn check_heard(network: &mut Network, room_id: &OwnedRoomId, speaker: &str, listener: &str) {
    let members = events(network, listener, Read::CurrentState(room_id.clone()));
    let members: BTreeSet<OwnedEventId> = members
        .iter()
        .filter(|event| event.pdu.membership() == Some("join") && event.pdu.origin() == listener)
        .filter(|event| !event.is_outlier())
        .map(|event| event.pdu.event_id().to_owned())
        .collect();
    for event in timeline(network, speaker, room_id) {
        let Some(state) = event.state.filter(|_| event.pdu.origin() == speaker) else {
            continue;
        };
        let before = events(network, speaker, Read::SnapshotEvents(state.before));
        if before
            .iter()
            .all(|event| !members.contains(event.pdu.event_id()))
        {
            continue;
        }
        let event_id = event.pdu.event_id().to_owned();
        let held = events(network, listener, Read::Events(vec![event_id.clone()])).pop();
        let Some(held) = held else {
            panic!(
                "{listener} never heard {event_id} of {speaker}: {}",
                event.pdu.json()
            );
        };
        assert!(!held.verdict.is_rejected(), "{listener} rejected {held:?}");
        assert!(
            !held.is_outlier(),
            "{listener} holds {held:?} as an outlier"
        );
    }
}
