//! Room versions 1 and 2, where a server chooses the ids of its events: what a liar can do with
//! that.

use comity_core::{pdu::RoomVersion, transport::remote_request::Endpoint};
use ruma_common::OwnedEventId;
use serde_json::json;

use crate::{
    forger::{lied_to, refused, signed},
    stage::noticed,
};

const CHOSEN: [RoomVersion; 2] = [RoomVersion::V1, RoomVersion::V2];

/// PDU-34
#[test]
fn pdu_34_of_two_events_with_one_id_the_first_stays() {
    for version in CHOSEN {
        let (mut stage, mut forger) = lied_to(version);
        let first = forger.message("first");
        let second = forger.renamed(&forger.message("second"), first.event_id().as_str());
        assert_eq!(forger.push_one(&mut stage.network, &first), None);
        assert_eq!(forger.push_one(&mut stage.network, &second), None);
        let held = stage.held("one", &first.event_id().to_owned()).unwrap();
        assert_eq!(*held.pdu, first);
        assert_eq!(noticed(&mut stage.network, "one"), ["first"]);
    }
}

/// Who hands in a join under the id of an event that the room has learns nothing of the room.
#[test]
fn pdu_34_a_join_under_a_known_id_is_refused() {
    for version in CHOSEN {
        let (mut stage, mut forger) = lied_to(version);
        let said = forger.message("mine");
        assert_eq!(forger.push_one(&mut stage.network, &said), None);
        let join = forger.event(
            "m.room.member",
            Some("@eve:liar"),
            json!({ "membership": "join" }),
        );
        let join = forger.renamed(&join, said.event_id().as_str());
        let endpoint = Endpoint::SendJoin(signed(&join, join.json().to_owned()));
        let answer = stage.network.ask("liar", "one", endpoint);
        assert_eq!(answer.status(), 400, "{answer:?}");
    }
}

/// Two events that name each other as the one before hold nothing up.
#[test]
fn events_that_build_on_each_other_are_dropped() {
    for version in CHOSEN {
        let (mut stage, mut forger) = lied_to(version);
        let ids = ["$ring:liar", "$snake:liar"].map(|id| OwnedEventId::try_from(id).unwrap());
        let after = |id: &OwnedEventId, as_id: &OwnedEventId| {
            let event = forger.event_after(
                &[(id.clone(), 20)],
                "m.room.message",
                None,
                json!({ "body": "round and round" }),
            );
            forger.renamed(&event, as_id.as_str())
        };
        let circle = [after(&ids[1], &ids[0]), after(&ids[0], &ids[1])];
        let texts = circle.map(|event| event.json().to_owned());
        let (status, answer) = forger.push(&mut stage.network, "one", &texts);
        assert_eq!(status, 200);
        stage.network.settle();
        for id in &ids {
            let at_once = answer["pdus"][id.as_str()]["error"].is_string();
            assert!(at_once || refused(&mut stage.network, "one", id).is_some());
            assert_eq!(stage.held("one", id), None);
        }
        let next = forger.message("and on");
        assert_eq!(forger.push_one(&mut stage.network, &next), None);
        assert_eq!(noticed(&mut stage.network, "one"), ["and on"]);
    }
}

/// A redaction of the event that is to come after it, likewise.
#[test]
fn a_redaction_of_what_builds_on_it_holds_nothing_up() {
    for version in CHOSEN {
        let (mut stage, mut forger) = lied_to(version);
        let target: OwnedEventId = "$tail:liar".try_into().unwrap();
        let redaction = forger.redaction(&target);
        let id = redaction.event_id().to_owned();
        let event = forger.event_after(
            &[(id, redaction.depth())],
            "m.room.message",
            None,
            json!({ "body": "ahead of my time" }),
        );
        let event = forger.renamed(&event, target.as_str());
        let texts = [redaction, event].map(|event| event.json().to_owned());
        let (status, _) = forger.push(&mut stage.network, "one", &texts);
        assert_eq!(status, 200);
        let next = forger.message("and on");
        assert_eq!(forger.push_one(&mut stage.network, &next), None);
        assert!(noticed(&mut stage.network, "one").contains(&"and on".to_owned()));
    }
}
