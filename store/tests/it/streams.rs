//! Our stream of events as other servers share it, and where we stand in theirs.

use std::sync::Arc;

use comity_core::{
    pdu::{Pdu, RoomVersion},
    persistence::{
        queries::{Answer, EventsAfter, Read, Write},
        tables::{
            PeerStream, Position, RoomRecord, SnapshotId, StateChange, StoredEvent, StreamCursor,
        },
    },
    time::WallTime,
};
use comity_store::Store;
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde_json::json;

use crate::builder::*;

fn other_room(number: usize) -> OwnedRoomId {
    format!("!{number}:ann.example").try_into().unwrap()
}

/// Writes that make a user of this server a member of a room.
fn join(room_id: &OwnedRoomId, user_id: &str) -> Vec<Write> {
    let content = json!({ "membership": "join" });
    let fields = json!({ "room_id": room_id, "type": "m.room.member", "state_key": user_id,
        "content": content });
    let join = pdu(fields);
    let changes = vec![set(&join)];
    let (room_id, version) = (room_id.clone(), RoomVersion::V10);
    vec![
        Write::RoomVersion(room_id.clone(), version),
        write(in_graph(&join)),
        room_with(room_id, changes),
    ]
}

fn room_with(room_id: OwnedRoomId, changes: Vec<StateChange>) -> Write {
    let record = RoomRecord {
        room_id,
        version: RoomVersion::V10,
        extremities: Vec::new(),
        current: SnapshotId(1),
        least_depth: 0,
    };
    Write::Room { record, changes }
}

fn message_in(room_id: &OwnedRoomId, body: usize) -> Arc<Pdu> {
    pdu(json!({ "room_id": room_id, "content": { "body": body } }))
}

/// A store in which `bob.example` is in `shared` of the rooms and `cal.example` in all of them, and
/// in which every room in turn hears a message at the positions from 1 on.
fn store_with_stream(rooms: usize, shared: usize, messages: usize) -> (Store, Vec<OwnedEventId>) {
    let mut store = store();
    let mut writes = Vec::new();
    for number in 0..rooms {
        writes.extend(join(&other_room(number), "@cal:cal.example"));
        if number < shared {
            writes.extend(join(&other_room(number), "@bob:bob.example"));
        }
    }
    let mut theirs = Vec::new();
    for number in 0..messages {
        let event = message_in(&other_room(number % rooms), number);
        let position = i64::try_from(number).unwrap() + 1;
        writes.push(write(shown(&event, position)));
        if number % rooms < shared {
            theirs.push(event.event_id().to_owned());
        }
    }
    commit(&mut store, writes);
    (store, theirs)
}

fn after(store: &mut Store, name: &str, position: i64, limit: u32) -> EventsAfter {
    let question = Read::EventsAfter {
        server: server(name),
        position: Position(position),
        limit,
    };
    match read(store, question) {
        Answer::EventsAfter(part) => part,
        other => panic!("{other:?}"),
    }
}

/// Everything that a server gets page by page, and how many pages that takes.
fn pages(store: &mut Store, name: &str, limit: u32) -> (Vec<OwnedEventId>, usize) {
    let (mut ids, mut position, mut pages) = (Vec::new(), 0, 0);
    loop {
        let part = after(store, name, position, limit);
        pages += 1;
        ids.extend(
            part.events
                .iter()
                .map(|event| event.pdu.event_id().to_owned()),
        );
        assert!(part.through > Position(position) || part.through == part.newest);
        position = part.through.0;
        if part.through == part.newest {
            return (ids, pages);
        }
    }
}

#[test]
fn a_server_gets_the_events_of_its_rooms_in_the_order_in_which_they_came() {
    let (mut store, theirs) = store_with_stream(5, 2, 40);
    assert_eq!(pages(&mut store, "bob.example", 7), (theirs, 3));
    assert_eq!(pages(&mut store, "cal.example", 100).0.len(), 40);
    assert_eq!(pages(&mut store, "dan.example", 100), (Vec::new(), 1));
}

#[test]
fn a_page_leads_to_its_last_event_or_to_the_end() {
    let (mut store, _) = store_with_stream(5, 2, 40);
    let part = after(&mut store, "bob.example", 6, 3);
    let positions: Vec<_> = part
        .events
        .iter()
        .map(|event| event.position.unwrap().0)
        .collect();
    assert_eq!(positions, [7, 11, 12]);
    assert_eq!((part.through, part.newest), (Position(12), Position(40)));
    let part = after(&mut store, "bob.example", 37, 3);
    assert_eq!((part.events.len(), part.through), (0, Position(40)));
}

#[test]
fn who_shares_very_many_rooms_gets_the_same_in_another_way() {
    let (mut store, theirs) = store_with_stream(600, 550, 3_000);
    assert_eq!(pages(&mut store, "bob.example", 100).0, theirs);
}

/// A page may be empty and yet lead on: somebody else's events are passed over a piece at a time.
#[test]
fn what_others_say_is_passed_over_in_pieces() {
    let (mut store, _) = store_with_stream(600, 550, 600);
    let quiet = room();
    let mut writes = join(&quiet, "@cal:cal.example");
    writes.extend((0..5_000).map(|number| {
        let position = i64::try_from(number).unwrap() + 601;
        write(shown(&message_in(&quiet, number), position))
    }));
    commit(&mut store, writes);
    let part = after(&mut store, "bob.example", 600, 100);
    assert_eq!((part.events.len(), part.through), (0, Position(2_600)));
    assert_eq!(pages(&mut store, "bob.example", 100).0.len(), 550);
}

#[test]
fn what_is_not_shown_or_is_old_is_not_in_the_stream() {
    let (mut store, _) = store_with_stream(1, 1, 1);
    let [old, outlying, bad] = [1, 2, 3].map(|number| message_in(&other_room(0), 100 + number));
    let history = StoredEvent {
        position: Some(Position(-3)),
        ..outlier(&old)
    };
    let writes = vec![
        write(history),
        write(outlier(&outlying)),
        write(rejected(&bad)),
    ];
    commit(&mut store, writes);
    assert_eq!(after(&mut store, "bob.example", -10, 100).events.len(), 1);
}

#[test]
fn who_has_left_a_room_once_took_part_in_it() {
    let (mut store, theirs) = store_with_stream(1, 1, 2);
    let leave = pdu(json!({ "room_id": other_room(0), "type": "m.room.member",
        "state_key": "@bob:bob.example", "content": { "membership": "leave" } }));
    let left = room_with(other_room(0), vec![set(&leave)]);
    commit(&mut store, vec![write(in_graph(&leave)), left]);
    assert_eq!(pages(&mut store, "bob.example", 9).0, theirs);
    let rooms = |name| Read::RoomsOf {
        server: server(name),
        limit: 9,
    };
    let shared = Answer::Rooms(vec![other_room(0)]);
    assert_eq!(read(&mut store, rooms("bob.example")), shared);
    assert_eq!(
        read(&mut store, rooms("dan.example")),
        Answer::Rooms(vec![])
    );
}

#[test]
fn an_invitation_is_no_part_in_a_room() {
    let mut store = store();
    let invite = member("@bob:bob.example", "invite");
    let invited = room_with(room(), vec![set(&invite)]);
    commit(&mut store, vec![write(in_graph(&invite)), invited]);
    assert_eq!(after(&mut store, "bob.example", 0, 9).events, []);
}

#[test]
fn where_we_stand_in_a_stream_is_replaced_and_offered_streams_are_there_at_the_start() {
    let mut store = store();
    let offered = PeerStream {
        server: server("bob.example"),
        asked_at: WallTime(7),
        cursor: Some(StreamCursor {
            pull_after: "p1".to_owned(),
            end: "p2".to_owned(),
            looked_at: WallTime(8),
        }),
    };
    let none = PeerStream {
        server: server("cal.example"),
        asked_at: WallTime(9),
        cursor: None,
    };
    let streams = [&offered, &none].map(|stream| Write::PeerStream(stream.clone()));
    commit(&mut store, streams.into());
    for known in [&offered, &none] {
        let asked = Read::PeerStream(known.server.clone());
        assert_eq!(
            read(&mut store, asked),
            Answer::PeerStream(Some(known.clone()))
        );
    }
    let unknown = Read::PeerStream(server("dan.example"));
    assert_eq!(read(&mut store, unknown), Answer::PeerStream(None));
    let at_start = |store: &mut Store| match read(store, Read::Boot) {
        Answer::Boot(boot) => boot.streams,
        other => panic!("{other:?}"),
    };
    assert_eq!(at_start(&mut store), std::slice::from_ref(&offered));
    let withdrawn = PeerStream {
        cursor: None,
        ..offered
    };
    commit(&mut store, vec![Write::PeerStream(withdrawn)]);
    assert_eq!(at_start(&mut store), []);
}
