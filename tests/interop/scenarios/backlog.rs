//! A server is away while much is said, and hears all of it afterwards.

use std::time::{Duration, Instant};
use std::{env, thread};

use serde_json::Value;

use crate::conversation::finish;
use crate::failure::{Failure, demand};
use crate::pair::Pair;
use crate::person::Person;
use crate::stage::ROOM_VERSIONS;

/// How many messages are missed, over all rooms, without `COMITY_BACKLOG`.
const DEFAULT_MESSAGES: usize = 300;

/// How long it may take until the last of so many messages is there.
const PATIENCE_FOR_EACH: Duration = Duration::from_millis(120);

/// How long it may take in any case.
const PATIENCE: Duration = Duration::from_secs(60);

/// While `victim` is down (Comity by SIGKILL, Synapse by SIGTERM), a user of the other server says
/// thousands of things in rooms of every version. Then the victim's user finds all of it in the
/// rooms' histories, in order and once.
///
/// History is the judge, not `sync`: of what comes faster than it can take it in, Synapse shows a
/// part there and asks for the rest when somebody pages back.
pub fn is_made_good(pair: &Pair, victim: usize) -> Result<(), Failure> {
    let away = pair.servers.get(victim);
    let Some(away) = away else { return Ok(()) };
    let mut rooms = Vec::new();
    for version in ROOM_VERSIONS {
        rooms.push(pair.stage(1 - victim, version).shared_room()?);
    }
    let words = words(messages()? / rooms.len().max(1));
    away.go_down()?;
    let spoken = thread::scope(|scope| {
        let speak = |(host, _, room): &(Person, Person, String)| say_all(host, room, &words);
        let speakers: Vec<_> = rooms
            .iter()
            .map(|room| scope.spawn(move || speak(room)))
            .collect();
        let ended: Vec<_> = speakers.into_iter().map(finish).collect();
        ended.into_iter().fold(Ok(()), Result::and)
    });
    away.start()?;
    spoken?;
    let patience = PATIENCE + PATIENCE_FOR_EACH * u32::try_from(words.len()).unwrap_or(u32::MAX);
    let deadline = Instant::now() + patience;
    for (host, guest, room) in &rooms {
        // Something that is said now tells a server that did not ask by itself what it lacks.
        host.client.say(room, "awake", "Are you awake?")?;
        wait_for_history(guest, host, room, &words, deadline)?;
    }
    Ok(())
}

fn messages() -> Result<usize, Failure> {
    match env::var("COMITY_BACKLOG") {
        Ok(messages) => messages
            .parse()
            .map_err(Failure::while_doing("reading COMITY_BACKLOG")),
        Err(_) => Ok(DEFAULT_MESSAGES),
    }
}

fn words(count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("missed {number}"))
        .collect()
}

fn say_all(host: &Person, room: &str, words: &[String]) -> Result<(), Failure> {
    let mut words = words.iter();
    words.try_for_each(|word| host.client.say(room, word, word).map(drop))
}

fn wait_for_history(
    guest: &Person,
    host: &Person,
    room: &str,
    words: &[String],
    deadline: Instant,
) -> Result<(), Failure> {
    loop {
        let history = guest.history(room, 100)?;
        let told = told_by(host.id(), &history);
        if told.iter().eq(words) {
            return Ok(());
        }
        let first_missing = words.iter().find(|word| !told.contains(&word.as_str()));
        demand(
            Instant::now() < deadline,
            format!(
                "{} has {} of {} in {room}; the first that is missing is {first_missing:?}",
                guest.id(),
                told.len(),
                words.len()
            ),
        )?;
        thread::sleep(Duration::from_secs(1));
    }
}

fn told_by<'h>(sender: &str, history: &'h [Value]) -> Vec<&'h str> {
    let spoken = history.iter().filter(|event| event["sender"] == sender);
    let bodies = spoken.filter_map(|event| event["content"]["body"].as_str());
    bodies.filter(|body| body.starts_with("missed")).collect()
}
