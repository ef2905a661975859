//! How fast a user pages through history that only the remote has.

use std::collections::BTreeSet;

use crate::bench::arena::Arena;
use crate::bench::figures::{Better, Outcome};
use crate::bench::remote::hosted::Hosted;
use crate::bench::room::Room;
use crate::homeservers::client::Client;
use crate::homeservers::failure::Failure;

/// How many events the client asks for at a time.
const PAGE: usize = 100;

/// How many pages without anything new make the client give up.
const EMPTY_PAGES_MAX: usize = 5;

/// A room with a long history, joined at its end.
pub fn backfill(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(1)?;
    let speaker = remote.speaker(0)?;
    let mut room = Room::found("backfill", speaker.clone())?;
    let length = arena.size(5_000, 1_000);
    let history = room.line(&speaker, length)?;
    let mut hosted = Hosted::of(room, &remote);
    hosted.learn(&history);
    let room = arena.enter(&remote, hosted)?;
    let meter = arena.meter()?;
    let (seen, pages) = page_to_the_beginning(&arena.user, room.room_id.as_str(), length)?;
    let wall = meter.elapsed().as_secs_f64();
    meter.wait_for_rest()?;
    let usage = meter.usage()?;
    let outcome = Outcome::of(length, "events")
        .with("events per second", seen as f64 / wall, Better::More)
        .with("pages", pages as f64, Better::Neither)
        .with_costs(&usage, seen, "event");
    Ok(match seen == length {
        true => outcome,
        false => outcome.remark(format!("the user saw {seen} of {length} events")),
    })
}

/// How many different messages the user came to see, and on how many pages.
fn page_to_the_beginning(
    user: &Client,
    room: &str,
    length: usize,
) -> Result<(usize, usize), Failure> {
    let mut seen = BTreeSet::new();
    let (mut from, mut pages, mut empty) = (None, 0, 0);
    while seen.len() < length && empty < EMPTY_PAGES_MAX {
        let page = user.messages_backwards(room, from.as_deref(), PAGE)?;
        let before = seen.len();
        let messages = page
            .chunk
            .iter()
            .filter(|event| event["type"] == "m.room.message");
        seen.extend(messages.filter_map(|event| event["event_id"].as_str().map(str::to_owned)));
        pages += 1;
        empty = if seen.len() > before { 0 } else { empty + 1 };
        match page.end {
            Some(end) => from = Some(end),
            None => break,
        }
    }
    Ok((seen.len(), pages))
}
