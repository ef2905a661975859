//! Whether the servers agree, and the table that shows it.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use comity_core::messaging::command::{RoomSummary, Statistics};
use ruma_common::{OwnedEventId, RoomId};
use serde_json::json;

use super::{narrator::Narrator, server::DemoServer};

/// How long the servers may take to agree once the story is over: what was sent last may still be
/// on its way to being shown.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often to look whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many characters of a digest are shown to people.
const DIGEST_SHOWN: usize = 12;

/// How a room stands on one server.
struct Stand {
    summary: RoomSummary,
    statistics: Statistics,
    events: u64,
    /// The messages, sorted.
    messages: Vec<OwnedEventId>,
}

impl Stand {
    fn of(server: &DemoServer, room_id: &RoomId) -> Result<Self, Box<dyn Error>> {
        let timeline = server.timeline(room_id)?;
        let messages = timeline
            .iter()
            .filter(|event| event.pdu.event_type() == "m.room.message");
        let mut messages: Vec<_> = messages
            .map(|event| event.pdu.event_id().to_owned())
            .collect();
        messages.sort();
        Ok(Self {
            summary: server.summary(room_id)?,
            statistics: server.statistics()?,
            events: server.counts()?.events,
            messages,
        })
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self.summary.extremities == other.summary.extremities
            && self.summary.state_digest == other.summary.state_digest
            && self.messages == other.messages
    }
}

/// Prints the table; tells whether all servers agree.
pub(super) fn compare(
    narrator: &Narrator,
    room_id: &RoomId,
    servers: &[&DemoServer],
) -> Result<bool, Box<dyn Error>> {
    let (stands, agreed) = settled(room_id, servers)?;
    narrator.scene("The room on each server");
    if !narrator.is_json() {
        narrator.step("server  events  messages  state digest  newest event  transactions in/out");
    }
    for (server, stand) in servers.iter().zip(&stands) {
        tell(narrator, server, stand);
    }
    let text = match agreed {
        true => "All three servers agree.",
        false => "The servers do NOT agree.",
    };
    narrator.verdict(agreed, text);
    Ok(agreed)
}

/// How the room stands once the servers agree, or when patience ends.
fn settled(
    room_id: &RoomId,
    servers: &[&DemoServer],
) -> Result<(Vec<Stand>, bool), Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stands = servers.iter().map(|server| Stand::of(server, room_id));
        let stands = stands.collect::<Result<Vec<_>, _>>()?;
        let agreed = stands
            .windows(2)
            .all(|pair| matches!(pair, [one, two] if one.agrees_with(two)));
        if agreed || Instant::now() >= deadline {
            return Ok((stands, agreed));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn tell(narrator: &Narrator, server: &DemoServer, stand: &Stand) {
    let Stand {
        summary,
        statistics,
        events,
        messages,
    } = stand;
    let label = server.identity.label;
    let (incoming, outgoing) = (
        statistics.transactions_received,
        statistics.transactions_sent,
    );
    let facts = json!({
        "server": label,
        "server_name": server.identity.server_name,
        "runtime": server.identity.runtime.name(),
        "events": events,
        "messages": messages.len(),
        "state_digest": summary.state_digest,
        "extremities": summary.extremities,
        "transactions_received": incoming,
        "transactions_sent": outgoing,
    });
    let newest = summary
        .extremities
        .first()
        .map_or("", |event_id| event_id.as_str());
    let short = |text: &str| text.chars().take(DIGEST_SHOWN).collect::<String>();
    let line = format!(
        "   {label:<6}  {events:>6}  {:>8}  {:<12}  {:<12}  {incoming:>12}/{outgoing}",
        messages.len(),
        short(&summary.state_digest),
        short(newest),
    );
    narrator.server(facts, &line);
}
