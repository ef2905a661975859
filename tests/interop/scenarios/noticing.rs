//! What users notice of each other that is no event: who types, who has read what, who is there.
//! And whose a token is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::failure::{Failure, demand};
use crate::person::eventually;
use crate::stage::Stage;

/// Looks at what is new to a user, from a moment on.
struct Watch<'c> {
    client: &'c Client,
    since: Value,
}

impl<'c> Watch<'c> {
    fn begin(client: &'c Client) -> Result<Self, Failure> {
        let since = client.sync(None, Duration::ZERO)?["next_batch"].clone();
        Ok(Self { client, since })
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        eventually(what, || {
            let wait = Duration::from_millis(500);
            let news = self.client.sync(self.since.as_str(), wait)?;
            self.since = news["next_batch"].clone();
            Ok(is_it(&news))
        })
    }

    /// Waits for an ephemeral event of this type in a room.
    fn until_in(
        &mut self,
        room: &str,
        kind: &str,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<(), Failure> {
        self.until(what, |news| {
            let events = &news["rooms"]["join"][room]["ephemeral"]["events"];
            let mut events = events.as_array().into_iter().flatten();
            events.any(|event| event["type"] == kind && is_it(&event["content"]))
        })
    }
}

/// Each sees that the other types, and when they stop.
pub fn typing(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob, room) = stage.shared_room()?;
    for (who, other) in [(&alice, &bob), (&bob, &alice)] {
        let mut watch = Watch::begin(&other.client)?;
        let path = format!("v3/rooms/{}/typing/{}", segment(&room), segment(who.id()));
        for (body, users) in [
            (
                json!({"typing": true, "timeout": 30_000}),
                json!([who.id()]),
            ),
            (json!({"typing": false}), json!([])),
        ] {
            who.client.ask("PUT", &path, Some(&body))?;
            let what = format!("those who type are {users}");
            watch.until_in(&room, "m.typing", &what, |content| {
                content["user_ids"] == users
            })?;
        }
    }
    Ok(())
}

/// Each sees what the other has read.
pub fn receipts(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    for turn in ["first", "second"] {
        let (speaker, reader) = match turn {
            "first" => (&alice, &mut bob),
            _ => (&bob, &mut alice),
        };
        let mut watch = Watch::begin(&speaker.client)?;
        let event = speaker.client.say(&room, turn, turn)?;
        reader.watch_event(&room, &event)?;
        let (room_segment, event_segment) = (segment(&room), segment(&event));
        let path = format!("v3/rooms/{room_segment}/receipt/m.read/{event_segment}");
        reader.client.ask("POST", &path, Some(&json!({})))?;
        watch.until_in(&room, "m.receipt", "the message was read", |content| {
            content[&event]["m.read"][reader.id()]["ts"].is_number()
        })?;
    }
    Ok(())
}

/// Each sees that the other is there, and what they say of it.
pub fn presence(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob, _) = stage.shared_room()?;
    for (who, other) in [(&alice, &bob), (&bob, &alice)] {
        let mut watch = Watch::begin(&other.client)?;
        let path = format!("v3/presence/{}/status", segment(who.id()));
        let said = format!("{} is at tea", who.id());
        let body = json!({"presence": "online", "status_msg": said});
        who.client.ask("PUT", &path, Some(&body))?;
        watch.until(&said, |news| {
            let mut told = news["presence"]["events"].as_array().into_iter().flatten();
            told.any(|event| event["sender"] == who.id() && event["content"]["status_msg"] == *said)
        })?;
        let seen = other.client.ask("GET", &path, None)?;
        demand(seen["status_msg"] == *said, format!("it was {seen}"))?;
    }
    Ok(())
}

/// By a token that a server gave its user, it tells anybody who that is; by no other.
pub fn tokens(stage: &Stage) -> Result<(), Failure> {
    for (server, user) in [(&stage.home, stage.host()?), (&stage.away, stage.guest()?)] {
        let path = format!("v3/user/{}/openid/request_token", segment(user.id()));
        let token = user.client.ask("POST", &path, Some(&json!({})))?;
        let name = server.server_name();
        demand(
            token["matrix_server_name"] == name,
            format!("it was {token}"),
        )?;
        let federation = server.door().of_federation(name);
        let secret = token["access_token"].as_str().unwrap_or_default();
        let told = federation.user_of_token(secret)?;
        demand(told["sub"] == user.id(), format!("it was {told}"))?;
        let refused = federation.user_of_token("made-up");
        let is_unauthorised = matches!(refused, Err(Failure::Refused { status: 401, .. }));
        demand(is_unauthorised, format!("it was {refused:?}"))?;
    }
    Ok(())
}
