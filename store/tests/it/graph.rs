//! Walks through the graph of events, and where it ends.

use std::sync::Arc;

use comity_core::{
    pdu::{Pdu, RoomVersion},
    persistence::{
        queries::{Ancestors, Answer, Read, Write},
        tables::{Position, StoredEvent},
    },
};
use comity_store::Store;
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde_json::json;

use crate::builder::*;

#[test]
fn an_auth_chain_holds_the_events_themselves_and_all_they_rest_on() {
    let mut store = store();
    let create = state_event("m.room.create", "", json!({}));
    let join = resting_on(&[&create], 2);
    let levels = resting_on(&[&create, &join], 3);
    let talk = resting_on(&[&levels, &join], 4);
    let aside = resting_on(&[&create], 5);
    let all = [&create, &join, &levels, &talk, &aside];
    commit(&mut store, all.map(|pdu| write(outlier(pdu))).to_vec());
    let chain = read_ids(&mut store, Read::AuthChain(ids([&talk])));
    assert_eq!(chain, ids([&create, &join, &levels, &talk]));
}

#[test]
fn an_auth_chain_passes_over_what_is_not_held() {
    let mut store = store();
    let missing = state_event("m.room.create", "", json!({}));
    let join = resting_on(&[&missing], 2);
    commit(&mut store, vec![write(outlier(&join))]);
    assert_eq!(
        read_ids(&mut store, Read::AuthChain(ids([&join, &missing]))),
        ids([&join])
    );
}

#[test]
fn auth_descendants_are_the_state_events_that_rest_on_an_event() {
    let mut store = store();
    let missing = state_event("m.room.create", "", json!({}));
    let first = citing("first", &[&missing]);
    let second = citing("second", &[&first]);
    let both = citing("both", &[&first, &second]);
    let aside = citing("aside", &[]);
    let talk = resting_on(&[&second], 4);
    commit(
        &mut store,
        [outlier(&first), in_graph(&second), rejected(&both)]
            .into_iter()
            .chain([outlier(&aside), in_graph(&talk)])
            .map(write)
            .collect(),
    );
    let mut descendants = |of, limit| auth_descendants(&mut store, of, limit);
    assert_eq!(
        descendants(&missing, 9),
        Some(ids([&first, &second, &both]))
    );
    assert_eq!(descendants(&second, 9), Some(ids([&both])));
    assert_eq!(descendants(&both, 0), Some(Vec::new()));
    assert_eq!(descendants(&missing, 2), None);
    assert!(descendants(&missing, 3).is_some());
}

/// Where servers choose the ids of their events, two can authorise each other.
#[test]
fn events_that_rest_on_each_other_are_descendants_once() {
    let mut store = store();
    let version = RoomVersion::V1;
    let room_id: OwnedRoomId = "!ring:ann.example".try_into().unwrap();
    let [one, other] = ["$one:ann.example", "$other:ann.example"];
    let event = |id: &str, auth: &str| {
        let event = json!({
            "event_id": id, "type": "m.room.topic", "state_key": "", "room_id": room_id,
            "sender": "@ann:ann.example", "content": {}, "depth": 1, "origin_server_ts": 1,
            "prev_events": [], "auth_events": [[auth, { "sha256": "" }]], "signatures": {}, "hashes": { "sha256": "" },
        });
        Arc::new(Pdu::from_stored(id.try_into().unwrap(), event.to_string(), version).unwrap())
    };
    let circle = [event(one, other), event(other, one)];
    let mut writes = vec![Write::RoomVersion(room_id.clone(), version)];
    writes.extend(circle.iter().map(|event| write(outlier(event))));
    commit(&mut store, writes);
    let found = auth_descendants(&mut store, &circle[0], 9);
    assert_eq!(sorted(found.unwrap()), ids(&circle));
}

#[test]
fn ancestors_come_deepest_first_and_within_the_limit() {
    let mut store = store();
    let events = chain(6);
    put_in_graph(&mut store, &events);
    let newest = &events[5];
    assert_eq!(
        ancestors(&mut store, &[newest], true, &[], 3),
        backwards(&events[3..])
    );
    assert_eq!(
        ancestors(&mut store, &[newest], false, &[], 3),
        backwards(&events[2..5])
    );
    assert_eq!(
        ancestors(&mut store, &[newest], false, &[&events[2]], 9),
        backwards(&events[3..5])
    );
    assert!(ancestors(&mut store, &[newest], true, &[newest], 9).is_empty());
}

/// What we start from is not an answer, but one start may be the ancestor of another.
#[test]
fn ancestors_are_found_through_events_that_are_left_out() {
    let mut store = store();
    let events = chain(4);
    put_in_graph(&mut store, &events);
    let start = [&events[3], &events[2]];
    assert_eq!(
        ancestors(&mut store, &start, false, &[], 9),
        backwards(&events[..2])
    );
}

/// Lesson 1: both branches of a fork stay, whichever was stored first.
#[test]
fn both_branches_of_a_fork_are_kept_in_either_order() {
    let root = message("root", &[]);
    let (left, right) = (message("left", &[&root]), message("right", &[&root]));
    let merge = message("merge", &[&left, &right]);
    for order in [[&left, &right], [&right, &left]] {
        let mut store = store();
        commit(&mut store, vec![write(in_graph(&root))]);
        commit(&mut store, vec![write(in_graph(order[0]))]);
        commit(&mut store, vec![write(in_graph(order[1]))]);
        commit(&mut store, vec![write(in_graph(&merge))]);
        let found = ancestors(&mut store, &[&merge], true, &[], 9);
        assert_eq!(
            (&found[0], &found[3]),
            (&ids([&merge])[0], &ids([&root])[0])
        );
        assert_eq!(sorted(found[1..3].to_vec()), sorted(ids(order)));
    }
}

#[test]
fn ancestors_pass_by_outliers_rejected_events_and_other_rooms() {
    let mut store = store();
    let elsewhere = pdu(json!({ "room_id": "!dale:bob.example" }));
    let roots = [
        message("outlier", &[]),
        message("rejected", &[]),
        message("good", &[]),
    ];
    let merge = message("merge", &[&roots[0], &roots[1], &roots[2], &elsewhere]);
    let dale = elsewhere.room_id().to_owned();
    commit(
        &mut store,
        vec![
            Write::RoomVersion(dale, RoomVersion::V10),
            write(outlier(&roots[0])),
            write(rejected(&roots[1])),
            write(in_graph(&roots[2])),
            write(in_graph(&elsewhere)),
            write(in_graph(&merge)),
        ],
    );
    assert_eq!(
        ancestors(&mut store, &[&merge], true, &[], 9),
        ids([&merge, &roots[2]])
    );
    assert!(ancestors(&mut store, &[&elsewhere], true, &[], 9).is_empty());
}

#[test]
fn a_walk_of_a_wide_graph_does_no_event_twice() {
    let mut store = store();
    let mut rows = vec![vec![message("root", &[])]];
    for depth in 0..20 {
        let above: Vec<_> = rows.last().unwrap().iter().collect();
        rows.push(
            (0..20)
                .map(|n| message(&format!("{depth} {n}"), &above))
                .collect(),
        );
    }
    let all: Vec<_> = rows.concat();
    put_in_graph(&mut store, &all);
    let top: Vec<_> = rows.last().unwrap().iter().collect();
    assert_eq!(
        ancestors(&mut store, &top, true, &[], 1000).len(),
        all.len()
    );
    assert_eq!(ancestors(&mut store, &top, true, &[], 30).len(), 30);
}

#[test]
fn the_graph_ends_where_a_previous_event_is_not_held() {
    let mut store = store();
    let events = chain(4);
    put_in_graph(&mut store, &events[2..3]);
    assert_eq!(ends(&mut store), [(id(&events[1]), 3)]);
    put_in_graph(&mut store, &events[1..2]);
    assert_eq!(ends(&mut store), [(id(&events[0]), 2)]);
    put_in_graph(&mut store, &events[..1]);
    assert_eq!(ends(&mut store), []);
    put_in_graph(&mut store, &events[3..]);
    assert_eq!(ends(&mut store), []);
}

#[test]
fn an_outlier_leaves_the_graph_open_until_it_is_promoted() {
    let mut store = store();
    let events = chain(2);
    commit(
        &mut store,
        vec![write(outlier(&events[0])), write(in_graph(&events[1]))],
    );
    assert_eq!(ends(&mut store), [(id(&events[0]), 2)]);
    put_in_graph(&mut store, &events[..1]);
    assert_eq!(ends(&mut store), []);
}

#[test]
fn edges_of_an_outlier_count_once_it_is_promoted() {
    let mut store = store();
    let events = chain(2);
    commit(&mut store, vec![write(outlier(&events[1]))]);
    assert_eq!(ends(&mut store), []);
    put_in_graph(&mut store, &events[1..]);
    assert_eq!(ends(&mut store), [(id(&events[0]), 2)]);
}

/// BACKFILL-4: each answer moves the point from which to ask for more.
#[test]
fn history_that_is_shown_moves_the_end_although_it_is_no_part_of_the_graph() {
    let mut store = store();
    let events = chain(4);
    let old = |index: usize| StoredEvent {
        position: Some(Position(-(index as i64))),
        ..outlier(&events[index])
    };
    commit(
        &mut store,
        vec![write(in_graph(&events[3])), write(outlier(&events[1]))],
    );
    commit(&mut store, vec![write(old(2))]);
    assert_eq!(ends(&mut store), [(id(&events[1]), 3)]);
    commit(&mut store, vec![write(old(1))]);
    assert_eq!(ends(&mut store), [(id(&events[0]), 2)]);
    let newest = &events[3];
    assert_eq!(
        ancestors(&mut store, &[newest], true, &[], 9),
        ids([newest])
    );
}

/// A rejected event is not to be fetched again, so it must not be asked for for ever.
#[test]
fn a_rejected_event_is_no_end_of_the_graph() {
    for order in [[0, 1], [1, 0]] {
        let mut store = store();
        let events = chain(2);
        let writes = [write(rejected(&events[0])), write(in_graph(&events[1]))];
        commit(
            &mut store,
            order.map(|index: usize| writes[index].clone()).to_vec(),
        );
        assert_eq!(ends(&mut store), []);
    }
}

/// What could not be verified may be asked for again.
#[test]
fn an_event_that_was_never_verified_is_an_end_of_the_graph() {
    for order in [[0, 1], [1, 0]] {
        let mut store = store();
        let events = chain(2);
        let writes = [write(unverified(&events[0])), write(in_graph(&events[1]))];
        commit(
            &mut store,
            order.map(|index: usize| writes[index].clone()).to_vec(),
        );
        assert_eq!(ends(&mut store), [(id(&events[0]), 2)]);
    }
}

#[test]
fn ends_of_the_graph_carry_the_least_depth_and_come_deepest_first() {
    let mut store = store();
    let (low, high) = (message("low", &[]), message("high", &[]));
    for (prev, depth) in [(&low, 9), (&low, 4), (&low, 6), (&high, 30)] {
        let event = pdu(json!({ "depth": depth, "prev_events": ids([prev]) }));
        put_in_graph(&mut store, &[event]);
    }
    assert_eq!(ends(&mut store), [(id(&high), 30), (id(&low), 4)]);
}

#[test]
fn at_most_twenty_ends_of_the_graph_are_answered() {
    let mut store = store();
    for depth in 1..=30 {
        let missing = message(&depth.to_string(), &[]);
        let event = pdu(json!({ "depth": depth, "prev_events": ids([&missing]) }));
        put_in_graph(&mut store, &[event]);
    }
    let depths: Vec<_> = ends(&mut store)
        .into_iter()
        .map(|(_, depth)| depth)
        .collect();
    assert_eq!(depths, (11..=30).rev().collect::<Vec<_>>());
}

fn resting_on(auth: &[&Arc<Pdu>], depth: u64) -> Arc<Pdu> {
    pdu(json!({ "depth": depth, "auth_events": ids(auth.iter().copied()) }))
}

/// A state event that names these as authorising it.
fn citing(event_type: &str, auth: &[&Arc<Pdu>]) -> Arc<Pdu> {
    let auth_events = ids(auth.iter().copied());
    state_event_with(event_type, json!({ "auth_events": auth_events }))
}

fn put_in_graph(store: &mut Store, pdus: &[Arc<Pdu>]) {
    let stored: Vec<StoredEvent> = pdus.iter().map(in_graph).collect();
    commit(store, stored.into_iter().map(write).collect());
}

fn ancestors(
    store: &mut Store,
    from: &[&Arc<Pdu>],
    include_from: bool,
    stop_at: &[&Arc<Pdu>],
    limit: u32,
) -> Vec<OwnedEventId> {
    let from = ids(from.iter().copied());
    let stop_at = ids(stop_at.iter().copied());
    read_ids(
        store,
        Read::Ancestors(Ancestors {
            room_id: room(),
            from,
            include_from,
            stop_at,
            limit,
        }),
    )
}

fn backwards(pdus: &[Arc<Pdu>]) -> Vec<OwnedEventId> {
    ids(pdus.iter().rev())
}

fn ends(store: &mut Store) -> Vec<(OwnedEventId, u64)> {
    let Answer::BackwardExtremities(ends) = read(store, Read::BackwardExtremities(room())) else {
        panic!("not an answer in backward extremities")
    };
    ends
}

fn id(pdu: &Arc<Pdu>) -> OwnedEventId {
    pdu.event_id().to_owned()
}
