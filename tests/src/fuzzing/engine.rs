//! A whole server, and what another one sends it: requests, and answers to its own.

use bytes::Bytes;
use comity_core::{Call, input::CallError, messaging::command::Command};
use http::{Method, Response, StatusCode};
use ruma_common::ServerName;
use serde_json::{Value, json};

use super::{
    actors::{OURS, Setup, keys, setup, theirs, truthful},
    server::Server,
};
use crate::requests::signed;

/// A transaction of `a.example`, signed, with its events signed.
///
/// It is answered once, with what the specification says of an answer, and so is the next request.
pub fn transaction(bytes: &[u8]) {
    let (setup, Ok(text)) = (setup(), str::from_utf8(bytes)) else {
        return;
    };
    let Ok(mut body) = serde_json::from_str(&setup.filled_in(text)) else {
        return;
    };
    setup.sign(&mut body);
    let mut server = setup.server();
    let target = "/_matrix/federation/v1/send/1";
    if let Some(answer) = ask(&mut server, &Method::PUT, target, Some(&body)) {
        let again = ask(&mut server, &Method::PUT, target, Some(&body));
        if answer.status().is_success() {
            let again = again.expect("it was sent before");
            assert_eq!(answer.body(), again.body(), "TXN-7");
        }
    }
    still_serves(&mut server);
}

/// Any request of `a.example`, signed: a line with its method and target, then its body.
pub fn requests(bytes: &[u8]) {
    let (setup, Ok(text)) = (setup(), str::from_utf8(bytes)) else {
        return;
    };
    let text = setup.filled_in(text);
    let (line, body) = text.split_once('\n').unwrap_or((&text, ""));
    let Some((method, target)) = line.split_once(' ') else {
        return;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let mut body = serde_json::from_str(body).ok();
    if let Some(body) = &mut body {
        setup.sign(body);
    }
    let mut server = setup.server();
    ask(&mut server, &method, target, body.as_ref());
    still_serves(&mut server);
}

/// What others answer to what our server asks them in the course of one task: a letter that says
/// which, then the answers, with empty lines between them. An answer that begins with three digits
/// and a space has that status.
pub fn responses(bytes: &[u8]) {
    let (setup, Ok(text)) = (setup(), str::from_utf8(bytes)) else {
        return;
    };
    let text = setup.filled_in(text);
    let mut letters = text.chars();
    let Some(letter) = letters.next() else {
        return;
    };
    let mut answers = letters.as_str().trim_start_matches('\n').split("\n\n");
    let mut server = setup.server();
    let mut outside = |call: &Call| {
        let of_a_liar = letter == 'k' && call.address.host_header == "c.example";
        match call.request.uri().path() {
            path if path.starts_with("/_matrix/key/") && !of_a_liar => truthful(call),
            path if path.starts_with("/.well-known/") => truthful(call),
            _ => answer(setup, answers.next()),
        }
    };
    match task(letter, setup) {
        Task::Command(command) => drop(server.command(command, &mut outside)),
        Task::Request(of, target, body) => {
            let ours = name(OURS);
            let request = signed(&of, ours, Method::PUT, target, Some(&body));
            drop(server.request(request.expect("a good request"), &mut outside));
        }
    }
    still_serves(&mut server);
}

enum Task {
    Command(Command),
    Request(comity_core::keys::OwnKeys, &'static str, Value),
}

/// What our server has to do.
fn task(letter: char, setup: &Setup) -> Task {
    let user_id = || "@bob:a.example".try_into().expect("a user");
    let ann = || "@ann:our.example".try_into().expect("a user");
    let far = || "!far:a.example".try_into().expect("a room");
    let room = |name: &str| setup.filled_in(name).try_into().expect("a room");
    let via = || vec![name("a.example").to_owned()];
    let content = serde_json::Map::new;
    Task::Command(match letter {
        'a' => Command::ResolveAlias("#a:a.example".try_into().expect("an alias")),
        'b' => Command::Backfill {
            room_id: room("<10 room>"),
            limit: 10,
        },
        'c' => {
            let wanted = [("D".to_owned(), "signed_curve25519".to_owned())].into();
            Command::ClaimKeys([(user_id(), wanted)].into())
        }
        'd' => Command::ListDevices(user_id()),
        'h' => Command::Hierarchy {
            user_id: ann(),
            room_id: far(),
            via: via(),
            suggested_only: false,
        },
        'j' => Command::Join {
            user_id: ann(),
            room_id: far(),
            via: via(),
            content: content(),
        },
        'i' => Command::Invite {
            sender: ann(),
            target: "@carol:a.example".try_into().expect("a user"),
            room_id: room("<10 room>"),
            content: content(),
        },
        'k' => {
            let body = json!({ "pdus": [] });
            return Task::Request(keys("c.example", 9), "/_matrix/federation/v1/send/1", body);
        }
        'n' => Command::Knock {
            user_id: ann(),
            room_id: far(),
            via: via(),
            content: content(),
        },
        'o' => Command::OpenIdUser {
            server: name("a.example").to_owned(),
            token: "t".to_owned(),
        },
        'p' => Command::Profile(user_id()),
        'q' => Command::QueryKeys([(user_id(), Vec::new())].into()),
        'r' => Command::PublicRooms {
            server: name("a.example").to_owned(),
            wanted: serde_json::from_value(json!({})).expect("all of them"),
        },
        // Events with a gap before them.
        _ => {
            let room = "<10 room>";
            let power = "<10 m.room.power_levels>";
            let event = json!({
                "type": "m.room.message", "room_id": room, "sender": "@bob:a.example",
                "content": { "body": "after the gap" }, "depth": 30,
                "prev_events": ["$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
                "auth_events": ["<10 m.room.create>", power, "<10 m.room.member @bob:a.example>"],
            });
            let text = json!({ "pdus": [event] }).to_string();
            let mut body = serde_json::from_str(&setup.filled_in(&text)).expect("JSON");
            setup.sign(&mut body);
            return Task::Request(theirs(), "/_matrix/federation/v1/send/1", body);
        }
    })
}

fn answer(setup: &Setup, text: Option<&str>) -> Result<Response<Bytes>, CallError> {
    let Some(text) = text else {
        return Err(CallError::Connect("nobody is there".to_owned()));
    };
    let (status, text) = match text.split_at_checked(4) {
        Some((digits, rest)) if digits.ends_with(' ') => (digits.trim_end().parse(), rest),
        _ => (Ok(StatusCode::OK), text),
    };
    let body = match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            setup.sign(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    Ok(response)
}

/// The answer to a request of `a.example`, which is as an answer must be.
fn ask(
    server: &mut Server,
    method: &Method,
    target: &str,
    body: Option<&Value>,
) -> Option<Response<Bytes>> {
    let request = signed(&theirs(), name(OURS), method.clone(), target, body)?;
    let answer = server.request(request, &mut truthful);
    if let Ok(body) = serde_json::from_slice::<Value>(answer.body()) {
        let has_code = body.get("errcode").is_some_and(Value::is_string);
        let is_refusal = answer.status().is_client_error() || answer.status().is_server_error();
        assert!(has_code || !is_refusal, "{answer:?}");
    }
    Some(answer)
}

/// Whatever came before, the next request is served.
fn still_serves(server: &mut Server) {
    let target = "/_matrix/federation/v1/query/directory?room_alias=%23a%3Aour.example";
    let answer = ask(server, &Method::GET, target, None);
    let status = answer.map(|answer| answer.status());
    assert_eq!(status, Some(StatusCode::NOT_FOUND));
}

fn name(server: &str) -> &ServerName {
    server.try_into().expect("a server name")
}
