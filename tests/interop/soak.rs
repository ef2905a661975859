//! The long run: both talk for minutes on end while one server after the other goes down.

use std::time::{Duration, Instant};
use std::{env, thread};

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::pair::Pair;

/// How long without `COMITY_SOAK_MINUTES`.
const DEFAULT_MINUTES: u64 = 5;

/// How many messages each user says in each room in one round.
const MESSAGES_PER_ROUND: usize = 60;

/// How many rounds are spent with the same users in the same rooms.
const ROUNDS_PER_CONVERSATION: usize = 5;

/// Begins one conversation after the other on the same two servers, until the time is over.
pub fn soak(pair: &Pair) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(60 * minutes()?);
    let mut conversation = Conversation::begin(pair)?;
    for round in 1.. {
        play_round(pair, &mut conversation, round % 2 == 0)?;
        println!("soak: nothing lost, repeated or out of order after {round} rounds");
        if Instant::now() > end {
            break;
        }
        if round % ROUNDS_PER_CONVERSATION == 0 {
            conversation = Conversation::begin(pair)?;
        }
    }
    Ok(())
}

/// Both servers go down once, in either order, while all talk; then everything that was said in
/// this conversation is judged.
fn play_round(pair: &Pair, conversation: &mut Conversation, reversed: bool) -> Result<(), Failure> {
    let mut order = pair.servers.each_ref();
    if reversed {
        order.reverse();
    }
    conversation.talk(MESSAGES_PER_ROUND, |outage| {
        order.into_iter().try_for_each(|server| {
            thread::sleep(Duration::from_secs(2));
            outage.of(&**server, Duration::from_secs(1))
        })
    })?;
    conversation.judge()
}

fn minutes() -> Result<u64, Failure> {
    match env::var("COMITY_SOAK_MINUTES") {
        Ok(minutes) => minutes
            .parse()
            .map_err(Failure::while_doing("reading COMITY_SOAK_MINUTES")),
        Err(_) => Ok(DEFAULT_MINUTES),
    }
}
