//! Rooms, and our own users in them.

use std::sync::Arc;

use comity_core::{
    pdu::{Pdu, RoomVersion, StateKey},
    persistence::{
        queries::{Answer, LoadedRoom, Read, StoreError, Write},
        tables::{
            LocalMembership, Position, RoomRecord, SnapshotId, StateChange, StateEntry, StoredEvent,
        },
    },
};
use comity_store::Store;
use ruma_common::OwnedUserId;
use serde_json::json;

use crate::builder::*;

#[test]
fn a_room_comes_back_with_its_state() {
    let mut store = store();
    let (ann, bob) = (
        member("@ann:a.example", "join"),
        member("@bob:b.example", "invite"),
    );
    let cal = member("@cal:c.example", "join");
    let topic = state_event("m.room.topic", "", json!({ "membership": "join" }));
    let deep = pdu(json!({ "depth": 7 }));
    let state = [&ann, &bob, &cal, &topic];
    commit(
        &mut store,
        [&deep, &cal].map(|pdu| write(in_graph(pdu))).to_vec(),
    );
    commit(
        &mut store,
        [&ann, &bob, &topic].map(|pdu| write(outlier(pdu))).to_vec(),
    );
    let record = record(&[&deep, &topic], 5);
    let changes = state.map(set).to_vec();
    commit(
        &mut store,
        vec![Write::Room {
            record: record.clone(),
            changes,
        }],
    );
    let entry = |pdu| StateEntry {
        key: key_of(pdu),
        event_id: pdu.event_id().to_owned(),
    };
    let expected = LoadedRoom {
        record,
        state: state.map(entry).to_vec(),
        joined: vec![user("@ann:a.example"), user("@cal:c.example")],
    };
    assert_eq!(load(&mut store), Some(expected));
}

#[test]
fn current_state_follows_its_changes() {
    let mut store = store();
    let (join, leave) = (
        member("@ann:a.example", "join"),
        member("@ann:a.example", "leave"),
    );
    let topic = state_event("m.room.topic", "", json!({}));
    commit(
        &mut store,
        [&join, &leave, &topic]
            .map(|pdu| write(in_graph(pdu)))
            .to_vec(),
    );
    change(&mut store, vec![set(&join), set(&topic)]);
    assert_eq!(load(&mut store).unwrap().joined, [user("@ann:a.example")]);
    change(
        &mut store,
        vec![
            set(&leave),
            StateChange {
                key: key_of(&topic),
                event_id: None,
            },
        ],
    );
    let room = load(&mut store).unwrap();
    assert!(room.joined.is_empty());
    assert_eq!(room.state.len(), 1);
    assert_eq!(
        read_ids(&mut store, Read::CurrentState(crate::builder::room())),
        ids([&leave])
    );
}

/// [`StoredEvent::counts`].
#[test]
fn what_could_not_be_verified_is_no_current_state_but_for_a_users_own_membership() {
    let mut store = store();
    let own = member("@ann:ann.example", "join");
    let others = member("@bob:b.example", "join");
    let topic = state_event("m.room.topic", "", json!({}));
    let state = [&own, &others, &topic];
    commit(&mut store, state.map(|pdu| write(unverified(pdu))).to_vec());
    change(&mut store, state.map(set).to_vec());
    let loaded = load(&mut store).unwrap();
    assert_eq!(loaded.joined, [user(own.sender().as_str())]);
    assert_eq!(loaded.state.len(), 3);
    let current = Read::CurrentState(crate::builder::room());
    assert_eq!(read_ids(&mut store, current), ids([&own]));
    for (event, count) in [(&own, 1), (&others, 0), (&topic, 0)] {
        let entry = Read::CurrentStateEvent(crate::builder::room(), key_of(event));
        assert_eq!(read_ids(&mut store, entry).len(), count);
    }
}

#[test]
fn extremities_are_replaced_and_keep_their_order() {
    let mut store = store();
    let events = chain(3);
    for ends in [
        vec![&events[2], &events[0]],
        vec![&events[1], &events[2]],
        vec![],
    ] {
        let record = record(&ends, 1);
        commit(
            &mut store,
            vec![Write::Room {
                record: record.clone(),
                changes: vec![],
            }],
        );
        assert_eq!(load(&mut store).unwrap().record, record);
    }
}

#[test]
fn one_entry_of_the_current_state_is_found_by_its_key() {
    let mut store = store();
    let (ann, bob) = (
        member("@ann:a.example", "join"),
        member("@bob:b.example", "join"),
    );
    commit(
        &mut store,
        [&ann, &bob].map(|pdu| write(in_graph(pdu))).to_vec(),
    );
    change(&mut store, vec![set(&ann), set(&bob)]);
    let entry = |key| Read::CurrentStateEvent(room(), key);
    assert_eq!(read_ids(&mut store, entry(key_of(&bob))), ids([&bob]));
    assert!(read_ids(&mut store, entry(StateKey::new("m.room.topic", ""))).is_empty());
}

#[test]
fn current_state_can_only_hold_events_that_are_stored() {
    let mut store = store();
    let changes = vec![set(&member("@ann:a.example", "join"))];
    let error = refused(
        &mut store,
        vec![Write::Room {
            record: record(&[], 1),
            changes,
        }],
    );
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(load(&mut store), None);
}

#[test]
fn we_take_no_part_in_a_room_of_which_only_the_version_is_known() {
    let mut store = store();
    assert_eq!(load(&mut store), None);
}

#[test]
fn the_version_of_a_room_is_settled_when_we_take_part() {
    let mut store = store();
    let version = |version| vec![Write::RoomVersion(room(), version)];
    commit(&mut store, version(RoomVersion::V11));
    commit(
        &mut store,
        vec![Write::Room {
            record: RoomRecord {
                version: RoomVersion::V11,
                ..record(&[], 1)
            },
            changes: vec![],
        }],
    );
    commit(&mut store, version(RoomVersion::V10));
    assert_eq!(load(&mut store).unwrap().record.version, RoomVersion::V11);
}

#[test]
fn a_membership_comes_back_with_its_event_and_is_replaced() {
    let mut store = store();
    let invite = LocalMembership {
        stripped_state: vec![json!({ "type": "m.room.name", "content": { "name": "Hill" } })],
        ..membership("invite", 4)
    };
    commit(&mut store, vec![Write::Membership(invite.clone())]);
    assert_eq!(memberships(&mut store), [invite]);
    let join = membership("join", 6);
    commit(&mut store, vec![Write::Membership(join.clone())]);
    assert_eq!(memberships(&mut store), [join]);
    assert_eq!(
        read(&mut store, Read::NewestPosition),
        Answer::Position(Position(6))
    );
}

#[test]
fn a_membership_shows_the_row_that_its_event_has_by_now() {
    let mut store = store();
    let invite = membership("invite", 4);
    let pdu = invite.event.pdu.clone();
    commit(
        &mut store,
        vec![Write::Membership(invite.clone()), write(shown(&pdu, 4))],
    );
    let event = Arc::new(shown(&pdu, 4));
    assert_eq!(
        memberships(&mut store),
        [LocalMembership { event, ..invite }]
    );
}

fn record(extremities: &[&Arc<Pdu>], current: u64) -> RoomRecord {
    RoomRecord {
        room_id: room(),
        version: RoomVersion::V10,
        extremities: ids(extremities.iter().copied()),
        current: SnapshotId(current),
        least_depth: 3,
    }
}

fn change(store: &mut Store, changes: Vec<StateChange>) {
    commit(
        store,
        vec![Write::Room {
            record: record(&[], 1),
            changes,
        }],
    );
}

fn load(store: &mut Store) -> Option<LoadedRoom> {
    let Answer::Room(loaded) = read(store, Read::Room(room())) else {
        panic!("not an answer with a room")
    };
    loaded.map(|room| *room)
}

fn membership(membership: &str, position: i64) -> LocalMembership {
    let event: StoredEvent = outlier(&member("@ann:ann.example", membership));
    LocalMembership {
        user_id: user("@ann:ann.example"),
        room_id: room(),
        membership: membership.to_owned(),
        event: Arc::new(event),
        position: Position(position),
        stripped_state: vec![],
    }
}

fn memberships(store: &mut Store) -> Vec<LocalMembership> {
    let Answer::Memberships(found) = read(store, Read::Memberships(user("@ann:ann.example")))
    else {
        panic!("not an answer in memberships")
    };
    found
}

fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}
