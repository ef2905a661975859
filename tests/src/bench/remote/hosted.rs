//! A room as the remotes answer for it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;
use comity_core::pdu::Pdu;
use ruma_common::{EventId, OwnedEventId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Remote;
use super::answers::listed;
use crate::bench::room::{Room, VERSION};

/// A room with the answer to `send_join` ready, but for the event that is sent.
pub struct Hosted {
    room: Room,
    events: BTreeMap<OwnedEventId, Arc<Pdu>>,
    join_answer: String,
}

/// What `get_missing_events` asks for.
#[derive(Deserialize)]
pub struct Span {
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
    #[serde(default = "span_limit")]
    limit: usize,
}

/// How many events are meant where nothing is said (server-server API).
fn span_limit() -> usize {
    10
}

impl Hosted {
    /// A room with members on all these servers.
    pub fn of(room: Room, remote: &Remote) -> Self {
        let servers = remote
            .servers()
            .map(|server| server.own.server_name().as_str());
        let servers: Vec<&str> = servers.collect();
        let join_answer = format!(
            r#"{{"auth_chain":[{}],"members_omitted":false,"servers_in_room":{},"state":[{}],"event":"#,
            listed(room.auth_chain()),
            json!(servers),
            listed(room.state_events()),
        );
        let mut hosted = Self {
            events: BTreeMap::new(),
            join_answer,
            room,
        };
        let state = hosted.room.state_events().to_vec();
        hosted.learn(&state);
        hosted
    }

    /// The room.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// How many bytes it takes to tell a newcomer everything.
    pub fn join_answer_bytes(&self) -> usize {
        self.join_answer.len()
    }

    /// Can be asked for these events from now on.
    pub fn learn<'a>(&mut self, events: impl IntoIterator<Item = &'a Arc<Pdu>>) {
        let named = |event: &Arc<Pdu>| (event.event_id().to_owned(), event.clone());
        self.events.extend(events.into_iter().map(named));
    }

    /// Takes a member event in and tells its sender everything. Nothing, if it is no event.
    pub fn let_in(&mut self, join: &Bytes) -> Option<String> {
        let event = Arc::new(Pdu::parse(join, VERSION).ok()?);
        let answer = format!("{}{}}}", self.join_answer, event.json());
        self.learn([&event]);
        self.room.take_in(event);
        Some(answer)
    }

    /// An event of the room.
    pub fn event(&self, event_id: &EventId) -> Option<Arc<Pdu>> {
        self.events.get(event_id).cloned()
    }

    /// The answer to `state_ids`, which is the same for every message.
    pub fn state_ids(&self) -> Value {
        let state = self.room.state_events().iter();
        json!({
            "auth_chain_ids": self.room.auth_chain().map(|event| event.event_id()).collect::<Vec<_>>(),
            "pdu_ids": state.map(|event| event.event_id()).collect::<Vec<_>>(),
        })
    }

    /// The answer to `backfill`: these events and what is before them, the newest first.
    pub fn backfill(&self, from: &[OwnedEventId], limit: usize) -> Vec<Arc<Pdu>> {
        self.walk(from.iter().cloned(), &BTreeSet::new(), limit)
    }

    /// The answer to `get_missing_events`: what is before the latest, the oldest first.
    pub fn between(&self, span: &Span) -> Vec<Arc<Pdu>> {
        let latest = span.latest_events.iter();
        let before = latest.filter_map(|id| self.events.get(id));
        let start = before.flat_map(|event| event.prev_events().iter().map(ToOwned::to_owned));
        let known = span.earliest_events.iter().cloned().collect();
        let mut found = self.walk(start, &known, span.limit);
        found.reverse();
        found
    }

    /// Up to so many events from these backwards, those of the greatest depth first, without those
    /// that are known and what only they lead to.
    fn walk(
        &self,
        from: impl Iterator<Item = OwnedEventId>,
        known: &BTreeSet<OwnedEventId>,
        limit: usize,
    ) -> Vec<Arc<Pdu>> {
        let mut seen = known.clone();
        let mut ahead = BinaryHeap::new();
        let mut meet = |id: OwnedEventId, ahead: &mut BinaryHeap<_>| {
            if let Some(event) = self.events.get(&id).filter(|_| seen.insert(id.clone())) {
                ahead.push((event.depth(), Reverse(id)));
            }
        };
        from.for_each(|id| meet(id, &mut ahead));
        let mut found = Vec::new();
        while let Some((_, Reverse(id))) = ahead.pop().filter(|_| found.len() < limit) {
            if let Some(event) = self.events.get(&id) {
                let before = event.prev_events().iter().map(ToOwned::to_owned);
                before.for_each(|id| meet(id, &mut ahead));
                found.push(event.clone());
            }
        }
        found
    }
}
