//! Events that are held without their history, and what becomes of them when that comes; and events
//! that come more than once, in whatever way.

use std::sync::Arc;

use comity_core::{
    messaging::{command::Preset, notice::Notice},
    pdu::{Pdu, RoomVersion},
    persistence::tables::{StoredEvent, Verdict},
    transport::remote_request::Endpoint,
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, infiltrate, lied_to, list, not_found, signed},
    stage::{Stage, VERSIONS, noticed, room, sent},
};

/// What a server holds of an event.
fn verdict(stage: &mut Stage, event: &Pdu) -> Verdict {
    let held = stage.held("one", &event.event_id().to_owned());
    held.unwrap().verdict.clone()
}

/// After her ban, Eve renames herself, by authority of her old join. What authorises an event is
/// all that an outlier is judged by; the state before it is what tells.
#[test]
fn pdu_17_an_outlier_that_becomes_real_is_judged_anew_and_what_it_authorises_falls_with_it() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let ban = sent(stage.set_member("one", "@eve:liar", "ban"));
        let depth = stage.held("one", &ban).unwrap().pdu.depth();
        let rename = json!({ "membership": "join", "displayname": "Adam" });
        let rename = forger.event("m.room.member", Some("@eve:liar"), rename);
        let late = forger.event_after(
            &[(ban, depth)],
            "m.room.member",
            Some("@eve:liar"),
            json!({ "membership": "join", "displayname": "Abel" }),
        );
        forger.learn(late.clone());
        let message = forger.message("by authority of Abel");
        let chain = list(std::slice::from_ref(&late));
        stage
            .network
            .liar("liar")
            .says(move |target, _| match target.contains("/event_auth/") {
                true => (200, json!({ "auth_chain": chain })),
                false => not_found(),
            });
        forger.push_one(&mut stage.network, &message);
        let outlier = stage.held("one", &late.event_id().to_owned()).unwrap();
        assert!(outlier.is_outlier() && outlier.verdict == Verdict::Accepted);
        assert!(matches!(
            verdict(&mut stage, &message),
            Verdict::SoftFailed(_)
        ));
        forger.push_one(&mut stage.network, &late);
        assert!(verdict(&mut stage, &late).is_rejected());
        let again = forger.message("again by authority of Abel");
        forger.push_one(&mut stage.network, &again);
        assert!(verdict(&mut stage, &again).is_rejected(), "PDU-11");
        forger.push_one(&mut stage.network, &rename);
        assert!(matches!(
            verdict(&mut stage, &rename),
            Verdict::SoftFailed(_)
        ));
        assert_eq!(stage.membership("one", "@eve:liar").as_deref(), Some("ban"));
        assert!(noticed(&mut stage.network, "one").is_empty());
    }
}

/// What is held as an outlier is fetched with its history when something builds on it.
#[test]
fn pdu_17_an_outlier_is_no_previous_event_until_its_history_is_known() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let join = (forger.last.event_id().to_owned(), forger.last.depth());
    let before = forger.message("before");
    forger.last = before.clone();
    let rename = json!({ "membership": "join", "displayname": "Adam" });
    let rename = forger.event("m.room.member", Some("@eve:liar"), rename);
    forger.learn(rename.clone());
    let beside = json!({ "body": "beside" });
    let beside = forger.event_after(&[join], "m.room.message", None, beside);
    forger.last = rename.clone();
    let after = forger.message("after");
    let rename_id = rename.event_id().to_owned();
    let (chain, missing) = (list(std::slice::from_ref(&rename)), list(&[before, rename]));
    stage.network.liar("liar").says(move |target, _| {
        match (
            target.contains("/event_auth/"),
            target.contains("/get_missing_events/"),
        ) {
            (true, _) => (200, json!({ "auth_chain": chain })),
            (_, true) => (200, json!({ "events": missing })),
            _ => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &beside), None);
    assert!(stage.held("one", &rename_id).unwrap().is_outlier());
    assert_eq!(forger.push_one(&mut stage.network, &after), None);
    assert!(!stage.held("one", &rename_id).unwrap().is_outlier());
    assert_eq!(
        noticed(&mut stage.network, "one"),
        ["beside", "before", "after"]
    );
    stage.must_keep_promises("one");
}

/// The same event is pushed twice, is found in a gap, and is pushed by somebody else.
#[test]
fn pdu_17_an_event_that_comes_in_every_way_at_once_is_shown_once() {
    let servers = ["one", "two"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    let line = forger.line(4);
    let known = line.clone();
    stage.network.liar("liar").says(move |target, _| {
        match target.contains("/get_missing_events/") {
            true => (200, json!({ "events": list(&known[..3]) })),
            false => not_found(),
        }
    });
    let texts: Vec<String> = line.iter().map(|event| event.json().to_owned()).collect();
    let (last, all) = (&texts[3..], &texts[..]);
    for texts in [last, all, last, all] {
        for server in servers {
            let (status, _) = forger.push(&mut stage.network, server, texts);
            assert_eq!(status, 200);
        }
    }
    let repeated = [all, all].concat();
    let (status, _) = forger.push(&mut stage.network, "one", &repeated);
    assert_eq!(status, 200);
    stage.say("two", "on");
    stage.network.settle();
    for server in servers {
        let said = noticed(&mut stage.network, server);
        assert_eq!(
            said,
            ["line 0", "line 1", "line 2", "line 3", "on"],
            "{server}"
        );
    }
    stage.must_agree(&servers);
}

/// The same join is handed in again, and pushed as well.
#[test]
fn pdu_17_a_join_that_is_handed_in_twice_and_pushed_is_one_join() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let join = forger.last.clone();
        stage.say("one", "welcome");
        let again = Endpoint::SendJoin(signed(&join, join.json().to_owned()));
        let again = stage.network.ask("liar", "one", again);
        assert_eq!(again.status().as_u16(), 200);
        assert_eq!(forger.push_one(&mut stage.network, &join), None);
        let joins = stage.network.server("one").notices.iter().filter(|notice| {
            matches!(notice, Notice::Event(event) if event.pdu.event_id() == join.event_id())
        });
        assert_eq!(joins.count(), 1, "version {version}");
        assert_eq!(stage.summary("one").extremities.len(), 1);
        stage.must_keep_promises("one");
    }
}

/// A room in which a liar said four things before a second server joined it.
fn joined_after_four() -> (Stage, Forger, Vec<Pdu>) {
    let mut stage = Stage::with(&["one"], room(RoomVersion::V10, Preset::Public));
    let mut forger = infiltrate(&mut stage, RoomVersion::V10);
    let past = forger.line(4);
    for event in &past {
        assert_eq!(forger.push_one(&mut stage.network, event), None);
    }
    stage.network.add_server("two");
    stage.join("two").unwrap();
    stage.network.settle();
    (stage, forger, past)
}

/// An event of the past is shown as such; a fork makes it part of the graph: it stays where it is.
#[test]
fn backfill_4_what_was_shown_of_the_past_is_not_shown_again_when_it_joins_the_graph() {
    let (mut stage, mut forger, past) = joined_after_four();
    assert!(stage.backfill("two", 100) > 4);
    let positions = |stage: &mut Stage| -> Vec<(OwnedEventId, i64)> {
        let timeline = stage.timeline("two").into_iter();
        let position = |event: Arc<StoredEvent>| {
            let position = event.position.unwrap();
            (event.pdu.event_id().to_owned(), position.0)
        };
        timeline.map(position).collect()
    };
    let before = positions(&mut stage);
    let (fork, answers) = fork_into_the_past(&mut stage, &mut forger, &past[2]);
    stage
        .network
        .liar("liar")
        .says(move |target, _| answers(target));
    let (status, _) = forger.push(&mut stage.network, "two", &[fork.json().to_owned()]);
    assert_eq!(status, 200);
    stage.network.settle();
    let held = stage.held("two", &past[2].event_id().to_owned()).unwrap();
    assert!(!held.is_outlier(), "it is part of the graph");
    let after = positions(&mut stage);
    assert_eq!(after[..before.len()], before);
    assert_eq!(noticed(&mut stage.network, "two"), ["both"]);
    stage.must_keep_promises("two");
}

/// What our own join follows was shown as the past before it came by itself: the join still follows
/// it, so that it is no end of the graph.
#[test]
fn backfill_4_what_was_shown_of_the_past_is_no_end_of_the_graph_when_it_joins_that() {
    let (mut stage, mut forger, past) = joined_after_four();
    let ends = stage.summary("two").extremities;
    assert!(stage.backfill("two", 100) > 4);
    let (status, _) = forger.push(&mut stage.network, "two", &[past[3].json().to_owned()]);
    assert_eq!(status, 200);
    stage.network.settle();
    let held = stage.held("two", &past[3].event_id().to_owned()).unwrap();
    assert!(!held.is_outlier(), "it is part of the graph");
    assert_eq!(stage.summary("two").extremities, ends);
    stage.must_keep_promises("two");
}

/// An event on the room's end and on one of the past, and how the liar answers for what lies there:
/// with what server `one` says.
fn fork_into_the_past(
    stage: &mut Stage,
    forger: &mut Forger,
    past: &Pdu,
) -> (Pdu, impl Fn(&str) -> (u16, Value) + use<>) {
    let end = stage.summary("one").extremities[0].clone();
    let end_depth = stage.held("one", &end).unwrap().pdu.depth();
    let both = [(end, end_depth), (past.event_id().to_owned(), past.depth())];
    let fork = forger.event_after(&both, "m.room.message", None, json!({ "body": "both" }));
    let mut known = Vec::new();
    let ids = [
        past.event_id().to_owned(),
        past.prev_events().to_vec()[0].clone(),
    ];
    for event_id in ids {
        let event = body(
            &stage
                .network
                .ask("liar", "one", Endpoint::Event(event_id.clone())),
        );
        let room_id = stage.room_id.clone();
        let state = Endpoint::StateIds(room_id, event_id.clone());
        let state = body(&stage.network.ask("liar", "one", state));
        known.push((event_id.as_str().replace('$', "%24"), event, state));
    }
    let answer = move |target: &str| {
        let found = known.iter().find(|(id, ..)| target.ends_with(id.as_str()));
        match found {
            Some((_, event, _)) if target.contains("/event/") => (200, event.clone()),
            Some((_, _, state)) if target.contains("/state_ids/") => (200, state.clone()),
            _ => not_found(),
        }
    };
    (fork, answer)
}

/// What a liar gives as history must lead to what we asked for.
#[test]
fn backfill_4_what_does_not_precede_our_history_is_not_taken_for_it() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::V10, Preset::Public));
    let forger = infiltrate(&mut stage, RoomVersion::V10);
    stage.network.add_server("two");
    stage.say("one", "true past");
    stage.join("two").unwrap();
    stage.network.settle();
    let invented = forger.message("never said then");
    let answer = list(std::slice::from_ref(&invented));
    stage
        .network
        .liar("liar")
        .says(move |target, _| match target.contains("/backfill/") {
            true => (
                200,
                json!({ "origin": "liar", "origin_server_ts": 1, "pdus": answer }),
            ),
            false => not_found(),
        });
    for _ in 0..3 {
        stage.backfill("two", 5);
    }
    assert_eq!(stage.said("two"), ["true past"]);
    assert_eq!(stage.held("two", &invented.event_id().to_owned()), None);
    let asked = &stage.network.liar("liar").asked;
    assert_ne!(asked.get("backfill"), None, "it was asked first");
    let notices = &stage.network.server("two").notices;
    let past =
        |notice: &Notice| matches!(notice, Notice::Event(event) if event.pdu.origin() != "two");
    assert!(!notices.iter().any(past), "the past is no news");
}
