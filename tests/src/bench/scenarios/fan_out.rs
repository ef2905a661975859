//! How fast a user's messages reach all servers of a room.
//!
//! One message goes before, so that the server knows the way to everybody; then the user says one
//! after the other, and the time ends when all remotes have all.

use crate::bench::arena::{Arena, wait_until};
use crate::bench::figures::{Better, Outcome};
use crate::bench::remote::hosted::Hosted;
use crate::bench::remote::{Remote, Server};
use crate::bench::room::Room;
use crate::homeservers::failure::Failure;

/// What the user says, again and again.
const WORDS: &str =
    "The quick brown fox jumps over the lazy dog, and so the day goes on as it did.";

/// A room on a few servers.
pub fn to_20(arena: &Arena) -> Result<Outcome, Failure> {
    fan_out(arena, arena.size(20, 20), arena.size(200, 200))
}

/// A room on many servers.
pub fn to_100(arena: &Arena) -> Result<Outcome, Failure> {
    fan_out(arena, arena.size(100, 100), arena.size(200, 50))
}

/// A room on more servers than most rooms are.
pub fn to_1000(arena: &Arena) -> Result<Outcome, Failure> {
    fan_out(arena, arena.size(1_000, 1_000), arena.size(200, 20))
}

fn fan_out(arena: &Arena, destinations: usize, messages: usize) -> Result<Outcome, Failure> {
    let remote = arena.remote(destinations)?;
    let mut room = Room::found("fan_out", remote.speaker(0)?)?;
    for number in 1..destinations {
        room.admit(&remote.speaker(number)?)?;
    }
    let room = arena.enter(&remote, Hosted::of(room, &remote))?;
    say(arena, &room, 0..1)?;
    wait_until("all know the first message", || Ok(all_have(&remote, 1)))?;
    let connections = sum(&remote, Server::connections);
    let meter = arena.meter()?;
    say(arena, &room, 1..messages + 1)?;
    let said = meter.elapsed().as_secs_f64();
    wait_until("all have all", || Ok(all_have(&remote, messages + 1)))?;
    let wall = meter.elapsed().as_secs_f64();
    meter.wait_for_rest()?;
    let usage = meter.usage()?;
    let deliveries = (messages * destinations) as f64;
    let to_each = |count: usize| count as f64 / destinations as f64;
    let transactions = sum(&remote, |server| server.inbox.transactions()) - destinations;
    let connections = sum(&remote, Server::connections) - connections;
    let milliseconds = 1000.0 * usage.cpu / deliveries;
    Ok(Outcome::of(destinations, "destinations")
        .with("messages", messages as f64, Better::Neither)
        .with("deliveries per second", deliveries / wall, Better::More)
        .with("seconds until all have all", wall, Better::Neither)
        .with("seconds until all is said", said, Better::Neither)
        .with(
            "transactions to each",
            to_each(transactions),
            Better::Neither,
        )
        .with(
            "new connections to each",
            to_each(connections),
            Better::Neither,
        )
        .with("CPU, ms per delivery", milliseconds, Better::Less)
        .with_peak(&usage)
        .with(
            "memory added, KiB per destination",
            usage.growth / 1024.0 / destinations as f64,
            Better::Neither,
        ))
}

fn say(arena: &Arena, room: &Room, numbers: std::ops::Range<usize>) -> Result<(), Failure> {
    for number in numbers {
        let (transaction, words) = (format!("m{number}"), format!("{number}: {WORDS}"));
        arena
            .user
            .say(room.room_id.as_str(), &transaction, &words)?;
    }
    Ok(())
}

fn sum(remote: &Remote, of: impl Fn(&Server) -> usize) -> usize {
    remote.servers().map(of).sum()
}

fn all_have(remote: &Remote, messages: usize) -> bool {
    remote
        .servers()
        .all(|server| server.inbox.messages() >= messages)
}
