//! How fast a server that was away gets what it missed.
//!
//! While it is away, the user says things. The clock starts with a sign of life of it: an empty
//! transaction. Comity sends all that was missed. So does a Synapse after a short outage, as this one is;
//! later it sends the newest event of a room only, and leaves it to the other to ask for what was before, as
//! the remote does at once if it has to.

use comity_core::pdu::Pdu;
use comity_core::transport::remote_request::Endpoint;
use ruma_common::OwnedEventId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bench::arena::{Arena, wait_until};
use crate::bench::figures::{Better, Outcome};
use crate::bench::link::Link;
use crate::bench::remote::Server;
use crate::bench::remote::hosted::Hosted;
use crate::bench::room::{Room, VERSION};
use crate::homeservers::failure::Failure;

/// How many events one question is for.
const PAGE: u32 = 100;

/// The answer to `backfill`.
#[derive(Deserialize)]
struct Page {
    pdus: Vec<Box<RawValue>>,
}

/// A remote that missed much in one room.
pub fn catch_up(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(1)?;
    let room = Room::found("catch_up", remote.speaker(0)?)?;
    let room = arena.enter(&remote, Hosted::of(room, &remote))?;
    let server = remote.server(0)?;
    let missed = arena.size(5_000, 1_000);
    say(arena, &room, 0)?;
    wait_until("the first message comes", || {
        Ok(server.inbox.messages() == 1)
    })?;
    server.set_away(true);
    let mut newest = None;
    for number in 1..=missed {
        newest = Some(say(arena, &room, number)?);
    }
    let mut link = arena.link()?;
    let sign_of_life = Endpoint::SendTransaction {
        transaction_id: "sign-of-life".into(),
        body: format!(
            r#"{{"edus":[],"origin":"{}","origin_server_ts":1,"pdus":[]}}"#,
            server.own.server_name()
        )
        .into(),
    };
    let sign_of_life = arena.request(&server.own, sign_of_life)?;
    let meter = arena.meter()?;
    server.set_away(false);
    link.ask(&sign_of_life)?;
    let mut questions = 0;
    wait_until("nothing is missing any more", || {
        let newest_came = last_of(server).is_some_and(|last| Some(last) == newest);
        if newest_came && server.inbox.messages() <= missed {
            questions += fetch_the_rest(arena, &mut link, server, &room, missed + 1)?;
        }
        Ok(server.inbox.messages() > missed)
    })?;
    let wall = meter.elapsed().as_secs_f64();
    meter.wait_for_rest()?;
    let usage = meter.usage()?;
    let transactions = server.inbox.transactions() - 1;
    Ok(Outcome::of(missed, "events")
        .with("events per second", missed as f64 / wall, Better::More)
        .with("transactions", transactions as f64, Better::Neither)
        .with(
            "questions the remote had to ask",
            questions as f64,
            Better::Neither,
        )
        .with_costs(&usage, missed, "event"))
}

/// Returns the event's id.
fn say(arena: &Arena, room: &Room, number: usize) -> Result<OwnedEventId, Failure> {
    let words = format!("{number}: and so the day goes on as it did.");
    let said = arena
        .user
        .say(room.room_id.as_str(), &format!("m{number}"), &words)?;
    OwnedEventId::try_from(said).map_err(Failure::while_doing("reading an event's id"))
}

fn last_of(server: &Server) -> Option<OwnedEventId> {
    let event = Pdu::parse(server.inbox.last()?.get(), VERSION).ok()?;
    Some(event.event_id().to_owned())
}

/// Asks for what is before the newest event, page by page. Returns how often.
fn fetch_the_rest(
    arena: &Arena,
    link: &mut Link,
    server: &Server,
    room: &Room,
    all: usize,
) -> Result<usize, Failure> {
    let mut from = last_of(server);
    let mut questions = 0;
    while let Some(event_id) = from.filter(|_| server.inbox.messages() < all) {
        let endpoint = Endpoint::Backfill {
            room_id: room.room_id.clone(),
            from: vec![event_id.clone()],
            limit: PAGE,
        };
        let answer = link.ask(&arena.request(&server.own, endpoint)?)?;
        questions += 1;
        server.inbox.take_answer(answer.body());
        let page: Page = serde_json::from_slice(answer.body())
            .map_err(Failure::while_doing("reading history"))?;
        let events = page
            .pdus
            .iter()
            .map(|event| Pdu::parse(event.get(), VERSION));
        let oldest = events.filter_map(Result::ok).min_by_key(Pdu::depth);
        let oldest = oldest.map(|event| event.event_id().to_owned());
        from = oldest.filter(|oldest| *oldest != event_id);
    }
    Ok(questions)
}
