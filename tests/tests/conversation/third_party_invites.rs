//! Who is invited by an address, and found out.

use std::{cell::RefCell, rc::Rc, time::Duration};

use comity_core::{
    messaging::command::Preset,
    pdu::{
        RoomVersion,
        signing::{SigningKey, sign_json},
        unpadded_base64,
    },
    persistence::tables::Verdict,
};
use comity_tests::simulation::Liar;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::{
    endpoints::ask,
    forger::body,
    stage::{Stage, VERSIONS, object, room, user},
};

const IDENTITY_SERVER: &str = "id.example";
const ON_BINDING: &str = "/_matrix/federation/v1/3pid/onbind";

fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:0", &[3; 32]).unwrap()
}

/// A private room of server `one` whose user invited the address that is `@bob:two`'s; which pages
/// of the identity server were asked for; and whether it still answers for its key.
fn invited(servers: &[&str], version: RoomVersion) -> (Stage, Rc<RefCell<Pages>>) {
    invited_by_key_of("https://id.example/valid", servers, version)
}

/// The same with another page that tells whether the key is good.
fn invited_by_key_of(
    page: &str,
    servers: &[&str],
    version: RoomVersion,
) -> (Stage, Rc<RefCell<Pages>>) {
    let mut stage = Stage::with(servers, room(version, Preset::Private));
    let pages = Rc::new(RefCell::new(Pages {
        asked: Vec::new(),
        valid: true,
    }));
    let mut identity_server = Liar::new(IDENTITY_SERVER);
    let seen = pages.clone();
    identity_server.says(move |target, _| {
        seen.borrow_mut().asked.push(target.to_owned());
        (200, json!({ "valid": seen.borrow().valid }))
    });
    stage.network.add_liar(identity_server);
    let public_key = unpadded_base64::encode(&key().public_key());
    let content = json!({
        "display_name": "b...@example.org",
        "key_validity_url": page,
        "public_key": public_key,
    });
    let event_type = "m.room.third_party_invite";
    let command = stage.event(&user("one"), event_type, Some("token"), content);
    stage.network.run("one", command).unwrap();
    (stage, pages)
}

struct Pages {
    asked: Vec<String>,
    valid: bool,
}

/// What the identity server signs.
fn signed(mxid: &str, token: &str) -> Value {
    let mut signed = object(json!({ "mxid": mxid, "token": token }));
    sign_json(&mut signed, IDENTITY_SERVER.try_into().unwrap(), &key());
    signed.into()
}

/// What it tells the homeserver of the invited user.
fn binding(stage: &Stage, signed: &Value) -> Value {
    json!({
        "medium": "email",
        "address": "bob@example.org",
        "mxid": user("two"),
        "invites": [{
            "medium": "email",
            "address": "bob@example.org",
            "mxid": user("two"),
            "room_id": stage.room_id,
            "sender": user("one"),
            "signed": signed,
        }],
    })
}

fn bind(stage: &mut Stage, binding: &Value) -> (u16, Value) {
    let request = Request::put(ON_BINDING).body(binding.to_string().into());
    let answer = stage
        .network
        .ask_with(IDENTITY_SERVER, "two", request.unwrap());
    (answer.status().as_u16(), body(&answer))
}

/// 3PID-1, 3PID-2, 3PID-3: the server of who invited makes the invite, and looks whether the
/// identity server's key is still good.
#[test]
fn who_is_found_out_is_invited() {
    for version in RoomVersion::SUPPORTED {
        let (mut stage, pages) = invited(&["one", "two"], *version);
        let binding = binding(&stage, &signed("@bob:two", "token"));
        assert_eq!(bind(&mut stage, &binding), (200, json!({})));
        assert_eq!(stage.own_membership("two").unwrap().membership, "invite");
        let member = stage.state("one", "m.room.member", "@bob:two").unwrap();
        let invite = &member["third_party_invite"];
        assert_eq!(member["membership"], "invite", "version {version}");
        assert_eq!(invite["display_name"], "b...@example.org");
        let asked = pages.borrow().asked.clone();
        let public_key = unpadded_base64::encode(&key().public_key());
        let encoded = comity_core::transport::path::path_segment(&public_key);
        assert_eq!(asked, [format!("/valid?public_key={encoded}")]);
        stage.join("two").unwrap();
        stage.must_agree(&["one", "two"]);
        assert_eq!(bind(&mut stage, &binding).0, 200);
        assert_eq!(
            stage.membership("one", "@bob:two").as_deref(),
            Some("join"),
            "who is in the room stays"
        );
    }
}

/// 3PID-2: a server that is in the room makes the invite itself, in the name of who invited. The
/// others take it, and ask nobody about the key (3PID-4).
#[test]
fn a_server_in_the_room_makes_the_invite_itself() {
    for version in VERSIONS {
        let servers = ["one", "two", "three"];
        let (mut stage, pages) = invited(&servers, version);
        for (server, user_id) in [("two", "@ben:two"), ("three", "@cyd:three")] {
            let user_id = user_id.try_into().unwrap();
            stage.invite("one", &format!("{user_id}")).unwrap();
            stage.join_as(server, &user_id, &["one"]).unwrap();
        }
        stage.network.settle();
        let binding = binding(&stage, &signed("@bob:two", "token"));
        assert_eq!(bind(&mut stage, &binding), (200, json!({})));
        stage.network.settle();
        assert_eq!(pages.borrow().asked.len(), 1);
        for server in servers {
            let shown = stage.membership(server, "@bob:two");
            assert_eq!(shown.as_deref(), Some("invite"), "{server}, {version}");
        }
        stage.join("two").unwrap();
        stage.must_agree(&servers);
    }
}

/// 3PID-3: what the identity server did not sign for that user and invitation, or with a key that
/// it has given up, invites nobody.
#[test]
fn what_is_not_signed_as_it_should_be_invites_nobody() {
    let (mut stage, pages) = invited(&["one", "two"], RoomVersion::DEFAULT);
    let mut altered = signed("@bob:two", "token");
    altered["more"] = json!(1);
    for wrong in [
        altered,
        signed("@bob:two", "other"),
        signed("@ben:two", "token"),
        json!({}),
    ] {
        let binding = binding(&stage, &wrong);
        assert_eq!(
            bind(&mut stage, &binding).0,
            200,
            "refused for good: {wrong}"
        );
        assert_eq!(stage.membership("one", "@bob:two"), None, "{wrong}");
    }
    assert_eq!(pages.borrow().asked.len(), 0, "no page for what is forged");
    pages.borrow_mut().valid = false;
    let binding = binding(&stage, &signed("@bob:two", "token"));
    bind(&mut stage, &binding);
    assert_eq!(pages.borrow().asked.len(), 1);
    assert_eq!(stage.membership("one", "@bob:two"), None);
}

/// 3PID-3, DISC-13: whoever invites names the page, and must not make us ask just anybody.
#[test]
fn no_key_is_good_by_a_page_of_an_inner_network_or_one_that_is_not_secure() {
    for page in [
        "https://127.0.0.1/valid",
        "https://[::1]/valid",
        "https://10.1.2.3:8008/valid",
        "http://id.example/valid",
        "https://me@id.example/valid",
        "//id.example/valid",
        "/valid",
        "",
    ] {
        let (mut stage, pages) = invited_by_key_of(page, &["one", "two"], RoomVersion::DEFAULT);
        let binding = binding(&stage, &signed("@bob:two", "token"));
        bind(&mut stage, &binding);
        assert_eq!(stage.membership("one", "@bob:two"), None, "{page}");
        assert_eq!(pages.borrow().asked.len(), 0, "{page}");
    }
}

/// PDU-17, PDU-35: whoever may not see the past gets an invite redacted, and before version 11 too
/// little is left of it. Who was invited holds the whole, and goes by that when others build on it.
#[test]
fn an_invite_stays_whole_that_comes_redacted_once_more() {
    let servers = ["one", "two", "three"];
    let version = RoomVersion::parse("10").unwrap();
    let (mut stage, _) = invited(&servers, version);
    stage.invite("one", "@cyd:three").unwrap();
    stage.join("three").unwrap();
    let joined = json!({ "history_visibility": "joined" });
    stage
        .set("one", "m.room.history_visibility", joined)
        .unwrap();
    stage.network.settle();
    for server in ["one", "two"] {
        stage.network.set_cut_one_way("three", server, true);
    }
    for number in 0..3 {
        stage.say("three", &format!("nobody hears this yet: {number}"));
    }
    let binding = binding(&stage, &signed("@bob:two", "token"));
    assert_eq!(bind(&mut stage, &binding).0, 200);
    let invite = stage.own_membership("two").unwrap().event;
    let invite = invite.pdu.event_id().to_owned();
    stage.network.pass(Duration::from_secs(5));
    stage.say("three", "nor this, which builds on the invite");
    stage.join("two").unwrap();
    for server in ["one", "two"] {
        stage.network.set_cut_one_way("three", server, false);
    }
    stage.network.settle();
    stage.say("three", "welcome");
    stage.network.settle();
    let states = servers.map(|server| stage.summary(server).state_digest);
    assert!(states.iter().all(|state| *state == states[0]));
    let held = stage.held("two", &invite).unwrap();
    assert!(!held.is_outlier());
    assert_eq!(held.verdict, Verdict::Accepted);
}

/// 3PID-1: what cannot be had now may be had when the identity server asks again.
#[test]
fn a_server_that_is_down_is_asked_again() {
    let (mut stage, _) = invited(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("one");
    let binding = binding(&stage, &signed("@bob:two", "token"));
    assert_eq!(bind(&mut stage, &binding).0, 502);
    stage.network.start("one");
    assert_eq!(bind(&mut stage, &binding).0, 200);
    assert_eq!(stage.own_membership("two").unwrap().membership, "invite");
}

/// 3PID-1, 3PID-3: both are refused with the right error.
#[test]
fn malformed_wishes_are_refused() {
    let (mut stage, _) = invited(&["one", "two"], RoomVersion::DEFAULT);
    let request = |text: &str| {
        Request::put(ON_BINDING)
            .body(text.to_owned().into())
            .unwrap()
    };
    let many = vec![json!({ "room_id": "!r:x", "sender": "@a:x", "signed": {} }); 21];
    for (text, code) in [
        ("no JSON", "M_NOT_JSON"),
        ("{}", "M_BAD_JSON"),
        (r#"{"mxid":"@eve:liar","invites":[]}"#, "M_INVALID_PARAM"),
        (
            &*json!({ "mxid": "@bob:two", "invites": many }).to_string(),
            "M_BAD_JSON",
        ),
    ] {
        let answer = stage
            .network
            .ask_with(IDENTITY_SERVER, "two", request(text));
        assert_eq!(answer.status(), 400);
        assert_eq!(body(&answer)["errcode"], code, "{text}");
    }
    stage.network.add_liar(Liar::new("liar"));
    let good = json!({
        "type": "m.room.member",
        "room_id": stage.room_id,
        "sender": "@ann:one",
        "state_key": "@eve:liar",
        "content": {
            "membership": "invite",
            "third_party_invite": { "display_name": "e", "signed": signed("@eve:liar", "token") },
        },
    });
    let room_id = comity_core::transport::path::path_segment(stage.room_id.as_str());
    let target = format!("/_matrix/federation/v1/exchange_third_party_invite/{room_id}");
    let mut refused = |pointer: &str, value: Value| {
        let mut wish = good.clone();
        *wish.pointer_mut(pointer).unwrap() = value;
        let (status, answer) = ask(&mut stage, Method::PUT, &target, Some(&wish));
        (status, answer["errcode"].as_str().unwrap().to_owned())
    };
    let invalid = (400, "M_INVALID_PARAM".to_owned());
    assert_eq!(refused("/type", json!("m.room.name")), invalid);
    assert_eq!(refused("/room_id", json!("!other:one")), invalid);
    assert_eq!(refused("/state_key", json!("@ben:two")), invalid);
    assert_eq!(refused("/sender", json!("@cyd:three")), invalid);
    assert_eq!(refused("/content/membership", json!("join")), invalid);
    assert_eq!(
        refused("/content", json!([])),
        (400, "M_BAD_JSON".to_owned())
    );
    let other = signed("@eve:liar", "other");
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    assert_eq!(
        refused("/content/third_party_invite/signed", other),
        forbidden
    );
    let (status, answer) = ask(&mut stage, Method::PUT, &target, Some(&good));
    assert_eq!(
        (status, &answer["errcode"]),
        (502, &json!("M_UNKNOWN")),
        "nobody signs it"
    );
}
