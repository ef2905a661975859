//! What happens, in lines that a person can read: names are short, events are told by what they do
//! and what they build on, and nobody reads signatures.

use std::collections::BTreeMap;

use comity_core::{
    messaging::{command::Reply, notice::Notice},
    pdu::{Pdu, RoomVersion},
    persistence::{
        queries::{Batch, Write},
        tables::{StoredEvent, Verdict},
    },
};
use percent_encoding::percent_decode_str;
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::Value;

use super::{server::Finished, sight::Asked};

/// How many letters of an id are told: enough to tell those of one run apart.
const ID: usize = 7;

/// How many items of a list are told.
const ITEMS_MAX: usize = 12;

/// How long a line is at most.
const LINE_MAX: usize = 1_500;

/// How deep JSON is told: what a server made is shallow.
const DEPTH_MAX: usize = 12;

/// Parts of an event that nobody reads.
const UNREAD: [&str; 3] = ["signatures", "hashes", "unsigned"];

/// Tells what happens. It knows the versions of rooms, as ids of events follow from them.
#[derive(Debug, Default)]
pub struct Teller {
    versions: BTreeMap<OwnedRoomId, RoomVersion>,
}

impl Teller {
    /// Learns of which version rooms are.
    pub fn learn(&mut self, batch: &Batch) {
        for write in &batch.writes {
            if let Write::RoomVersion(room_id, version) = write {
                self.versions.insert(room_id.clone(), *version);
            }
        }
    }

    /// What is asked.
    pub fn request(&self, asked: &Asked<'_>, body: &[u8]) -> String {
        let line = percent_decode_str(asked.line).decode_utf8_lossy();
        let line = line.replace("/_matrix/federation/", "");
        short(&format!("{line} {}", self.body(body)))
    }

    /// What is answered.
    pub fn answer(&self, status: u16, body: &[u8]) -> String {
        short(&format!("{status} {}", self.body(body)))
    }

    fn body(&self, body: &[u8]) -> String {
        match serde_json::from_slice(body) {
            Ok(value) => self.json(&value, 0),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        }
    }

    fn json(&self, value: &Value, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return "…".to_owned();
        }
        match value {
            Value::Object(object) if object.contains_key("prev_events") => self.event(value),
            Value::Object(object) => {
                let read = object.iter().filter(|(key, _)| !UNREAD.contains(&&***key));
                let told =
                    read.map(|(key, value)| format!("{key}: {}", self.json(value, depth + 1)));
                format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
            }
            Value::Array(items) => {
                let told = items.iter().take(ITEMS_MAX);
                let mut told: Vec<_> = told.map(|item| self.json(item, depth + 1)).collect();
                if items.len() > ITEMS_MAX {
                    told.push(format!("and {} more", items.len() - ITEMS_MAX));
                }
                format!("[{}]", told.join(", "))
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// An event as it is on the wire, or a template of one.
    fn event(&self, event: &Value) -> String {
        let room_id = event["room_id"]
            .as_str()
            .and_then(|id| <&RoomId>::try_from(id).ok());
        let version = room_id.and_then(|room_id| self.versions.get(room_id));
        let parsed = version.and_then(|version| Pdu::parse(event.to_string(), *version).ok());
        match parsed {
            Some(event) => pdu(&event),
            None => phrase("an event", event),
        }
    }
}

/// What an application is told.
pub fn notice(notice: &Notice) -> String {
    let told = match notice {
        Notice::Event(event) => format!("that {}{}", pdu(&event.pdu), judged(event)),
        Notice::Redacted(event) => format!("the redaction of {}", event.pdu.event_id()),
        Notice::NotAccepted { event, .. } => format!("not {}{}", pdu(&event.pdu), judged(event)),
        Notice::Membership(local) => format!(
            "that the membership of {} in {} is {}",
            local.user_id, local.room_id, local.membership
        ),
        _ => format!("{notice:?}"),
    };
    short(&told)
}

fn judged(event: &StoredEvent) -> String {
    match &event.verdict {
        Verdict::Accepted => String::new(),
        Verdict::SoftFailed(reason) => format!(", soft-failed: {reason}"),
        Verdict::Rejected(reason) => format!(", rejected: {reason}"),
    }
}

/// What a command came to.
pub fn outcome(outcome: &Finished) -> String {
    let told = match outcome {
        Ok(Reply::Event(event_id)) => event_id.to_string(),
        Ok(reply) => format!("{reply:?}"),
        Err(error) => format!("no: {error}"),
    };
    short(&told)
}

fn pdu(event: &Pdu) -> String {
    phrase(event.event_id().as_str(), &Value::Object(event.object()))
}

/// What an event does, who says so, and what it builds on.
fn phrase(name: &str, event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let key = event.get("state_key").map(|key| format!(" {key}"));
    let after = event["prev_events"].as_array().into_iter().flatten();
    // In versions 1 and 2 each is a pair of an id and hashes.
    let after = after.filter_map(|id| id.as_str().or_else(|| id[0].as_str()));
    format!(
        "{name} ({}{} by {} {}) after [{}]",
        text("type"),
        key.unwrap_or_default(),
        text("sender"),
        event["content"],
        after.collect::<Vec<_>>().join(", ")
    )
}

/// A line with short ids, cut off where nobody would read on.
pub fn short(line: &str) -> String {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let (mut told, mut of_id) = (String::new(), None);
    for c in line.chars().take(LINE_MAX * 4) {
        of_id = match (c, of_id) {
            ('$' | '!', _) => Some(0),
            (c, Some(letters)) if is_of_id(c) => Some(letters + 1),
            _ => None,
        };
        if of_id.is_none_or(|letters| letters <= ID) {
            told.push(c);
        }
    }
    match told.char_indices().nth(LINE_MAX) {
        None => told,
        Some((end, _)) => format!("{}…", &told[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_other_words_are_not() {
        let line = "one holds $ViBqOA5GDe6d5A93rYKCKdF8LBVGgzfEmNePSlBcxuI, not $nowhere7:two";
        assert_eq!(short(line), "one holds $ViBqOA5, not $nowhere:two");
        assert_eq!(short("a-rather-long-word!"), "a-rather-long-word!");
        assert_eq!(short(&"x".repeat(9_000)).chars().count(), LINE_MAX + 1);
    }

    #[test]
    fn an_event_is_told_by_what_it_does() {
        let event = serde_json::json!({
            "type": "m.room.topic", "state_key": "", "sender": "@ann:one",
            "content": { "topic": "tea" }, "prev_events": ["$a", ["$b", {}]],
            "signatures": { "one": {} },
        });
        let body = serde_json::json!({ "pdus": [event] }).to_string();
        assert_eq!(
            Teller::default().answer(200, body.as_bytes()),
            r#"200 {pdus: [an event (m.room.topic "" by @ann:one {"topic":"tea"}) after [$a, $b]]}"#
        );
    }
}
