//! How fast a server takes in what others send: messages in transactions of fifty.
//!
//! The user has joined before the clock starts. The time ends when the user sees the last event. In
//! a flood every transaction goes out as soon as the one before is answered, and a server may say
//! 200 and show nothing: then the time ends when it has come to rest, and only what is seen counts.
//! Paced, never more than a hundred events of a room are on their way: so many does a Synapse hold
//! before it drops some.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use comity_core::pdu::Pdu;
use ruma_common::OwnedEventId;
use serde_json::json;

use crate::bench::arena::{Arena, sees, wait_until};
use crate::bench::figures::{Better, Outcome};
use crate::bench::link::Link;
use crate::bench::meter::{Meter, Rest};
use crate::bench::remote::Remote;
use crate::bench::remote::hosted::Hosted;
use crate::bench::room::{Room, Saying, Speaker};
use crate::bench::transactions::Transaction;
use crate::homeservers::client::Client;
use crate::homeservers::failure::Failure;

/// How many events a branch has before it is merged with its sibling.
const BRANCH: usize = 12;

/// What one origin sends, all of it in one room.
struct Stream {
    room: Room,
    events: Vec<Arc<Pdu>>,
    transactions: Vec<Transaction>,
    link: Link,
}

/// How soon the next transaction goes out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// When the one before is answered.
    Flood,
    /// When the user sees the one before that.
    Seen,
}

/// One origin, as fast as it can.
pub fn flood(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(1)?;
    let stream = line(arena, &remote, 0, arena.size(10_000, 2_000), 1)?;
    measure(arena, vec![stream], Pace::Flood)
}

/// One origin that waits.
pub fn paced(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(1)?;
    let stream = line(arena, &remote, 0, arena.size(10_000, 1_000), 1)?;
    measure(arena, vec![stream], Pace::Seen)
}

/// Eight origins at once, each in a room of its own.
pub fn eight_origins(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(8)?;
    let length = arena.size(10_000, 1_600) / 8;
    let streams = (0..8).map(|origin| line(arena, &remote, origin, length, 1));
    measure(arena, streams.collect::<Result<_, _>>()?, Pace::Seen)
}

/// One origin, in a room with a thousand members on eight servers.
pub fn many_members(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(8)?;
    let members = arena.size(1_000, 1_000);
    let stream = line(arena, &remote, 0, arena.size(10_000, 1_000), members)?;
    let outcome = measure(arena, vec![stream], Pace::Seen)?;
    Ok(outcome.with("members", members as f64, Better::Neither))
}

/// One origin whose events form branches that set the topic, each in its way, and are merged.
pub fn forks(arena: &Arena) -> Result<Outcome, Failure> {
    let remote = arena.remote(1)?;
    let (mut room, speaker) = entered(arena, &remote, 0, 1)?;
    let mut events = Vec::new();
    while events.len() < arena.size(10_000, 1_000) {
        events.extend(fork_and_merge(&mut room, &speaker, events.len())?);
    }
    let stream = stream(arena, &remote, room, &speaker, events)?;
    measure(arena, vec![stream], Pace::Seen)
}

/// Two branches in turns, and the message that merges them.
fn fork_and_merge(
    room: &mut Room,
    speaker: &Speaker,
    number: usize,
) -> Result<Vec<Arc<Pdu>>, Failure> {
    let mut ends = [room.last().cloned(), room.last().cloned()];
    let mut events = Vec::new();
    for step in 0..BRANCH {
        for (branch, end) in ends.iter_mut().enumerate() {
            let event = match step {
                0 => {
                    let topic = json!({ "topic": format!("{number} by branch {branch}") });
                    let saying = Saying {
                        event_type: "m.room.topic",
                        state_key: Some(""),
                        content: topic,
                    };
                    room.event(speaker, saying, end.as_slice())?
                }
                _ => room.message(speaker, events.len(), end.as_slice())?,
            };
            *end = Some(event.clone());
            events.push(event);
        }
    }
    let ends: Vec<Arc<Pdu>> = ends.into_iter().flatten().collect();
    let merged = room.message(speaker, number, &ends)?;
    room.take_in(merged.clone());
    events.push(merged);
    Ok(events)
}

/// A room with so many members that the user has joined, made by the remote of this number.
fn entered(
    arena: &Arena,
    remote: &Remote,
    origin: usize,
    members: usize,
) -> Result<(Room, Speaker), Failure> {
    let founder = remote.speaker(origin)?;
    let mut room = Room::found(&format!("ingest{origin}"), founder.clone())?;
    for number in 1..members {
        room.admit(&remote.speaker(origin + number)?)?;
    }
    let room = arena.enter(remote, Hosted::of(room, remote))?;
    Ok((room, founder))
}

fn line(
    arena: &Arena,
    remote: &Remote,
    origin: usize,
    length: usize,
    members: usize,
) -> Result<Stream, Failure> {
    let (mut room, speaker) = entered(arena, remote, origin, members)?;
    let events = room.line(&speaker, length)?;
    stream(arena, remote, room, &speaker, events)
}

fn stream(
    arena: &Arena,
    remote: &Remote,
    room: Room,
    speaker: &Speaker,
    events: Vec<Arc<Pdu>>,
) -> Result<Stream, Failure> {
    remote.with_room(&room.room_id, |hosted| hosted.learn(&events))?;
    Ok(Stream {
        transactions: arena.pack(&speaker.own, &events)?,
        link: arena.link()?,
        room,
        events,
    })
}

fn measure(arena: &Arena, mut streams: Vec<Stream>, pace: Pace) -> Result<Outcome, Failure> {
    let commits = arena.server.commits()?;
    let meter = arena.meter()?;
    thread::scope(|scope| {
        let pushing = streams.iter_mut().map(|stream| {
            let user = arena.user.apart();
            scope.spawn(move || stream.push(pace, &user))
        });
        let pushing: Vec<_> = pushing.collect();
        pushing.into_iter().try_for_each(|pushed| {
            let panicked = |_| Err(Failure::Wrong("an origin panicked".to_owned()));
            pushed.join().unwrap_or_else(panicked)
        })
    })?;
    let wall = until_seen_or_at_rest(arena, &meter, &streams)?;
    meter.wait_for_rest()?;
    let usage = meter.usage()?;
    let commits = commits.zip(arena.server.commits()?);
    let sent: usize = streams.iter().map(|stream| stream.events.len()).sum();
    let mut seen = 0;
    for stream in &streams {
        seen += arena.count_seen(&stream.room.room_id, &stream.events)?;
    }
    let rate = seen as f64 / wall.as_secs_f64();
    let mut outcome = Outcome::of(sent, "events")
        .with("events per second", rate, Better::More)
        .with_costs(&usage, seen, "event");
    if let Some((before, after)) = commits {
        let transactions: usize = streams.iter().map(|one| one.transactions.len()).sum();
        let each = (after - before) / transactions as f64;
        outcome = outcome.with("waits for the disk, per transaction", each, Better::Less);
    }
    Ok(match seen == sent {
        true => outcome,
        false => outcome.remark(format!("the user saw {seen} of {sent} events")),
    })
}

/// When the user saw the last event of each stream, or the server came to rest without it.
fn until_seen_or_at_rest(
    arena: &Arena,
    meter: &Meter,
    streams: &[Stream],
) -> Result<Duration, Failure> {
    let mut lookout = meter.lookout(Rest::ASKED)?;
    let mut at_rest = None;
    for stream in streams {
        wait_until("the last event is seen, or never will be", || {
            at_rest = lookout.at_rest_since()?;
            Ok(at_rest.is_some() || stream.is_seen(&arena.user)?)
        })?;
    }
    Ok(at_rest.unwrap_or_else(|| meter.elapsed()))
}

impl Stream {
    fn push(&mut self, pace: Pace, user: &Client) -> Result<(), Failure> {
        let mut before: Option<&OwnedEventId> = None;
        for transaction in &self.transactions {
            self.link.ask(&transaction.request)?;
            if let (Pace::Seen, Some(before)) = (pace, before) {
                let room_id = &self.room.room_id;
                wait_until("an event is seen", || sees(user, room_id, before))?;
            }
            before = Some(&transaction.last);
        }
        Ok(())
    }

    fn is_seen(&self, user: &Client) -> Result<bool, Failure> {
        match self.events.last() {
            Some(last) => sees(user, &self.room.room_id, last.event_id()),
            None => Ok(true),
        }
    }
}
