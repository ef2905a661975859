//! Tells the story, to people or to machines.

use std::time::{Duration, Instant};

use ruma_common::{EventId, UserId};
use serde_json::{Value, json};

/// Prints what happens as it happens: lines of text, or a JSON object per line.
pub(super) struct Narrator {
    json: bool,
    start: Instant,
}

impl Narrator {
    pub(super) fn new(json: bool, start: Instant) -> Self {
        Self { json, start }
    }

    /// Whether it speaks to machines.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// A new scene begins.
    pub(super) fn scene(&self, title: &str) {
        self.tell("scene", json!({ "title": title }), || {
            format!("\n== {title}")
        });
    }

    /// Something happened that is no message.
    pub(super) fn step(&self, text: &str) {
        self.tell("step", json!({ "text": text }), || format!("   {text}"));
    }

    /// Somebody said something.
    pub(super) fn said(&self, sender: &UserId, text: &str, event_id: &EventId) {
        let facts = json!({ "sender": sender, "text": text, "event_id": event_id });
        self.tell("said", facts, || {
            format!("   {:<6} “{text}”", sender.localpart())
        });
    }

    /// Some servers have seen what was just said, the last of them after this time.
    pub(super) fn seen(&self, event_id: &EventId, by: &[&str], after: Duration) {
        let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let facts = json!({ "event_id": event_id, "by": by, "after_ms": milliseconds });
        let text = || format!("{:10}seen by {} after {milliseconds} ms", "", by.join(", "));
        self.tell("seen", facts, text);
    }

    /// The facts about one server at the end.
    pub(super) fn server(&self, facts: Value, line: &str) {
        self.tell("server", facts, || line.to_owned());
    }

    /// The end.
    pub(super) fn verdict(&self, agreed: bool, text: &str) {
        self.tell("verdict", json!({ "agreed": agreed, "text": text }), || {
            format!("\n{text}")
        });
    }

    fn tell(&self, kind: &str, facts: Value, line: impl FnOnce() -> String) {
        if !self.json {
            println!("{}", line());
            return;
        }
        let at = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut object = json!({ "kind": kind, "at_ms": at });
        if let (Value::Object(object), Value::Object(facts)) = (&mut object, facts) {
            object.extend(facts);
        }
        println!("{object}");
    }
}
