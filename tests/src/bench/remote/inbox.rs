//! What was sent to a remote.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Mutex;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::locked;

/// The messages that a server got, each counted once, and how many transactions brought them.
#[derive(Default)]
pub struct Inbox {
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    transactions: HashSet<String>,
    /// By their content hashes, for an event may be told with this or that in its `unsigned`.
    messages: HashSet<String>,
    last: Option<Box<RawValue>>,
}

/// As much of a transaction as is looked at.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    pdus: Vec<&'a RawValue>,
}

/// As much of an event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    hashes: Hashes<'a>,
}

#[derive(Deserialize)]
struct Hashes<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

impl Inbox {
    /// Takes in a transaction. Those without messages do not count.
    pub fn take(&self, transaction_id: &str, body: &Bytes) {
        if let Ok(body) = serde_json::from_slice::<Body<'_>>(body)
            && self.add(&body.pdus) > 0
        {
            let mut content = locked(&self.content);
            content.transactions.insert(transaction_id.to_owned());
        }
    }

    /// Takes in the answer to a question for events.
    pub fn take_answer(&self, body: &Bytes) -> usize {
        let body = serde_json::from_slice::<Body<'_>>(body);
        body.map_or(0, |body| self.add(&body.pdus))
    }

    /// How many messages are here.
    pub fn messages(&self) -> usize {
        locked(&self.content).messages.len()
    }

    /// How many transactions brought messages.
    pub fn transactions(&self) -> usize {
        locked(&self.content).transactions.len()
    }

    /// The event that came last.
    pub fn last(&self) -> Option<Box<RawValue>> {
        locked(&self.content).last.clone()
    }

    /// Says how many messages are among these events.
    fn add(&self, events: &[&RawValue]) -> usize {
        let mut content = locked(&self.content);
        let mut messages = 0;
        for raw in events {
            let event = serde_json::from_str::<Event<'_>>(raw.get()).ok();
            if let Some(event) = event.filter(|event| event.event_type == "m.room.message") {
                content.messages.insert(event.hashes.sha256.into_owned());
                content.last = Some((*raw).to_owned());
                messages += 1;
            }
        }
        messages
    }
}
