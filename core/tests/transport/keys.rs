//! Keys: ours as we publish them, those of others as we get them and vouch for them.

use bytes::Bytes;
use comity_core::{
    WallTime,
    keys::{KeySettings, OwnKeys, RetiredKey},
    messaging::settings::Settings,
    pdu::signing::{self, PublicKey, SigningKey, VerifyKey},
};
use http::{Request, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    internet::Internet,
    peer::{key, own, signed},
};

const KEYS: &str = "/_matrix/key/v2/server";
const QUERY: &str = "/_matrix/key/v2/query";
const DAY: u64 = 24 * 60 * 60;

/// Our server with names for two others, of which `n.example` is a notary.
fn internet() -> Internet {
    let keys = KeySettings {
        retired: Vec::new(),
        notaries: vec!["n.example".try_into().unwrap()],
    };
    Internet::with("our.example", Settings::default(), keys)
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["1.2.3.6"])
        .name("n.example", &["1.2.3.5"])
}

fn object(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap()
}

/// Makes a server publish its keys as of now.
fn publish(internet: &mut Internet, keys: &OwnKeys) -> Map<String, Value> {
    let published = keys.published_object(internet.wall());
    let text = Value::Object(published.clone()).to_string();
    internet.answer(keys.server_name().as_str(), &format!("GET {KEYS}"), text);
    published
}

/// A request that is answered 401 only if the key of its server is not known.
fn knock(internet: &mut Internet, keys: &OwnKeys) -> StatusCode {
    let content = json!({ "pdus": 7 });
    let request = signed(keys, "/_matrix/federation/v1/send/1", Some(&content));
    internet.request(request).status()
}

fn ask(internet: &mut Internet, request: Request<String>) -> Vec<Map<String, Value>> {
    let response = internet.request(request);
    assert_eq!(response.status(), StatusCode::OK);
    let body = object(response.body());
    let objects = body["server_keys"].as_array().unwrap().iter();
    objects
        .map(|object| object.as_object().unwrap().clone())
        .collect()
}

fn get(target: &str) -> Request<String> {
    Request::get(target).body(String::new()).unwrap()
}

fn post(body: &Value) -> Request<String> {
    Request::post(QUERY).body(body.to_string()).unwrap()
}

fn is_signed_by(object: &Map<String, Value>, server: &str, key: &SigningKey) -> bool {
    let key = VerifyKey {
        key_id: key.key_id().to_owned(),
        public_key: PublicKey::new(key.public_key()),
        valid_until: i64::MAX,
        retired: false,
    };
    signing::verify_json(object, server.try_into().unwrap(), [&key]).is_ok()
}

#[test]
fn key_4_retired_keys_stay_published_and_sign_no_more() {
    let old = key("ed25519:0", 9);
    let retired = |key_id: &str| RetiredKey {
        key_id: key_id.to_owned(),
        public: old.public_key(),
        expired: WallTime(7),
    };
    let keys = KeySettings {
        retired: vec![retired("ed25519:0"), retired("ed25519:1")],
        notaries: Vec::new(),
    };
    let mut internet = Internet::with("our.example", Settings::default(), keys);
    let published = object(internet.request(get(KEYS)).body());
    let old_keys = published["old_verify_keys"].as_object().unwrap();
    assert_eq!(old_keys["ed25519:0"]["expired_ts"], 7);
    assert_eq!(
        old_keys.keys().collect::<Vec<_>>(),
        ["ed25519:0"],
        "the present key is no old one"
    );
    assert!(is_signed_by(
        &published,
        "our.example",
        &key("ed25519:1", 1)
    ));
    let signers = published["signatures"]["our.example"].as_object().unwrap();
    assert_eq!(signers.keys().collect::<Vec<_>>(), ["ed25519:1"]);
}

#[test]
fn key_13_a_server_is_vouched_for_with_its_own_object_and_our_signature() {
    let mut internet = internet();
    let published = publish(&mut internet, &own("a.example", 5));
    for target in [
        "/a.example",
        "/a.example/ed25519:1",
        "/a.example?minimum_valid_until_ts=5",
    ] {
        let [object] = &ask(&mut internet, get(&format!("{QUERY}{target}")))[..] else {
            panic!("one object");
        };
        assert_eq!(object["verify_keys"], published["verify_keys"]);
        assert!(is_signed_by(object, "a.example", &key("ed25519:1", 5)));
        assert!(is_signed_by(object, "our.example", &key("ed25519:1", 1)));
    }
    assert_eq!(internet.asked("a.example", KEYS), 1);
    let [ours] = &ask(&mut internet, get(&format!("{QUERY}/our.example")))[..] else {
        panic!("one object");
    };
    assert!(is_signed_by(ours, "our.example", &key("ed25519:1", 1)));
}

#[test]
fn key_13_of_a_server_that_tells_nothing_nothing_is_told() {
    let mut internet = internet();
    assert!(ask(&mut internet, get(&format!("{QUERY}/a.example"))).is_empty());
    assert!(ask(&mut internet, get(&format!("{QUERY}/127.0.0.1"))).is_empty());
}

#[test]
fn key_14_several_servers_are_asked_for_at_once() {
    let mut internet = internet();
    publish(&mut internet, &own("a.example", 5));
    publish(&mut internet, &own("b.example", 6));
    let query = json!({ "server_keys": {
        "a.example": {},
        "b.example": { "ed25519:1": { "minimum_valid_until_ts": 5 } },
        "c.example": { "ed25519:1": {} },
    }});
    let objects = ask(&mut internet, post(&query));
    let names: Vec<_> = objects
        .iter()
        .map(|object| object["server_name"].as_str())
        .collect();
    assert_eq!(names, [Some("a.example"), Some("b.example")]);
    assert!(ask(&mut internet, post(&json!({ "server_keys": {} }))).is_empty());
    for (body, errcode) in [
        ("{", "M_NOT_JSON"),
        ("{}", "M_BAD_JSON"),
        ("[]", "M_BAD_JSON"),
    ] {
        let response = internet.request(Request::post(QUERY).body(body).unwrap());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(object(response.body())["errcode"], errcode);
    }
}

#[test]
fn key_15_a_notary_asks_anew_after_half_the_life_and_serves_what_it_has() {
    let mut internet = internet();
    publish(&mut internet, &own("a.example", 5));
    let mut ask_after = |seconds: u64| {
        internet.pass(seconds);
        let objects = ask(&mut internet, get(&format!("{QUERY}/a.example")));
        (objects.len(), internet.asked("a.example", KEYS))
    };
    assert_eq!(ask_after(0), (1, 1));
    assert_eq!(ask_after(DAY / 2 - 1), (1, 1));
    assert_eq!(ask_after(1), (1, 2));
    assert_eq!(ask_after(DAY), (1, 3), "what it said last has run out");
}

#[test]
fn key_15_a_server_that_is_gone_is_vouched_for_after_a_restart() {
    let mut internet = internet();
    let published = publish(&mut internet, &own("a.example", 5));
    let query = || get(&format!("{QUERY}/a.example"));
    let before = ask(&mut internet, query());
    internet.restart();
    assert_eq!(ask(&mut internet, query()), before);
    assert_eq!(internet.asked("a.example", KEYS), 1, "it is fresh");
    internet.answers.clear();
    internet.pass(DAY);
    let after = ask(&mut internet, query());
    assert_eq!(internet.asked("a.example", KEYS), 2);
    assert_eq!(after[0]["verify_keys"], published["verify_keys"]);
}

#[test]
fn key_15_a_notary_asks_anew_if_a_longer_validity_is_wished() {
    let mut internet = internet();
    publish(&mut internet, &own("a.example", 5));
    let until = |time: u64| get(&format!("{QUERY}/a.example?minimum_valid_until_ts={time}"));
    let now = internet.wall().0;
    ask(&mut internet, until(now));
    internet.pass(60);
    assert_eq!(ask(&mut internet, until(now + 1000)).len(), 1);
    assert_eq!(internet.asked("a.example", KEYS), 1);
    assert_eq!(ask(&mut internet, until(now + 1000 * 10 * DAY)).len(), 1);
    assert_eq!(internet.asked("a.example", KEYS), 2);
}

#[test]
fn key_16_nothing_is_signed_that_its_server_did_not_sign() {
    let mut internet = internet();
    let mut forged = own("a.example", 5).published_object(internet.wall());
    forged["valid_until_ts"] = json!(9_000_000_000_000_000u64);
    internet.answer(
        "a.example",
        &format!("GET {KEYS}"),
        Value::Object(forged).to_string(),
    );
    assert!(ask(&mut internet, get(&format!("{QUERY}/a.example"))).is_empty());
}

/// What the notary says of `a.example`, made by `change`.
fn notarise(internet: &mut Internet, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut vouched = own("a.example", 5).published_object(internet.wall());
    change(&mut vouched);
    let body = json!({ "server_keys": [vouched] }).to_string();
    internet.answer("n.example", &format!("POST {QUERY}"), body);
}

#[test]
fn key_9_a_notary_is_asked_for_the_key_of_a_server_that_does_not_answer() {
    let mut internet = internet();
    notarise(&mut internet, |_| {});
    assert_ne!(
        knock(&mut internet, &own("a.example", 5)),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(internet.asked("a.example", KEYS), 1);
    let notary = internet
        .calls
        .iter()
        .find(|call| call.address.host_header == "n.example");
    let body = object(notary.unwrap().request.body());
    let wanted = &body["server_keys"]["a.example"]["ed25519:1"]["minimum_valid_until_ts"];
    assert_eq!(wanted.as_u64(), Some(internet.wall().0));
}

#[test]
fn key_9_a_server_that_answers_is_not_asked_about_elsewhere() {
    let mut internet = internet();
    publish(&mut internet, &own("a.example", 5));
    assert_ne!(
        knock(&mut internet, &own("a.example", 5)),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(internet.asked("n.example", QUERY), 0);
}

#[test]
fn key_12_a_notary_cannot_make_keys_up() {
    type Change = fn(&mut Map<String, Value>);
    let changes: [Change; 4] = [
        |object| drop(object.insert("valid_until_ts".to_owned(), json!(1u64 << 50))),
        |object| drop(object.insert("server_name".to_owned(), json!("b.example"))),
        |object| drop(object.remove("signatures")),
        |object| *object = own("a.example", 6).published_object(WallTime(1 << 50)),
    ];
    for change in changes {
        let mut internet = internet();
        notarise(&mut internet, change);
        assert_eq!(
            knock(&mut internet, &own("a.example", 5)),
            StatusCode::UNAUTHORIZED
        );
    }
}

#[test]
fn key_12_a_notary_whose_key_we_hold_must_have_signed_too() {
    for (seed, accepted) in [(8, true), (9, false)] {
        let mut internet = internet();
        publish(&mut internet, &own("n.example", 8));
        knock(&mut internet, &own("n.example", 8));
        notarise(&mut internet, |object| own("n.example", seed).sign(object));
        let status = knock(&mut internet, &own("a.example", 5));
        assert_eq!(status != StatusCode::UNAUTHORIZED, accepted);
    }
}

#[test]
fn key_10_a_server_is_asked_for_newer_keys_before_the_old_ones_run_out() {
    let mut internet = internet();
    let keys = own("a.example", 5);
    publish(&mut internet, &keys);
    knock(&mut internet, &keys);
    internet.pass(DAY - 2 * 60 * 60);
    knock(&mut internet, &keys);
    assert_eq!(internet.asked("a.example", KEYS), 1);
    internet.pass(90 * 60);
    publish(&mut internet, &keys);
    assert_ne!(knock(&mut internet, &keys), StatusCode::UNAUTHORIZED);
    assert_eq!(internet.asked("a.example", KEYS), 2);
    internet.pass(60 * 60);
    assert_ne!(knock(&mut internet, &keys), StatusCode::UNAUTHORIZED);
    assert_eq!(
        internet.asked("a.example", KEYS),
        2,
        "what came in time serves on"
    );
}

#[test]
fn key_10_a_server_without_keys_is_left_alone_for_a_while() {
    let mut internet = internet();
    for _ in 0..3 {
        knock(&mut internet, &own("a.example", 5));
    }
    assert_eq!(internet.asked("a.example", KEYS), 1);
    assert_eq!(internet.asked("n.example", QUERY), 1);
    internet.pass(60);
    knock(&mut internet, &own("a.example", 5));
    assert_eq!(internet.asked("a.example", KEYS), 2);
}

#[test]
fn the_answers_of_strangers_are_bytes_like_all_others() {
    let mut internet = internet();
    for body in ["", "[]", "{\"server_keys\": 7}", "{\"server_keys\": [[]]}"] {
        internet.answer("n.example", &format!("POST {QUERY}"), Bytes::from(body));
        assert_eq!(
            knock(&mut internet, &own("a.example", 5)),
            StatusCode::UNAUTHORIZED
        );
        internet.pass(60);
    }
}
