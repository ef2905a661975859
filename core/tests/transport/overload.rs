//! What happens when others ask for more than there is room for.

use comity_core::{
    keys::OwnKeys,
    messaging::settings::{RequestLimits, Settings},
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    internet::Internet,
    peer::{own, signed},
};

const PER_SERVER: usize = 5;

/// What we are asked by `a.example` and `b.example`, each with room for so many requests.
fn internet(requests_per_server: usize) -> Internet {
    let settings = Settings {
        requests: RequestLimits {
            requests_per_server,
            ..RequestLimits::default()
        },
        ..Settings::default()
    };
    let mut internet = Internet::of("our.example", settings)
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["1.2.3.6"]);
    for keys in [own("a.example", 5), own("b.example", 6)] {
        let published = Value::Object(keys.published_object(internet.wall())).to_string();
        let server = keys.server_name().as_str();
        internet.answer(server, "GET /_matrix/key/v2/server", published);
    }
    internet
}

/// Asks what takes until the application answers: 200 stands for waiting.
fn ask(internet: &mut Internet, keys: &OwnKeys) -> StatusCode {
    ask_about(0, internet, keys)
}

/// The same of one of several users: the application is asked once what several ask at once.
fn ask_about(user: u32, internet: &mut Internet, keys: &OwnKeys) -> StatusCode {
    let target = format!("/_matrix/federation/v1/query/profile?user_id=%40u{user}%3Aour.example");
    let response = internet.begin(signed(keys, &target, None));
    response.map_or(StatusCode::OK, |response| response.status())
}

#[test]
fn gen_8_a_server_that_asks_too_much_is_told_to_wait_and_others_are_served() {
    let mut internet = internet(PER_SERVER);
    let (a, b) = (own("a.example", 5), own("b.example", 6));
    for _ in 0..PER_SERVER {
        assert_eq!(ask(&mut internet, &a), StatusCode::OK);
    }
    for _ in 0..100 {
        assert_eq!(ask(&mut internet, &a), StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(ask(&mut internet, &b), StatusCode::OK);
    internet.tell();
    assert_eq!(ask(&mut internet, &a), StatusCode::OK);
}

/// ERR-14: with the pause, in the header and in the body.
#[test]
fn err_14_a_refusal_says_how_long_to_wait() {
    let mut internet = internet(PER_SERVER);
    let a = own("a.example", 5);
    for _ in 0..PER_SERVER {
        ask(&mut internet, &a);
    }
    let target = "/_matrix/federation/v1/query/profile?user_id=%40ann%3Aour.example";
    let refused = internet.request(signed(&a, target, None));
    assert_eq!(refused.headers()["retry-after"], "2");
    let body: Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    assert_eq!(body["retry_after_ms"], 2000);
}

#[test]
fn gen_8_whoever_only_names_a_server_takes_nothing_from_it() {
    let mut internet = internet(PER_SERVER);
    let (a, liar) = (own("a.example", 5), own("a.example", 9));
    ask(&mut internet, &a);
    for _ in 0..10 * PER_SERVER {
        assert_eq!(ask(&mut internet, &liar), StatusCode::UNAUTHORIZED);
    }
    for _ in 1..PER_SERVER {
        assert_eq!(ask(&mut internet, &a), StatusCode::OK);
    }
}

/// If it did, all who are refused meanwhile would take the room of others.
#[test]
fn gen_8_a_refusal_does_not_wait_for_the_disk() {
    let mut internet = internet(PER_SERVER);
    let (a, b, liar) = (
        own("a.example", 5),
        own("b.example", 6),
        own("a.example", 9),
    );
    assert_eq!(ask(&mut internet, &a), StatusCode::OK);
    internet.disk_is_stuck = true;
    assert_eq!(ask(&mut internet, &b), StatusCode::OK);
    assert_eq!(ask(&mut internet, &liar), StatusCode::UNAUTHORIZED);
    for _ in 1..PER_SERVER {
        assert_eq!(ask(&mut internet, &a), StatusCode::OK);
    }
    assert_eq!(ask(&mut internet, &a), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn gen_8_a_servers_requests_wait_for_each_other_and_others_do_not_wait_for_them() {
    let mut internet = internet(100);
    let (a, b) = (own("a.example", 5), own("b.example", 6));
    for user in 1..=50 {
        assert_eq!(ask_about(user, &mut internet, &a), StatusCode::OK);
    }
    let at_work = internet.questions();
    assert!(at_work < 20, "{at_work} at work at once");
    assert_eq!(ask(&mut internet, &b), StatusCode::OK);
    assert_eq!(internet.questions(), at_work + 1);
    let mut answered = 0;
    while internet.questions() > 0 {
        answered += internet.questions();
        internet.tell();
    }
    assert_eq!(answered, 51);
}

/// TXN-8, TXN-10: a few transactions of a server wait for the one before them; what comes on top of
/// these comes too early, and other servers' do not wait.
#[test]
fn txn_8_a_second_transaction_waits_for_the_first() {
    let mut internet = internet(100);
    let (a, b) = (own("a.example", 5), own("b.example", 6));
    ask(&mut internet, &a);
    ask(&mut internet, &b);
    internet.disk_is_slow = true;
    let mut send = |keys: &OwnKeys, number: usize| {
        let body = json!({ "origin": keys.server_name(), "origin_server_ts": 1, "pdus": [] });
        let target = format!("/_matrix/federation/v1/send/{number}");
        internet.begin(signed(keys, &target, Some(&body)))
    };
    for number in 0..3 {
        assert!(send(&a, number).is_none(), "{number} waits");
    }
    for number in 3..10 {
        let refused = send(&a, number).unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let body: Value = serde_json::from_slice(refused.body()).unwrap();
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    }
    assert!(send(&b, 0).is_none());
    assert_eq!(internet.quicken_disk(), 4);
}
