//! What is refused, and with which code.

use super::*;

#[test]
fn a_token_is_needed_and_must_be_known() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    assert_eq!(alice.get("account/whoami")["user_id"], alice.user_id);
    let nobody = Client {
        token: "comity_wrong".into(),
        ..stage.client("alice")
    };
    let refused = nobody.refused(Method::GET, "sync", &json!({}));
    assert_eq!(refused, (401, "M_UNKNOWN_TOKEN".into()));
    let bare = http::Request::get("/_matrix/client/v3/sync")
        .body(Bytes::new())
        .unwrap();
    let answer: Value = serde_json::from_slice(stage.api.handle(&bare).body()).unwrap();
    assert_eq!(answer["errcode"], "M_MISSING_TOKEN");
    alice.post("logout", &json!({}));
    let refused = alice.refused(Method::GET, "sync", &json!({}));
    assert_eq!(refused, (401, "M_UNKNOWN_TOKEN".into()));
}

#[test]
fn strangers_are_refused_whatever_they_ask_of_a_room_that_exists_or_not() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "invite": [bob.user_id] }));
    let event_id = alice.say(&room_id, "secret");
    let eve = stage.client("eve");
    let reads = [
        "state".to_owned(),
        "state/m.room.name".to_owned(),
        "messages?dir=b".to_owned(),
        "members".to_owned(),
        "joined_members".to_owned(),
        format!("event/{event_id}"),
    ];
    for stranger in [&bob, &eve] {
        for (room_id, path) in reads
            .iter()
            .flat_map(|path| [&*room_id, "!none:here.example"].map(|room_id| (room_id, path)))
        {
            let path = format!("rooms/{room_id}/{path}");
            let refused = stranger.refused(Method::GET, &path, &json!({}));
            assert_eq!(refused, (403, "M_FORBIDDEN".into()), "{path}");
        }
        let path = "rooms/!none:here.example/send/m.room.message/1";
        let refused = stranger.refused(Method::PUT, path, &json!({}));
        assert_eq!(refused, (403, "M_FORBIDDEN".into()));
    }
}

#[test]
fn an_event_of_another_room_is_not_found() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let (one, two) = (alice.create_room(&json!({})), alice.create_room(&json!({})));
    let event_id = alice.say(&two, "there");
    let path = format!("rooms/{one}/event/{event_id}");
    assert_eq!(
        alice.refused(Method::GET, &path, &json!({})),
        (404, "M_NOT_FOUND".into())
    );
}

/// Method and path, body, and what comes of it.
const WRONG: &[(&str, &str, u16, &str)] = &[
    ("POST createRoom", "[]", 400, "M_BAD_JSON"),
    ("POST createRoom", r#"{"name":7}"#, 400, "M_BAD_JSON"),
    (
        "POST createRoom",
        r#"{"preset":"open"}"#,
        400,
        "M_INVALID_PARAM",
    ),
    (
        "POST createRoom",
        r#"{"room_version":"1e9"}"#,
        400,
        "M_UNSUPPORTED_ROOM_VERSION",
    ),
    (
        "POST createRoom",
        r#"{"invite":["bob"]}"#,
        400,
        "M_INVALID_PARAM",
    ),
    ("POST join/tea", "{}", 400, "M_INVALID_PARAM"),
    ("POST join/!far:there.example", "{}", 502, "M_UNKNOWN"),
    ("GET sync?since=yesterday", "", 400, "M_INVALID_PARAM"),
    ("GET rooms/{room}/messages", "", 400, "M_INVALID_PARAM"),
    ("GET rooms/{room}/state/m.none", "", 404, "M_NOT_FOUND"),
    ("POST rooms/{room}/kick", "{}", 400, "M_BAD_JSON"),
    (
        "PUT profile/@bob:here.example/displayname",
        r#"{"displayname":"B"}"#,
        403,
        "M_FORBIDDEN",
    ),
    ("GET profile/@none:here.example", "", 404, "M_NOT_FOUND"),
    ("GET nothing", "", 404, "M_UNRECOGNIZED"),
    ("PATCH sync", "", 405, "M_UNRECOGNIZED"),
];

/// ERR-10.
#[test]
fn wrong_requests_are_refused_with_the_code_that_says_why() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    for (endpoint, body, status, errcode) in WRONG {
        let (method, path) = endpoint.split_once(' ').unwrap();
        let path = path.replace("{room}", &room_id);
        let body = serde_json::from_str(body).unwrap_or_default();
        let refused = alice.refused(method.parse().unwrap(), &path, &body);
        assert_eq!(
            refused,
            (*status, (*errcode).to_owned()),
            "{endpoint} {body}"
        );
    }
}

#[test]
fn a_body_that_is_no_json_says_so_and_browsers_may_ask_from_anywhere() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let request = http::Request::post("/_matrix/client/v3/createRoom")
        .header("authorization", format!("Bearer {}", alice.token))
        .body(Bytes::from_static(b"{"))
        .unwrap();
    let response = stage.api.handle(&request);
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["errcode"], "M_NOT_JSON");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let preflight = http::Request::options("/_matrix/client/v3/sync")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(stage.api.handle(&preflight).status(), 200);
}
