//! A room that a liar made: who joins it takes in only what is genuine, or nothing.

use comity_core::{
    messaging::command::Preset,
    pdu::{
        Pdu, RoomVersion, canonical_json::Object, event_text::EventText, format::NamedMax, hash,
        redaction::signed_text, unpadded_base64,
    },
};
use comity_tests::simulation::Liar;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, list, not_found},
    stage::{Stage, VERSIONS, room},
};

/// Lets server `two` join a room of the liar's, who answers `send_join` with this.
fn join_the_trap(
    version: RoomVersion,
    answer: impl Fn(&Forger) -> Value + 'static,
) -> (Stage, Forger, Result<(), String>) {
    let (mut stage, forger) = with_a_trap(version);
    let joined = spring(&mut stage, &forger, answer);
    (stage, forger, joined)
}

/// A room of the liar's that nobody else has joined.
fn with_a_trap(version: RoomVersion) -> (Stage, Forger) {
    let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
    stage.network.add_liar(Liar::new("liar"));
    let own = stage.network.liar("liar").own.clone();
    let forger = Forger::with_a_room(own, version);
    stage.room_id = forger.room_id.clone();
    (stage, forger)
}

/// Lets server `two` join it.
fn spring(
    stage: &mut Stage,
    forger: &Forger,
    answer: impl Fn(&Forger) -> Value + 'static,
) -> Result<(), String> {
    let trap = forger.clone();
    stage.network.liar("liar").says(move |target, _| {
        if target.contains("/make_join/") {
            let mut event = trap
                .event("m.room.member", Some("@bob:two"), json!({}))
                .object();
            event.insert("sender".to_owned(), json!("@bob:two"));
            event.insert("content".to_owned(), json!({ "membership": "join" }));
            let auth: Vec<Value> = ["m.room.create", "m.room.join_rules"]
                .into_iter()
                .filter(|kind| *kind != "m.room.create" || trap.version != RoomVersion::V12)
                .map(|kind| trap.name_of(trap.state.get(kind, "").unwrap()))
                .collect();
            event.insert("auth_events".to_owned(), json!(auth));
            let version = trap.version.as_str();
            return (200, json!({ "room_version": version, "event": event }));
        }
        match target.contains("/send_join/") {
            true => (200, answer(&trap)),
            false => not_found(),
        }
    });
    let joined = stage.join_via("two", &["liar"]);
    stage.network.settle();
    stage.must_keep_promises("two");
    joined.map(drop).map_err(|error| error.to_string())
}

/// A message of Eve's that names more previous events than an event of today may.
fn wide(forger: &Forger) -> Pdu {
    let (version, own) = (forger.version, &forger.own);
    let mut object = forger.message("of old").object();
    let last = object["prev_events"][0].clone();
    let unknown = (0..30).map(|number| {
        let id = format!("${number}{}", &forger.last.event_id().as_str()[3..]);
        json!(id)
    });
    object["prev_events"] = std::iter::once(last).chain(unknown).collect();
    object.insert("hashes".to_owned(), json!({ "sha256": "" }));
    object.insert("signatures".to_owned(), json!({}));
    let text = |object: &Object| {
        let json = Value::Object(object.clone()).to_string();
        EventText::parse(json.as_bytes(), version, NamedMax::ANY).unwrap()
    };
    let hash = unpadded_base64::encode(&hash::content_hash(&text(&object)));
    object.insert("hashes".to_owned(), json!({ "sha256": hash }));
    let signature = own
        .signing_key()
        .sign(signed_text(&text(&object), version).as_bytes());
    let (name, key_id) = (own.server_name().as_str(), own.signing_key().key_id());
    object.insert(
        "signatures".to_owned(),
        json!({ name: { key_id: signature } }),
    );
    Pdu::parse_history(Value::Object(object).to_string(), version).unwrap()
}

/// BACKFILL-2: where it is history it is taken in, and nowhere else.
#[test]
fn backfill_2_an_event_of_old_may_name_more_events_than_one_of_today() {
    let (mut stage, mut forger) = with_a_trap(RoomVersion::V10);
    let wide = wide(&forger);
    let before = std::mem::replace(&mut forger.last, wide.clone());
    spring(&mut stage, &forger, room_of).unwrap();
    let answer = list(&[wide.clone(), before]);
    stage.network.liar("liar").says(move |target, _| {
        let name = match () {
            () if target.contains("/get_missing_events/") => "events",
            () if target.contains("/backfill/") => "pdus",
            () => return not_found(),
        };
        (
            200,
            json!({ "origin": "liar", "origin_server_ts": 1, name: answer }),
        )
    });
    let id = wide.event_id().to_owned();
    let (status, answer) = forger.push(&mut stage.network, "two", &[wide.json().to_owned()]);
    assert_eq!(status, 200);
    assert_eq!(answer["pdus"], json!({}), "it is no event (TXN-9)");
    let fork = forger.message("on top of it");
    forger.push(&mut stage.network, "two", &[fork.json().to_owned()]);
    stage.pass_seconds(600);
    assert_eq!(stage.held("two", &id), None, "it fills no gap");
    assert!(stage.backfill("two", 100) > 0);
    stage.network.crash("two");
    stage.network.start("two");
    assert_eq!(stage.said("two")[0], "of old");
    let held = stage.held("two", &id).unwrap();
    assert_eq!(held.pdu.prev_events().iter().count(), 31);
}

fn room_of(forger: &Forger) -> Value {
    json!({ "state": list(&forger.events), "auth_chain": list(&forger.events) })
}

#[test]
fn join_6_a_room_without_a_create_event_is_no_room() {
    for version in VERSIONS {
        let (mut stage, _, joined) = join_the_trap(
            version,
            |forger| json!({ "state": list(&forger.events[1..]), "auth_chain": list(&forger.events) }),
        );
        assert!(joined.unwrap_err().contains("create"));
        assert_eq!(stage.own_membership("two"), None);
    }
}

/// PDU-19.
#[test]
fn join_6_what_is_forged_or_of_another_room_is_left_out_and_the_join_goes_on() {
    for version in VERSIONS {
        let (mut stage, _, joined) = join_the_trap(version, |forger| {
            let mut room = room_of(forger);
            let mut forged = Value::Object(forger.message("x").object());
            forged["type"] = json!("m.room.topic");
            forged["state_key"] = json!("");
            let mut elsewhere = forged.clone();
            elsewhere["room_id"] = json!("!elsewhere:liar");
            for event in [forged, elsewhere, json!({}), json!(null)] {
                room["state"].as_array_mut().unwrap().push(event);
            }
            room
        });
        joined.unwrap();
        assert_eq!(
            stage.membership("two", "@eve:liar").as_deref(),
            Some("join")
        );
        assert_eq!(stage.state("two", "m.room.topic", ""), None);
    }
}

#[test]
fn join_6_an_answer_that_is_none_fails_the_join() {
    for answer in [
        json!(null),
        json!({}),
        json!({ "state": [], "auth_chain": [] }),
    ] {
        let (_, _, joined) = join_the_trap(RoomVersion::DEFAULT, move |_| answer.clone());
        joined.unwrap_err();
    }
}

#[test]
fn a_second_create_event_changes_nothing() {
    for version in [RoomVersion::V10, RoomVersion::V11] {
        let (mut stage, mut forger, joined) = join_the_trap(version, room_of);
        joined.unwrap();
        let before = stage.summary("two");
        let own = forger.own.clone();
        let second =
            {
                let mut object = forger.events[0].object();
                object.insert("content".to_owned(), json!({
                "room_version": version.as_str(), "creator": "@eve:liar", "m.federate": false
            }));
                comity_core::pdu::build::complete_template(
                    object,
                    2,
                    version,
                    own.server_name(),
                    own.signing_key(),
                )
                .unwrap()
            };
        let (_, answer) = forger.push(&mut stage.network, "two", &[second.json().to_owned()]);
        assert!(
            answer["pdus"][second.event_id().as_str()]["error"].is_string(),
            "{answer}"
        );
        assert_eq!(stage.summary("two"), before);
    }
}
