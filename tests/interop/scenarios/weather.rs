//! The network between the servers fails in the middle of a conversation, and nothing is lost or
//! said twice.

use std::thread;
use std::time::Duration;

use crate::conversation::Conversation;
use crate::failure::{Failure, demand};
use crate::pair::Pair;
use crate::wire::Weather;

/// How many messages each user says in each room.
const MESSAGES: usize = 20;

/// A scenario that has both servers for itself.
type Scenario = fn(&Pair) -> Result<(), Failure>;

/// Both servers are up all the time, but not so the wires.
pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("weather::a_partition_heals_while_all_talk", partition),
    ("weather::requests_are_lost_doubled_and_overtaken", foul),
];

/// For a while neither hears the other, and both rooms' histories fork.
fn partition(pair: &Pair) -> Result<(), Failure> {
    let mut conversation = Conversation::begin(pair)?;
    conversation.talk(MESSAGES, |_| {
        thread::sleep(Duration::from_millis(500));
        for weather in [Weather::Cut, Weather::Fair] {
            set(pair, weather);
            thread::sleep(Duration::from_millis(1200));
        }
        Ok(())
    })?;
    conversation.judge()
}

/// Every other request suffers something, both ways.
fn foul(pair: &Pair) -> Result<(), Failure> {
    let mut conversation = Conversation::begin(pair)?;
    set(pair, Weather::Foul);
    let talked = conversation.talk(MESSAGES, |_| Ok(()));
    set(pair, Weather::Fair);
    talked?;
    conversation.judge()?;
    for (server, wire) in pair.servers.iter().zip(&pair.wires) {
        let (mishaps, complaints) = wire.toll();
        let label = server.label();
        demand(complaints.is_empty(), format!("{label}: {complaints:#?}"))?;
        demand(mishaps > 0, format!("{label} was asked nothing"))?;
    }
    Ok(())
}

fn set(pair: &Pair, weather: Weather) {
    for wire in &pair.wires {
        wire.set(weather);
    }
}
