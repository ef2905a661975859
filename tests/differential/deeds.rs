//! What happened in the rooms: rooms in which nothing is allowed would prove little.

use std::collections::BTreeMap;

use comity_core::pdu::RoomVersion;
use serde_json::Value;

/// How often each kind of event was allowed.
#[derive(Default)]
pub struct Deeds(BTreeMap<String, usize>);

impl Deeds {
    /// Counts an event that was allowed.
    pub fn count(&mut self, event: &Value) {
        *self.0.entry(kind(event)).or_default() += 1;
    }

    /// The kinds that never occurred and should have.
    pub fn missing(&self, version: RoomVersion) -> Vec<&'static str> {
        let wanted = wanted(version);
        wanted
            .into_iter()
            .filter(|kind| !self.0.contains_key(*kind))
            .collect()
    }

    /// The kinds that should occur, and how often they did.
    pub fn summary(&self, version: RoomVersion) -> String {
        let wanted = wanted(version).into_iter();
        let counts = wanted.map(|kind| format!("{} {kind}", self.0.get(kind).unwrap_or(&0)));
        counts.collect::<Vec<_>>().join(", ")
    }
}

fn kind(event: &Value) -> String {
    let content = &event["content"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match event["type"].as_str().unwrap_or_default() {
        "m.room.member" => {
            let how = if content.get("third_party_invite").is_some() {
                " of a third party"
            } else if content.get("join_authorised_via_users_server").is_some() {
                " vouched for"
            } else if event["sender"] != event["state_key"] {
                " of another"
            } else {
                ""
            };
            text(&content["membership"]) + how
        }
        "m.room.join_rules" => format!("join rule {}", text(&content["join_rule"])),
        other => other.to_owned(),
    }
}

fn wanted(version: RoomVersion) -> Vec<&'static str> {
    let mut wanted = vec![
        "join",
        "leave",
        "leave of another",
        "ban of another",
        "invite of another",
        "invite of a third party",
        "join rule public",
        "join rule invite",
        "m.room.power_levels",
        "m.room.third_party_invite",
        "m.room.tombstone",
        "m.room.redaction",
        "m.room.aliases",
    ];
    let rules = version.rules();
    for (exists, kinds) in [
        (rules.knock, ["knock", "join rule knock"]),
        (
            rules.restricted,
            ["join vouched for", "join rule restricted"],
        ),
        (
            rules.knock_restricted,
            ["join rule knock_restricted", "m.room.name"],
        ),
    ] {
        wanted.extend(kinds.iter().filter(|_| exists));
    }
    wanted
}
