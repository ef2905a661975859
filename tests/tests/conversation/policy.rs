//! Rooms with a policy server: nothing of ours goes out that it does not sign, and nothing of others
//! is shown without its signature.

use comity_core::{
    messaging::{
        command::{CommandError, Reply},
        settings::Settings,
    },
    pdu::{
        Pdu, RoomVersion,
        signing::{POLICY_SERVER_KEY_ID, SigningKey},
        unpadded_base64,
    },
    persistence::tables::{StoredEvent, Verdict},
};
use serde_json::{Value, json};

use crate::{
    forger::{Forger, infiltrate},
    stage::{Stage, VERSIONS, noticed, object, sent, user},
};

fn policy_key() -> SigningKey {
    SigningKey::from_seed(POLICY_SERVER_KEY_ID, &[5; 32]).unwrap()
}

fn policy() -> Value {
    let key = unpadded_base64::encode(&policy_key().public_key());
    json!({ "via": "liar", "public_keys": { "ed25519": key } })
}

/// Makes the policy server answer this way when it is asked to sign an event.
fn answers(stage: &mut Stage, mut answer: impl FnMut(&Value) -> (u16, Value) + 'static) {
    let script = move |target: &str, event: &Value| match target {
        "/_matrix/policy/v1/sign" => answer(event),
        _ => (200, json!({})),
    };
    stage.network.liar("liar").says(script);
}

fn signs_everything(stage: &mut Stage, version: RoomVersion) {
    answers(stage, move |event| {
        let event = Pdu::from_object(object(event.clone()), version).unwrap();
        let signature = policy_key().sign(event.signed_text().as_bytes());
        (200, json!({ "liar": { POLICY_SERVER_KEY_ID: signature } }))
    });
}

fn signs_nothing(stage: &mut Stage) {
    answers(stage, |_| {
        (400, json!({ "errcode": "M_FORBIDDEN", "error": "spam" }))
    });
}

/// How often the policy server was asked to sign.
fn asked(stage: &mut Stage) -> usize {
    let asked = &stage.network.liar("liar").asked;
    asked.get("sign").copied().unwrap_or_default()
}

fn is_signed(event: &StoredEvent) -> bool {
    let server = "liar".try_into().unwrap();
    let signatures = event.pdu.signatures_of(server);
    signatures.is_some_and(|signatures| signatures.with_key(POLICY_SERVER_KEY_ID).is_some())
}

/// A room of these servers and of Eve, whose server is its policy server.
fn policed(servers: &[&str], version: RoomVersion) -> (Stage, Forger) {
    let mut stage = Stage::of(servers, version);
    let mut forger = infiltrate(&mut stage, version);
    let set = sent(stage.set("one", "m.room.policy", policy()));
    stage.network.settle();
    forger.last = stage.held("one", &set).unwrap().pdu.as_ref().clone();
    assert_eq!(
        asked(&mut stage),
        0,
        "POLICY-2: not about the policy itself"
    );
    (stage, forger)
}

#[test]
fn policy_3_what_we_say_goes_out_with_the_policy_servers_signature() {
    for version in VERSIONS {
        let (mut stage, _) = policed(&["one", "two"], version);
        signs_everything(&mut stage, version);
        let said = stage.say("one", "hello");
        stage.network.settle();
        for server in ["one", "two"] {
            let held = stage.held(server, &said).unwrap();
            assert!(is_signed(&held), "{server}");
            assert_eq!(held.verdict, Verdict::Accepted, "{server}");
        }
        assert_eq!(noticed(&mut stage.network, "two"), ["hello"]);
        assert_eq!(asked(&mut stage), 1, "one asks, two has the signature");
        stage.must_agree(&["one", "two"]);
    }
}

#[test]
fn policy_3_every_command_asks_and_the_one_who_asked_hears_a_refusal() {
    let (mut stage, _) = policed(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.add_server("three");
    signs_nothing(&mut stage);
    let before = stage.summary("one").extremities;
    for finished in [
        { stage.network.run("one", stage.message("one", "buy")) },
        stage.set("one", "m.room.topic", json!({ "topic": "buy" })),
        stage.invite("one", "@cyd:three"),
        stage.invite("one", "@zoe:one"),
        stage.join_as("one", &"@zoe:one".try_into().unwrap(), &[]),
        stage.leave("one"),
    ] {
        let Err(CommandError::Refused {
            server,
            status,
            errcode,
            error,
        }) = finished
        else {
            panic!("{finished:?}");
        };
        assert_eq!((server.as_str(), status), ("liar", 400));
        assert_eq!((errcode.as_str(), error.as_str()), ("M_FORBIDDEN", "spam"));
    }
    assert_eq!(asked(&mut stage), 6);
    assert_eq!(stage.summary("one").extremities, before);
    assert_eq!(stage.own_membership("three"), None);
    stage.must_agree(&["one", "two"]);
}

#[test]
fn policy_3_invites_joins_and_leaves_are_signed() {
    let (mut stage, _) = policed(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.add_server("three");
    signs_everything(&mut stage, RoomVersion::DEFAULT);
    let invite = sent(stage.invite("one", "@cyd:three"));
    assert!(is_signed(&stage.held("one", &invite).unwrap()));
    let zoe = "@zoe:one".try_into().unwrap();
    assert!(matches!(
        stage.join_as("one", &zoe, &[]),
        Ok(Reply::Room(_))
    ));
    stage.join("three").unwrap();
    stage.network.settle();
    let leave = sent(stage.leave("two"));
    assert!(is_signed(&stage.held("two", &leave).unwrap()));
    stage.must_agree(&["one", "three"]);
    for member in ["@cyd:three", "@zoe:one"] {
        assert_eq!(stage.membership("one", member).as_deref(), Some("join"));
    }
}

#[test]
fn policy_3_a_signature_by_another_key_is_none() {
    let (mut stage, _) = policed(&["one"], RoomVersion::DEFAULT);
    let nonsense = [
        json!({ "liar": { POLICY_SERVER_KEY_ID: "A".repeat(86) } }),
        json!({ "liar": { "ed25519:liar": "A".repeat(86) } }),
        json!({ "liar": [] }),
        json!([]),
    ];
    for answer in nonsense {
        answers(&mut stage, move |_| (200, answer.clone()));
        let said = stage.network.run("one", stage.message("one", "buy"));
        assert!(
            matches!(said, Err(CommandError::Unreachable(_))),
            "{said:?}"
        );
    }
    assert!(stage.said("one").is_empty());
}

#[test]
fn policy_3_the_room_goes_on_while_an_event_is_away_to_be_signed() {
    let (mut stage, _) = policed(&["one", "two"], RoomVersion::DEFAULT);
    signs_everything(&mut stage, RoomVersion::DEFAULT);
    let commands = ["first", "second"].map(|text| stage.message("one", text));
    let ids = commands.map(|command| stage.network.start_command("one", command));
    stage.say("two", "third");
    stage.network.settle();
    for id in ids {
        let finished = stage.network.server("one").finished(id);
        assert!(
            matches!(finished, Some(Ok(Reply::Event(_)))),
            "{finished:?}"
        );
    }
    stage.say("one", "last");
    stage.must_agree(&["one", "two"]);
    let mut said = stage.said("two");
    said.sort();
    assert_eq!(said, ["first", "last", "second", "third"]);
    assert_eq!(stage.summary("two").extremities.len(), 1);
}

#[test]
fn policy_4_an_event_without_a_signature_is_shown_if_it_can_be_had() {
    for version in VERSIONS {
        let (mut stage, mut forger) = policed(&["one"], version);
        signs_everything(&mut stage, version);
        let event = forger.message("fine");
        assert_eq!(forger.push_one(&mut stage.network, &event), None);
        assert_eq!(noticed(&mut stage.network, "one"), ["fine"]);
        let held = stage.held("one", &event.event_id().to_owned()).unwrap();
        assert!(is_signed(&held));
        let server = "liar".try_into().unwrap();
        let own = held.pdu.signatures_of(server).unwrap();
        assert!(
            own.with_key("ed25519:liar").is_some(),
            "its server's own signature stays"
        );
        assert_eq!(asked(&mut stage), 1);
    }
}

#[test]
fn policy_4_an_event_that_is_not_signed_in_the_end_is_soft_failed() {
    for version in VERSIONS {
        let (mut stage, mut forger) = policed(&["one"], version);
        signs_nothing(&mut stage);
        let event = forger.message("buy");
        assert_eq!(forger.push_one(&mut stage.network, &event), None);
        let held = stage.held("one", &event.event_id().to_owned()).unwrap();
        let Verdict::SoftFailed(reason) = &held.verdict else {
            panic!("{held:?}");
        };
        assert!(reason.contains("spam"), "{reason}");
        assert_eq!(asked(&mut stage), 1, "once");
        assert!(noticed(&mut stage.network, "one").is_empty());
        signs_everything(&mut stage, version);
        let next = stage.say("one", "on");
        let next = stage.held("one", &next).unwrap();
        assert_ne!(next.pdu.prev_events(), [event.event_id().to_owned()]);
    }
}

#[test]
fn policy_4_a_wrong_signature_is_asked_for_again_and_a_right_one_is_not() {
    let version = RoomVersion::DEFAULT;
    let (mut stage, mut forger) = policed(&["one"], version);
    signs_everything(&mut stage, version);
    let server = "liar".try_into().unwrap();
    let with_signature = |event: &Pdu, signature: String| {
        event
            .with_signature(server, POLICY_SERVER_KEY_ID, signature)
            .unwrap()
    };
    let wrong = forger.message("signed wrongly");
    let wrong = with_signature(&wrong, "A".repeat(86));
    assert_eq!(forger.push_one(&mut stage.network, &wrong), None);
    assert_eq!(asked(&mut stage), 1);

    signs_nothing(&mut stage);
    let right = forger.message("signed rightly");
    let signature = policy_key().sign(right.signed_text().as_bytes());
    let right = with_signature(&right, signature);
    assert_eq!(forger.push_one(&mut stage.network, &right), None);
    assert_eq!(asked(&mut stage), 1);
    assert_eq!(
        noticed(&mut stage.network, "one"),
        ["signed wrongly", "signed rightly"]
    );
}

/// POLICY-2
#[test]
fn policy_2_only_the_policy_itself_needs_no_signature() {
    let (mut stage, _) = policed(&["one"], RoomVersion::DEFAULT);
    signs_nothing(&mut stage);
    sent(stage.set("one", "m.room.policy", policy()));
    assert_eq!(asked(&mut stage), 0);
    for state_key in [None, Some("other")] {
        let command = stage.event(&user("one"), "m.room.policy", state_key, json!({}));
        assert!(stage.network.run("one", command).is_err());
    }
    assert_eq!(asked(&mut stage), 2);
}

#[test]
fn policy_1_a_policy_server_must_be_in_the_room_and_have_a_key() {
    let version = RoomVersion::DEFAULT;
    let (mut stage, _) = policed(&["one", "two"], version);
    signs_nothing(&mut stage);
    let key = policy()["public_keys"].clone();
    for not_in_use in [
        json!({}),
        json!({ "via": "liar" }),
        json!({ "via": "liar", "public_keys": {} }),
        json!({ "via": "liar", "public_keys": { "ed25519": 5 } }),
        json!({ "public_keys": key }),
        json!({ "via": 5, "public_keys": key }),
        json!({ "via": "no name", "public_keys": key }),
        json!({ "via": "elsewhere", "public_keys": key }),
        json!({ "via": "one", "public_keys": key }),
    ] {
        sent(stage.set("one", "m.room.policy", not_in_use));
        stage.say("one", "free");
    }
    assert_eq!(asked(&mut stage), 0);
    let no_key = json!({ "via": "liar", "public_keys": { "ed25519": "no key" } });
    sent(stage.set("one", "m.room.policy", no_key));
    assert!(
        stage
            .network
            .run("one", stage.message("one", "never"))
            .is_err()
    );

    sent(stage.set("one", "m.room.policy", json!({})));
    stage.set_member("one", "@eve:liar", "ban").unwrap();
    sent(stage.set("one", "m.room.policy", policy()));
    stage.say("one", "it left");
}

#[test]
fn a_server_may_choose_not_to_heed_policy_servers() {
    let (mut stage, mut forger) = policed(&["one"], RoomVersion::DEFAULT);
    signs_nothing(&mut stage);
    stage.network.crash("one");
    stage.network.server("one").settings = Settings {
        policy_servers: false,
        ..Settings::default()
    };
    stage.network.start("one");
    stage.say("one", "mine");
    let event = forger.message("yours");
    assert_eq!(forger.push_one(&mut stage.network, &event), None);
    assert_eq!(stage.said("one"), ["mine", "yours"]);
    assert_eq!(asked(&mut stage), 0);
}

/// An unreachable policy server is no reason to forget an event or to wait for ever.
#[test]
fn policy_4_an_event_is_judged_also_when_the_policy_server_is_gone() {
    let (mut stage, mut forger) = policed(&["one"], RoomVersion::DEFAULT);
    answers(&mut stage, |_| (502, json!("gone")));
    let event = forger.message("late");
    assert_eq!(forger.push_one(&mut stage.network, &event), None);
    let held = stage.held("one", &event.event_id().to_owned()).unwrap();
    assert!(matches!(held.verdict, Verdict::SoftFailed(_)), "{held:?}");
    assert_eq!(asked(&mut stage), 1);
    stage.must_keep_promises("one");
}
