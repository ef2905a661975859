//! A small blocking client of the Matrix Client-Server API, the same for every server.
//!
//! Only what the scenarios need, with paths and shapes as in the specification, version 3 of the
//! endpoints. Events stay `Value`s: scenarios compare what servers say, they do not interpret.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::failure::Failure;

/// How long a server may take over one request, a join through a slow machine included.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// What may stand unescaped in a path segment (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The address of a server's client API, or of another of its APIs.
#[derive(Clone)]
pub struct Door {
    agent: Agent,
    base_url: String,
}

impl Door {
    /// `base_url` has no slash at its end; `roots` are trusted when it is `https`.
    pub fn new(base_url: String, roots: RootCerts) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(REQUEST_PATIENCE))
            .build();
        Self {
            agent: config.into(),
            base_url,
        }
    }

    /// Its address, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// `GET /versions`: whether the server is there.
    pub fn versions(&self) -> Result<Value, Failure> {
        self.call("GET", "/_matrix/client/versions", None, None)
    }

    /// `POST /register` with no more proof than `m.login.dummy`.
    pub fn register(&self, localpart: &str, password: &str) -> Result<Client, Failure> {
        let body = json!({
            "username": localpart,
            "password": password,
            "auth": {"type": "m.login.dummy"},
        });
        let answer = self.call("POST", "/_matrix/client/v3/register", None, Some(&body))?;
        self.client(text(&answer, "access_token")?)
    }

    /// The user a token stands for.
    pub fn client(&self, token: String) -> Result<Client, Failure> {
        let whoami = "/_matrix/client/v3/account/whoami";
        let answer = self.call("GET", whoami, Some(&token), None)?;
        Ok(Client {
            door: self.clone(),
            token,
            user_id: text(&answer, "user_id")?,
        })
    }

    /// Where the server of this name serves others, which is asked as anybody may ask it.
    pub fn of_federation(&self, server_name: &str) -> Self {
        Self {
            base_url: format!("https://{server_name}"),
            ..self.clone()
        }
    }

    /// `GET /openid/userinfo`: whose a token is.
    pub fn user_of_token(&self, token: &str) -> Result<Value, Failure> {
        let path = "/_matrix/federation/v1/openid/userinfo?access_token=";
        self.call("GET", &format!("{path}{}", segment(token)), None, None)
    }

    /// Any page that is no JSON.
    pub fn page(&self, path: &str) -> Result<String, Failure> {
        match self.call("GET", path, None, None)? {
            Value::String(text) => Ok(text),
            json => Ok(json.to_string()),
        }
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let request = format!("{method} {}{path}", self.base_url);
        let (status, body) =
            self.exchange(method, path, token, body)
                .map_err(|error| Failure::Unreachable {
                    request: request.clone(),
                    reason: error.to_string(),
                })?;
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        match status {
            200..=299 => Ok(body),
            _ => Err(Failure::Refused {
                request,
                status,
                body,
            }),
        }
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, String), ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                self.agent.run(request.body(body.to_string())?)?
            }
            None => self.agent.run(request.body(())?)?,
        };
        Ok((
            response.status().as_u16(),
            response.body_mut().read_to_string()?,
        ))
    }
}

/// One user of one server.
#[derive(Clone)]
pub struct Client {
    door: Door,
    token: String,
    user_id: String,
}

/// One answer of `GET /rooms/{roomId}/messages`.
pub struct Page {
    /// Its events, newest first.
    pub chunk: Vec<Value>,
    /// Where the next page begins; none at the end of the history.
    pub end: Option<String>,
}

impl Client {
    /// The same user over connections of its own, for use beside this one.
    pub fn apart(&self) -> Self {
        let agent = Agent::new_with_config(self.door.agent.config().clone());
        Self {
            door: Door {
                agent,
                ..self.door.clone()
            },
            ..self.clone()
        }
    }

    /// Whom this client acts as.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Creates a room; `options` are merged over the version. Returns its id.
    pub fn create_room(&self, version: &str, options: &Value) -> Result<String, Failure> {
        let mut body = json!({"room_version": version});
        merge(&mut body, options);
        text(&self.post("createRoom", &body)?, "room_id")
    }

    /// Joins by id or alias; `via` names servers that may know the room. Returns its id.
    pub fn join(&self, room_or_alias: &str, via: &[&str]) -> Result<String, Failure> {
        let servers: Vec<String> = via
            .iter()
            .map(|name| format!("via={}", segment(name)))
            .collect();
        let path = format!("join/{}?{}", segment(room_or_alias), servers.join("&"));
        text(
            &self.post(path.trim_end_matches('?'), &json!({}))?,
            "room_id",
        )
    }

    /// Leaves, or refuses an invite.
    pub fn leave(&self, room: &str) -> Result<(), Failure> {
        self.post(&format!("rooms/{}/leave", segment(room)), &json!({}))
            .map(drop)
    }

    /// Invites a user.
    pub fn invite(&self, room: &str, user: &str) -> Result<(), Failure> {
        self.change_membership("invite", room, user)
    }

    /// Puts a user out.
    pub fn kick(&self, room: &str, user: &str) -> Result<(), Failure> {
        self.change_membership("kick", room, user)
    }

    /// Puts a user out for good.
    pub fn ban(&self, room: &str, user: &str) -> Result<(), Failure> {
        self.change_membership("ban", room, user)
    }

    /// Lifts a ban.
    pub fn unban(&self, room: &str, user: &str) -> Result<(), Failure> {
        self.change_membership("unban", room, user)
    }

    /// Sends a text message under a transaction id of the caller's. Returns the event id.
    pub fn say(&self, room: &str, transaction: &str, words: &str) -> Result<String, Failure> {
        let path = format!(
            "rooms/{}/send/m.room.message/{}",
            segment(room),
            segment(transaction)
        );
        let content = json!({"msgtype": "m.text", "body": words});
        text(&self.put(&path, &content)?, "event_id")
    }

    /// Redacts an event. Returns the redaction's event id.
    pub fn redact(&self, room: &str, event: &str, transaction: &str) -> Result<String, Failure> {
        let (room, event) = (segment(room), segment(event));
        let path = format!("rooms/{room}/redact/{event}/{}", segment(transaction));
        text(&self.put(&path, &json!({"reason": "interop"}))?, "event_id")
    }

    /// Sets one state event. Returns its event id.
    pub fn set_state(
        &self,
        room: &str,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Result<String, Failure> {
        text(
            &self.put(&state_path(room, kind, key), content)?,
            "event_id",
        )
    }

    /// The content of one state event.
    pub fn state(&self, room: &str, kind: &str, key: &str) -> Result<Value, Failure> {
        self.get(&state_path(room, kind, key))
    }

    /// Every current state event of the room.
    pub fn whole_state(&self, room: &str) -> Result<Vec<Value>, Failure> {
        match self.get(&format!("rooms/{}/state", segment(room)))? {
            Value::Array(events) => Ok(events),
            other => Err(Failure::Wrong(format!(
                "the state of {room} is no array: {other}"
            ))),
        }
    }

    /// The ids of the users who are joined.
    pub fn joined_members(&self, room: &str) -> Result<Vec<String>, Failure> {
        let answer = self.get(&format!("rooms/{}/joined_members", segment(room)))?;
        let joined = answer["joined"]
            .as_object()
            .map(|users| users.keys().cloned().collect());
        joined.ok_or_else(|| Failure::Wrong(format!("joined_members without joined: {answer}")))
    }

    /// The member events, of every membership.
    pub fn members(&self, room: &str) -> Result<Vec<Value>, Failure> {
        Ok(list(
            &self.get(&format!("rooms/{}/members", segment(room)))?["chunk"],
        ))
    }

    /// One event, as the server shows it to this user.
    pub fn event(&self, room: &str, event: &str) -> Result<Value, Failure> {
        self.get(&format!("rooms/{}/event/{}", segment(room), segment(event)))
    }

    /// One page of history, newest first, from `from` or else from the end of the timeline.
    pub fn messages_backwards(
        &self,
        room: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page, Failure> {
        let mut path = format!("rooms/{}/messages?dir=b&limit={limit}", segment(room));
        if let Some(from) = from {
            path.push_str(&format!("&from={}", segment(from)));
        }
        let answer = self.get(&path)?;
        let end = answer["end"].as_str().map(str::to_owned);
        Ok(Page {
            chunk: list(&answer["chunk"]),
            end,
        })
    }

    /// `GET /directory/room/{roomAlias}`: the room's id and the servers that know it.
    pub fn resolve_alias(&self, alias: &str) -> Result<Value, Failure> {
        self.get(&format!("directory/room/{}", segment(alias)))
    }

    /// A user's profile; of another server's user, too.
    pub fn profile(&self, user: &str) -> Result<Value, Failure> {
        self.get(&format!("profile/{}", segment(user)))
    }

    /// One `GET /sync`, which waits up to `wait` for something new.
    pub fn sync(&self, since: Option<&str>, wait: Duration) -> Result<Value, Failure> {
        let filter = segment(r#"{"room":{"timeline":{"limit":500}}}"#);
        let mut path = format!("sync?timeout={}&filter={filter}", wait.as_millis());
        if let Some(since) = since {
            path.push_str(&format!("&since={}", segment(since)));
        }
        self.get(&path)
    }

    /// Uploads JSON as a file. Returns its `mxc:` URI.
    pub fn upload(&self, content: &Value) -> Result<String, Failure> {
        let path = "/_matrix/media/v3/upload";
        let answer = self
            .door
            .call("POST", path, Some(&self.token), Some(content))?;
        text(&answer, "content_uri")
    }

    /// Any other endpoint, by its path below `/_matrix/client/`.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let path = format!("/_matrix/client/{path}");
        self.door.call(method, &path, Some(&self.token), body)
    }

    fn change_membership(&self, verb: &str, room: &str, user: &str) -> Result<(), Failure> {
        let body = json!({"user_id": user, "reason": "interop"});
        let body = if verb == "invite" {
            json!({"user_id": user})
        } else {
            body
        };
        self.post(&format!("rooms/{}/{verb}", segment(room)), &body)
            .map(drop)
    }

    fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None)
    }

    fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call("PUT", path, Some(body))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call("POST", path, Some(body))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.ask(method, &format!("v3/{path}"), body)
    }
}

fn state_path(room: &str, kind: &str, key: &str) -> String {
    format!(
        "rooms/{}/state/{}/{}",
        segment(room),
        segment(kind),
        segment(key)
    )
}

/// A path segment or a query value, percent-encoded.
pub fn segment(raw: &str) -> String {
    utf8_percent_encode(raw, SEGMENT).to_string()
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(answer: &Value, key: &str) -> Result<String, Failure> {
    let found = answer[key].as_str().map(str::to_owned);
    found.ok_or_else(|| Failure::Wrong(format!("an answer without {key}: {answer}")))
}
