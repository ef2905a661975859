//! The commands that ask once.

use std::io::{self, Write};

use comity_core::transport::path::path_segment;
use serde_json::{Value, json};

use super::{
    CreateArguments,
    client::Client,
    show::{self, text_of},
};
use crate::{cli::CommandResult, random};

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Prints what the server answered, or what it means to people.
    pub(super) fn print(
        self,
        answer: &Value,
        lines: impl FnOnce(&Value) -> Vec<String>,
    ) -> CommandResult {
        let lines = match self.json {
            true => vec![answer.to_string()],
            false => lines(answer),
        };
        let mut stdout = io::stdout().lock();
        lines
            .iter()
            .try_for_each(|line| writeln!(stdout, "{line}"))?;
        Ok(stdout.flush()?)
    }
}

pub(super) fn create(client: &Client, output: Output, room: &CreateArguments) -> CommandResult {
    let mut body = json!({
        "preset": if room.public { "public_chat" } else { "private_chat" },
        "invite": room.invite,
    });
    let options = [
        ("name", &room.name),
        ("topic", &room.topic),
        ("room_alias_name", &room.alias),
        ("room_version", &room.room_version),
    ];
    if let Value::Object(body) = &mut body {
        for (key, value) in options {
            body.extend(
                value
                    .iter()
                    .map(|value| (key.to_owned(), value.as_str().into())),
            );
        }
    }
    let created = client.post("createRoom", &body)?;
    output.print(&created, |created| vec![text_of(created, "/room_id")])
}

pub(super) fn join(client: &Client, output: Output, room: &str, via: &[String]) -> CommandResult {
    let via = via
        .iter()
        .map(|server| format!("via={}", path_segment(server)));
    let query = via.collect::<Vec<_>>().join("&");
    let joined = client.post(&format!("join/{}?{query}", path_segment(room)), &json!({}))?;
    output.print(&joined, |joined| vec![text_of(joined, "/room_id")])
}

pub(super) fn leave(
    client: &Client,
    output: Output,
    room: &str,
    reason: Option<&str>,
) -> CommandResult {
    let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let left = client.post(&client.room_path(room, "leave")?, &body)?;
    output.print(&left, |_| Vec::new())
}

pub(super) fn invite(client: &Client, output: Output, room: &str, user: &str) -> CommandResult {
    let body = json!({ "user_id": user });
    let invited = client.post(&client.room_path(room, "invite")?, &body)?;
    output.print(&invited, |_| Vec::new())
}

pub(super) fn send(client: &Client, output: Output, room: &str, text: &str) -> CommandResult {
    let transaction = random::name::<20>()?;
    let path = client.room_path(room, &format!("send/m.room.message/{transaction}"))?;
    let sent = client.put(&path, &json!({ "msgtype": "m.text", "body": text }))?;
    output.print(&sent, |sent| vec![text_of(sent, "/event_id")])
}

pub(super) fn history(client: &Client, output: Output, room: &str, limit: u32) -> CommandResult {
    let path = client.room_path(room, &format!("messages?dir=b&limit={limit}"))?;
    let page = client.get(&path)?;
    output.print(&page, |page| {
        let events = show::list(page, "/chunk");
        events
            .iter()
            .rev()
            .map(|event| show::event(event))
            .collect()
    })
}

pub(super) fn members(client: &Client, output: Output, room: &str) -> CommandResult {
    let members = client.get(&client.room_path(room, "members")?)?;
    output.print(&members, |members| {
        show::list(members, "/chunk")
            .iter()
            .map(|event| show::member(event))
            .collect()
    })
}

pub(super) fn state(
    client: &Client,
    output: Output,
    room: &str,
    event_type: Option<&str>,
    state_key: &str,
) -> CommandResult {
    let rest = match event_type {
        None => "state".to_owned(),
        Some(event_type) => {
            format!(
                "state/{}/{}",
                path_segment(event_type),
                path_segment(state_key)
            )
        }
    };
    let state = client.get(&client.room_path(room, &rest)?)?;
    output.print(&state, |state| match state {
        Value::Array(events) => events.iter().map(show::state_event).collect(),
        content => vec![format!("{content:#}")],
    })
}

pub(super) fn list(client: &Client, output: Output) -> CommandResult {
    let filter = path_segment(r#"{"room":{"timeline":{"limit":0}}}"#);
    let answer = client.get(&format!("sync?filter={filter}"))?;
    let rooms = answer.get("rooms").cloned().unwrap_or_default();
    output.print(&rooms, show::rooms)
}
