//! Endpoints as their first versions were.

use comity_core::{
    messaging::command::{Preset, Reply},
    pdu::{Pdu, RoomVersion},
    transport::remote_request::Endpoint,
};
use http::Method;
use serde_json::{Value, json};

use crate::{
    endpoints::{ask, completed, members, path, with_liar},
    forger::{eve, lied_to},
    stage::{VERSIONS, room},
};

/// JOIN-12, JOIN-13, LEAVE-3, GEN-4: the first versions answer a list, the second ones an object.
#[test]
fn join_13_joins_and_leaves_of_old_are_answered_in_a_list() {
    for version in VERSIONS {
        let (mut stage, _) = with_liar(room(version, Preset::Public));
        let room_id = stage.room_id.clone();
        for name in ["v1", "v2"] {
            let make = Endpoint::MakeJoin(room_id.clone(), eve());
            let join = completed(&mut stage, version, make);
            let target = path(
                &format!("{name}/send_join"),
                [room_id.as_str(), join.event_id().as_str()],
            );
            let content = Value::Object(join.object());
            let (status, answer) = ask(&mut stage, Method::PUT, &target, Some(&content));
            assert_eq!(status, 200, "{answer}");
            let joined = match name {
                "v1" => {
                    assert_eq!(answer[0], 200);
                    &answer[1]
                }
                _ => &answer,
            };
            assert_eq!(joined["members_omitted"], false);
            assert!(members(&joined["state"]).contains(&"@ann:one"));
            let returned = Pdu::parse(joined["event"].to_string(), version).unwrap();
            assert_eq!(returned.event_id(), join.event_id());

            let make = Endpoint::MakeLeave(room_id.clone(), eve());
            let leave = completed(&mut stage, version, make);
            let target = path(
                &format!("{name}/send_leave"),
                [room_id.as_str(), leave.event_id().as_str()],
            );
            let content = Value::Object(leave.object());
            let (status, answer) = ask(&mut stage, Method::PUT, &target, Some(&content));
            let expected = if name == "v1" {
                json!([200, {}])
            } else {
                json!({})
            };
            assert_eq!((status, answer), (200, expected));
            assert_eq!(
                stage.membership("one", "@eve:liar").as_deref(),
                Some("leave")
            );
        }
    }
}

/// INVITE-2, INVITE-4: a server that does not know the endpoint is asked as of old, where the room is old too.
#[test]
fn invite_2_an_old_server_is_asked_as_of_old() {
    for version in [RoomVersion::V1, RoomVersion::V2, RoomVersion::V10] {
        let (mut stage, own) = with_liar(room(version, Preset::Private));
        stage.network.liar("liar").says(move |target, sent| {
            if !target.contains("/v1/invite/") {
                return (404, json!({ "errcode": "M_UNRECOGNIZED", "error": "?" }));
            }
            let described = sent["unsigned"]["invite_room_state"].as_array().unwrap();
            assert!(
                described
                    .iter()
                    .any(|event| event["type"] == "m.room.create")
            );
            let invite = Pdu::parse(sent.to_string(), version).unwrap();
            let invite = invite
                .signed_by(own.server_name(), own.signing_key())
                .unwrap();
            (200, json!([200, { "event": invite.object() }]))
        });
        let invited = stage.invite("one", "@eve:liar");
        let is_old = version != RoomVersion::V10;
        assert_eq!(
            matches!(invited, Ok(Reply::Event(_))),
            is_old,
            "{invited:?}"
        );
        let membership = stage.membership("one", "@eve:liar");
        assert_eq!(membership.as_deref(), is_old.then_some("invite"));
    }
}

/// INVITE-5, INVITE-8: an invite as of old is signed, and our user told.
#[test]
fn invite_5_an_invite_of_old_is_for_rooms_of_old() {
    let (mut stage, forger) = lied_to(RoomVersion::V1);
    let mut elsewhere = forger.clone();
    elsewhere.room_id = "!elsewhere:liar".try_into().unwrap();
    let content = json!({ "membership": "invite" });
    let invite = elsewhere.event("m.room.member", Some("@ann:one"), content);
    let mut sent = invite.object();
    let name = json!({ "type": "m.room.name", "state_key": "", "sender": "@eve:liar",
        "content": { "name": "Elsewhere" } });
    sent.insert(
        "unsigned".to_owned(),
        json!({ "invite_room_state": [name] }),
    );
    let segments = [invite.room_id().as_str(), invite.event_id().as_str()];
    let target = path("v1/invite", segments);
    let (status, answer) = ask(&mut stage, Method::PUT, &target, Some(&Value::Object(sent)));
    assert_eq!((status, &answer[0]), (200, &json!(200)), "{answer}");
    let signers = answer[1]["event"]["signatures"].as_object().unwrap();
    assert!(signers.contains_key("one") && signers.contains_key("liar"));
    stage.room_id = elsewhere.room_id.clone();
    let known = stage.own_membership("one").unwrap();
    assert_eq!(
        (known.membership.as_str(), known.stripped_state),
        ("invite", vec![name_of_room()])
    );
    let (status, _) = ask(&mut stage, Method::PUT, &target, Some(&json!({})));
    assert_eq!(status, 400);
}

fn name_of_room() -> Value {
    json!({ "type": "m.room.name", "state_key": "", "sender": "@eve:liar",
        "content": { "name": "Elsewhere" } })
}
