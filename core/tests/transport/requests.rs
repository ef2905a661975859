//! Requests as they are made and taken.

use comity_core::{
    Now,
    keys::OwnKeys,
    messaging::notice::Question,
    transport::{
        client::sign,
        remote_request::{Endpoint, RemoteRequest, SignedEvent},
    },
};
use http::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    internet::Internet,
    peer::{own, signed},
};

/// One of each kind that changes something or has much to say.
fn endpoints() -> Vec<Endpoint> {
    let event = || SignedEvent {
        room_id: "!r:a.example".try_into().unwrap(),
        event_id: "$e".try_into().unwrap(),
        body: "{}".to_owned(),
    };
    let user_id = || "@ann:a.example".try_into().unwrap();
    let room_id = || "!r:a.example".try_into().unwrap();
    vec![
        Endpoint::ServerKeys,
        Endpoint::NotaryQuery {
            server: "b.example".try_into().unwrap(),
            key_id: "ed25519:1".to_owned(),
            valid_until: Default::default(),
        },
        Endpoint::SendTransaction {
            transaction_id: "1".into(),
            body: "{}".into(),
        },
        Endpoint::MakeJoin(room_id(), user_id()),
        Endpoint::SendJoin(event()),
        Endpoint::SendJoinInPart(event()),
        Endpoint::SendLeave(event()),
        Endpoint::SendKnock(event()),
        Endpoint::Invite(event()),
        Endpoint::InviteOfOld(event()),
        Endpoint::ExchangeThirdPartyInvite(room_id(), "{}".to_owned()),
        Endpoint::State(room_id(), "$e".try_into().unwrap()),
        Endpoint::MissingEvents {
            room_id: room_id(),
            earliest: Vec::new(),
            latest: Vec::new(),
            limit: 10,
            min_depth: 0,
        },
        Endpoint::PolicySign("{}".to_owned()),
        Endpoint::Question(Question::Keys([(user_id(), Vec::new())].into())),
        Endpoint::Question(Question::Devices(user_id())),
        Endpoint::Version,
    ]
}

fn request_to(keys: &OwnKeys, endpoint: Endpoint) -> Request<bytes::Bytes> {
    let request = RemoteRequest {
        destination: "a.example".try_into().unwrap(),
        endpoint,
    };
    let id = comity_core::input::CallId(1);
    sign(keys, id, &request, Now::default()).unwrap().request
}

#[test]
fn gen_2_what_is_put_and_posted_is_a_json_object() {
    let keys = own("our.example", 1);
    for endpoint in endpoints() {
        let request = request_to(&keys, endpoint);
        let body: Option<Map<String, Value>> = serde_json::from_slice(request.body()).ok();
        let says_so = request.headers().get("content-type");
        match *request.method() {
            Method::GET => assert!(request.body().is_empty() && says_so.is_none()),
            _ => assert!(body.is_some() && says_so.unwrap() == "application/json"),
        }
    }
}

/// GEN-10: the codec refuses what is longer, and a call ends at its deadline.
#[test]
fn gen_10_every_answer_is_bounded_in_bytes_and_time() {
    for endpoint in endpoints() {
        let (bytes, time) = (endpoint.response_limit(), endpoint.time_out());
        assert!((1..=500 << 20).contains(&bytes), "{endpoint:?}");
        assert!((1..=300).contains(&time.as_secs()), "{endpoint:?}");
        let is_of_a_whole_room = matches!(
            endpoint,
            Endpoint::SendJoin(_) | Endpoint::SendJoinInPart(_) | Endpoint::State(..)
        );
        assert!(is_of_a_whole_room || bytes <= 100 << 20, "{endpoint:?}");
    }
}

#[test]
fn xmtx_10_of_several_signatures_all_must_hold() {
    let keys = own("a.example", 5);
    let content = json!({ "pdus": 7 });
    let status = |other: Option<&OwnKeys>| {
        let mut internet = Internet::new().name("a.example", &["1.2.3.4"]);
        let published = Value::Object(keys.published_object(internet.wall()));
        let line = "GET /_matrix/key/v2/server";
        internet.answer("a.example", line, published.to_string());
        let target = "/_matrix/federation/v1/send/1";
        let mut request = signed(&keys, target, Some(&content));
        if let Some(other) = other {
            let second = signed(other, target, Some(&content));
            let header = second.headers()["authorization"].clone();
            request.headers_mut().append("authorization", header);
        }
        internet.request(request).status()
    };
    let accepted = status(None);
    assert_eq!(accepted, StatusCode::BAD_REQUEST, "by its body only");
    assert_eq!(status(Some(&keys)), accepted);
    let forged = own("a.example", 6);
    let of_another = own("b.example", 5);
    for wrong in [&forged, &of_another] {
        assert_eq!(status(Some(wrong)), StatusCode::UNAUTHORIZED);
    }
}
