//! `comity room watch`: what happens, as it happens.

use std::error::Error;

use comity_core::transport::path::path_segment;
use serde_json::{Map, Value};

use super::{
    client::Client,
    commands::Output,
    show::{self, text_of},
};
use crate::cli::CommandResult;

/// How long each request waits for news, in milliseconds.
const WAIT: u32 = 30_000;

/// Prints new events until the process is stopped.
pub(super) fn watch(client: &Client, output: Output, room: Option<&str>) -> CommandResult {
    let room_id = room.map(|room| client.room_id(room)).transpose()?;
    let filter = path_segment(r#"{"room":{"timeline":{"limit":0}}}"#);
    let first = client.get(&format!("sync?filter={filter}"))?;
    let mut since = text_of(&first, "/next_batch");
    loop {
        let path = format!("sync?since={}&timeout={WAIT}", path_segment(&since));
        let answer = client.get(&path)?;
        print_news(client, output, room_id.as_deref(), &answer, &since)?;
        since = text_of(&answer, "/next_batch");
    }
}

fn print_news(
    client: &Client,
    output: Output,
    wanted: Option<&str>,
    answer: &Value,
    since: &str,
) -> Result<(), Box<dyn Error>> {
    let none = Map::new();
    let is_wanted = |room_id: &str| wanted.is_none_or(|wanted| wanted == room_id);
    for kind in ["join", "leave"] {
        let rooms = answer
            .pointer(&format!("/rooms/{kind}"))
            .and_then(Value::as_object);
        for (room_id, room) in rooms.unwrap_or(&none) {
            if is_wanted(room_id) {
                print_room(client, output, room_id, room, since)?;
            }
        }
    }
    let invites = answer.pointer("/rooms/invite").and_then(Value::as_object);
    for (room_id, room) in invites.unwrap_or(&none) {
        if is_wanted(room_id) {
            let mut invite = room.clone();
            if let Value::Object(invite) = &mut invite {
                invite.insert("room_id".to_owned(), room_id.as_str().into());
            }
            output.print(&invite, |_| vec![format!("{room_id}  * you are invited")])?;
        }
    }
    Ok(())
}

/// Prints a room's new events; what the timeline left out is fetched first.
fn print_room(
    client: &Client,
    output: Output,
    room_id: &str,
    room: &Value,
    since: &str,
) -> Result<(), Box<dyn Error>> {
    let mut events: Vec<Value> = Vec::new();
    if room.pointer("/timeline/limited") == Some(&Value::Bool(true)) {
        let from = text_of(room, "/timeline/prev_batch");
        let range = format!("messages?dir=b&limit=500&from={from}&to={since}");
        let missed = client.get(&client.room_path(room_id, &range)?)?;
        events.extend(show::list(&missed, "/chunk").into_iter().rev().cloned());
    }
    events.extend(show::list(room, "/timeline/events").into_iter().cloned());
    for event in &events {
        output.print(event, |event| {
            vec![format!("{room_id}  {}", show::event(event))]
        })?;
    }
    Ok(())
}
