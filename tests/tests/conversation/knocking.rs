//! Who asks to be let in, and what comes of it.

use comity_core::{
    messaging::command::{Command, Preset},
    pdu::RoomVersion,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::{Finished, Liar};
use http::Request;
use serde_json::json;

use crate::{
    forger::body,
    stage::{Stage, forbidden, initial, room, user},
};

/// A room of server `one` at which one may knock, and servers that are not in it.
fn closed_door(servers: &[&str], version: RoomVersion) -> Stage {
    let mut wished = room(version, Preset::Private);
    wished.initial_state = vec![initial(
        "m.room.join_rules",
        json!({ "join_rule": "knock" }),
    )];
    Stage::with(servers, wished)
}

fn knock(stage: &mut Stage, server: &str) -> Finished {
    let command = Command::Knock {
        user_id: user(server),
        room_id: stage.room_id.clone(),
        via: vec!["one".try_into().unwrap()],
        content: [("reason".to_owned(), json!("Let me in"))]
            .into_iter()
            .collect(),
    };
    stage.network.run(server, command)
}

fn standing(stage: &mut Stage, server: &str) -> String {
    stage.own_membership(server).unwrap().membership
}

/// The room versions in which one may knock.
fn versions() -> impl Iterator<Item = RoomVersion> {
    let known = RoomVersion::SUPPORTED.iter().copied();
    known.filter(|version| version.as_str().parse::<u32>().unwrap() >= 7)
}

/// KNOCK-1, KNOCK-3, KNOCK-4, KNOCK-5: the knock shows on both sides, with what the room looks
/// like; an invite answers it, and then the user can join.
#[test]
fn knock_1_knock_3_knock_5_who_knocks_is_shown_the_door_and_let_in() {
    for version in versions() {
        let mut stage = closed_door(&["one", "two"], version);
        forbidden(stage.join("two"));
        knock(&mut stage, "two").unwrap();
        let known = stage.own_membership("two").unwrap();
        assert_eq!(known.membership, "knock");
        let name = |event: &serde_json::Value| event["content"]["name"] == "Garden";
        assert!(known.stripped_state.iter().any(name), "version {version}");
        let types = known.stripped_state.iter().map(|event| &event["type"]);
        assert!(types.clone().any(|found| found == "m.room.create"));
        let pruned = |event: &serde_json::Value| event.as_object().unwrap().len() == 4;
        assert!(known.stripped_state.iter().all(pruned));
        stage.network.settle();
        let shown = stage.state("one", "m.room.member", "@bob:two").unwrap();
        assert_eq!(
            (&shown["membership"], &shown["reason"]),
            (&json!("knock"), &json!("Let me in"))
        );
        stage.invite("one", "@bob:two").unwrap();
        assert_eq!(standing(&mut stage, "two"), "invite");
        stage.join("two").unwrap();
        stage.must_agree(&["one", "two"]);
        assert_eq!(standing(&mut stage, "two"), "join");
    }
}

/// KNOCK-2: the rules decide, and a server speaks for its own users.
#[test]
fn knock_2_who_may_not_knock_is_refused() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Private));
    forbidden(knock(&mut stage, "two"));
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::V6, Preset::Private));
    forbidden(knock(&mut stage, "two"));
    let mut stage = closed_door(&["one", "two"], RoomVersion::DEFAULT);
    stage.set_member("one", "@bob:two", "ban").unwrap();
    forbidden(knock(&mut stage, "two"));
    stage.network.add_liar(Liar::new("liar"));
    let of_another = Endpoint::MakeKnock(stage.room_id.clone(), user("two"));
    let response = stage.network.ask("liar", "one", of_another);
    assert_eq!(response.status(), 403);
    let unknown = Endpoint::MakeKnock(
        "!unknown:one".try_into().unwrap(),
        "@eve:liar".try_into().unwrap(),
    );
    let response = stage.network.ask("liar", "one", unknown);
    assert_eq!(response.status(), 404);
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    let own = Endpoint::MakeKnock(stage.room_id.clone(), "@eve:liar".try_into().unwrap());
    let response = stage.network.ask("liar", "one", own);
    assert_eq!(response.status(), 403);
    assert_eq!(body(&response)["errcode"], "M_FORBIDDEN");
}

/// LEAVE-1: a knock can be taken back.
#[test]
fn leave_1_who_knocked_may_go_away() {
    let mut stage = closed_door(&["one", "two"], RoomVersion::DEFAULT);
    knock(&mut stage, "two").unwrap();
    stage.leave("two").unwrap();
    stage.network.settle();
    assert_eq!(standing(&mut stage, "two"), "leave");
    let left = stage.membership("one", "@bob:two");
    assert_eq!(left.as_deref(), Some("leave"));
}

/// A knock that is refused shows to whoever knocked, at the word of the room's servers only.
#[test]
fn knock_5_a_refusal_reaches_who_knocked() {
    let mut stage = closed_door(&["one", "two"], RoomVersion::DEFAULT);
    knock(&mut stage, "two").unwrap();
    stage.network.settle();
    stage.set_member("one", "@bob:two", "leave").unwrap();
    stage.network.settle();
    assert_eq!(standing(&mut stage, "two"), "leave");
    knock(&mut stage, "two").unwrap();
    assert_eq!(standing(&mut stage, "two"), "knock");
}

/// KNOCK-4: what is badly signed or formed is left out of what the user sees.
#[test]
fn knock_4_a_forged_description_is_not_shown() {
    let mut stage = closed_door(&["one", "two"], RoomVersion::V10);
    let last = stage.summary("one").extremities[0].clone();
    let honest = stage.held("one", &last);
    let mut forged: serde_json::Value = serde_json::from_str(honest.unwrap().pdu.json()).unwrap();
    forged["signatures"]["one"]["ed25519:1"] = json!("A".repeat(86));
    let stripped = json!({ "type": "m.room.name", "state_key": "", "sender": "@eve:liar",
        "content": { "name": "Trap" }, "event_id": "$x" });
    let mut liar = Liar::new("liar");
    let template = json!({
        "type": "m.room.member", "room_id": stage.room_id, "sender": user("two"),
        "state_key": user("two"), "content": { "membership": "knock" },
        "prev_events": ["$p"], "auth_events": ["$a"], "depth": 5, "origin_server_ts": 1,
    });
    liar.says(move |target, _| match target.split('/').nth(4) {
        Some("make_knock") => (200, json!({ "room_version": "10", "event": template })),
        _ => {
            let state = json!([forged, stripped, "nonsense", { "type": "m.room.topic" }]);
            (200, json!({ "knock_room_state": state }))
        }
    });
    stage.network.add_liar(liar);
    let command = Command::Knock {
        user_id: user("two"),
        room_id: stage.room_id.clone(),
        via: vec!["liar".try_into().unwrap()],
        content: serde_json::Map::new(),
    };
    stage.network.run("two", command).unwrap();
    let known = stage.own_membership("two").unwrap();
    let shown: Vec<_> = known
        .stripped_state
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!(shown, ["m.room.name"]);
    assert!(known.stripped_state[0].get("event_id").is_none());
}

/// KNOCK-1: `ver` must be there.
#[test]
fn knock_1_a_knock_says_which_room_versions_are_known() {
    let mut stage = closed_door(&["one"], RoomVersion::DEFAULT);
    stage.network.add_liar(Liar::new("liar"));
    let target = format!(
        "/_matrix/federation/v1/make_knock/{}/@eve:liar",
        stage.room_id
    );
    let request = Request::get(target).body(bytes::Bytes::new()).unwrap();
    let response = stage.network.ask_with("liar", "one", request);
    assert_eq!(response.status(), 400);
    assert_eq!(body(&response)["errcode"], "M_MISSING_PARAM");
}
