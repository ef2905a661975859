//! The API as a client sees it, over a world in memory.

mod account_data;
mod context;
mod devices;
mod errors;
mod hearing;
mod keys;
mod leaving;
mod login;
mod messages;
mod operating;
mod rooms;
mod sync;
mod world;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use comity_core::messaging::notice::{InviteRefusal, Question, Told};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Api;
use crate::{accounts::Accounts, questions};
use world::{SERVER, World};

/// An API over a world, and its users.
struct Stage {
    world: Arc<World>,
    api: Arc<Api>,
    accounts: Arc<Accounts>,
    _directory: TempDir,
}

/// A client that holds a token.
struct Client {
    api: Arc<Api>,
    user_id: String,
    token: String,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Arc::new(Accounts::open(directory.path()).unwrap());
        let world = Arc::new(World::default());
        let api = Api::new(
            SERVER.try_into().unwrap(),
            world.clone(),
            accounts.clone(),
            BTreeSet::new(),
        )
        .unwrap()
        .operated_by(["olga".to_owned()]);
        Self {
            world,
            api: Arc::new(api),
            accounts,
            _directory: directory,
        }
    }

    fn client(&self, name: &str) -> Client {
        self.accounts.add_user(name).unwrap();
        let token = self.accounts.add_token(name).unwrap();
        Client {
            api: self.api.clone(),
            user_id: format!("@{name}:{SERVER}"),
            token,
        }
    }
}

impl Client {
    fn request(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/_matrix/client/v3/{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let response = self.api.handle(&request);
        (
            response.status(),
            serde_json::from_slice(response.body()).unwrap(),
        )
    }

    fn ok(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request(method, path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, &json!({}))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::POST, path, body)
    }

    fn put(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::PUT, path, body)
    }

    /// The status and error code of a request that fails.
    fn refused(&self, method: Method, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.request(method, path, body);
        (
            status.as_u16(),
            answer["errcode"].as_str().unwrap_or_default().to_owned(),
        )
    }

    fn create_room(&self, body: &Value) -> String {
        self.post("createRoom", body)["room_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn say(&self, room_id: &str, text: &str) -> String {
        let body = json!({ "msgtype": "m.text", "body": text });
        let path = format!("rooms/{room_id}/send/m.room.message/{text}");
        self.put(&path, &body)["event_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn sync(&self, query: &str) -> Value {
        self.get(&format!("sync?{query}"))
    }
}

/// The bodies of the messages in a list of events.
fn bodies(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// The ids of a list of events.
fn ids(events: &Value) -> Vec<&str> {
    events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

/// The query of a sync that goes on after another's answer.
fn since(answer: &Value) -> String {
    format!("since={}", text(answer, "next_batch"))
}
