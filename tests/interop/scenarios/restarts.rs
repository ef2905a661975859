//! A server goes down in the middle of a conversation, and nothing is lost or said twice.

use std::thread;
use std::time::Duration;

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::pair::Pair;

/// How many messages each user says in each room.
const MESSAGES: usize = 12;

/// Both servers' users talk in rooms of every version, hosted by either, while `victim` goes down
/// (Comity by SIGKILL, Synapse by SIGTERM) and comes back. Clients repeat a message that was not
/// acknowledged, under the same transaction id.
pub fn goes_down_while_all_talk(pair: &Pair, victim: usize) -> Result<(), Failure> {
    let mut conversation = Conversation::begin(pair)?;
    conversation.talk(MESSAGES, |outage| {
        thread::sleep(Duration::from_millis(700));
        outage.of(&*pair.stage(victim, "12").home, Duration::from_millis(500))
    })?;
    conversation.judge()
}
