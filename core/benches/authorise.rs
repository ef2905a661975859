//! Judging an event by the state of a room (check 5 on receipt of a PDU), beside ruma-state-res
//! given the same state. Run with `cargo bench -p comity-core --bench authorise`.
//!
//! Either finds the events of the state in maps of the whole room; nothing is prepared for the
//! event at hand.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/pdu/room.rs"]
#[allow(dead_code)]
mod room;
#[path = "../tests/pdu/ruma.rs"]
#[allow(dead_code)]
mod ruma;

use std::{collections::HashMap, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion, StateMap,
    authorisation::{StateView, check_state},
    event_type::{MEMBER, POWER_LEVELS},
};
use divan::{AllocProfiler, Bencher, black_box};
use ruma_common::OwnedEventId;
use ruma_events::StateEventType;
use serde_json::{Value, json};

use room::{ALICE, BOB, CREATOR, MODERATOR, Room};
use ruma::RumaEvent;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const MEMBERS: [usize; 3] = [100, 10_000, 50_000];

fn main() {
    divan::main();
}

/// What is judged: who sends it, its type, its state key and its content.
type Event = (&'static str, &'static str, Option<&'static str>, Value);

fn message() -> Event {
    (ALICE, "m.room.message", None, json!({ "body": "hello" }))
}

fn member_join() -> Event {
    (BOB, MEMBER, Some(BOB), json!({ "membership": "join" }))
}

/// Thirty users have levels, and one is added.
fn power_levels(more: bool) -> Value {
    let mut levels = json!({
        "users": { CREATOR: 100, MODERATOR: 50 },
        "events": {
            "m.room.name": 50, "m.room.avatar": 50, "m.room.topic": 50,
            "m.room.canonical_alias": 50, "m.room.history_visibility": 100,
            "m.room.power_levels": 100, "m.room.encryption": 100, "m.room.tombstone": 100,
        },
        "users_default": 0, "events_default": 0, "state_default": 50,
        "ban": 50, "kick": 50, "redact": 50, "invite": 0,
    });
    for number in 0..(28 + usize::from(more)) {
        levels["users"][format!("@moderator{number}:b.example")] = 50.into();
    }
    levels
}

fn change_of_power_levels() -> Event {
    (CREATOR, POWER_LEVELS, Some(""), power_levels(true))
}

/// A public room with this many members.
fn room_of(members: usize) -> Room {
    let mut room = Room::new(RoomVersion::V11);
    room.put(CREATOR, POWER_LEVELS, "", power_levels(false));
    let mut entries: Vec<_> = Vec::new();
    for number in 0..members {
        let user = format!("@user{number}:server{}.example", number % 100);
        let content = json!({ "membership": "join" });
        let state = room.state.clone();
        let mut template = room.template(&state, &user, MEMBER, Some(&user), content);
        template.origin_server_ts = i64::try_from(number).unwrap();
        entries.push(template);
    }
    for template in entries {
        let event = room.add(template);
        room.state = room.after(&room.state, &event);
    }
    room
}

/// A state whose events are found by their ids.
struct Held<'a> {
    state: &'a StateMap,
    events: &'a HashMap<OwnedEventId, Arc<Pdu>>,
}

impl StateView for Held<'_> {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        let event_id = self.state.get(event_type, state_key)?;
        self.events.get(event_id).map(|event| &**event)
    }
}

fn by_comity(bencher: Bencher<'_, '_>, members: usize, event: Event) {
    let mut room = room_of(members);
    let state = room.state.clone();
    let (sender, event_type, state_key, content) = event;
    let event = room.make(&state, sender, event_type, state_key, content);
    let events: HashMap<_, _> = room.events.into_iter().collect();
    let view = Held {
        state: &state,
        events: &events,
    };
    check_state(&event, &room.create, &view).unwrap();
    bencher.bench_local(|| check_state(black_box(&event), black_box(&room.create), &view));
}

fn by_ruma(bencher: Bencher<'_, '_>, members: usize, event: Event) {
    let mut room = room_of(members);
    let state = room.state.clone();
    let (sender, event_type, state_key, content) = event;
    let event = RumaEvent::new(&room.make(&state, sender, event_type, state_key, content));
    let mut events: HashMap<StateEventType, HashMap<String, RumaEvent>> = HashMap::new();
    for ((event_type, state_key), event_id) in &state {
        let of_type = events.entry(event_type.into()).or_default();
        of_type.insert(state_key.to_owned(), RumaEvent::new(&room.events[event_id]));
    }
    let rules = ruma::rules(room.version).authorization;
    let check = || {
        ruma_state_res::check_state_dependent_auth_rules(
            &rules,
            black_box(event.clone()),
            |event_type, state_key| events.get(event_type)?.get(state_key).cloned(),
        )
    };
    check().unwrap();
    bencher.bench_local(check);
}

mod message {
    #[divan::bench(args = super::MEMBERS)]
    fn comity(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_comity(bencher, members, super::message());
    }

    #[divan::bench(args = super::MEMBERS)]
    fn ruma(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_ruma(bencher, members, super::message());
    }
}

mod member_join {
    #[divan::bench(args = super::MEMBERS)]
    fn comity(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_comity(bencher, members, super::member_join());
    }

    #[divan::bench(args = super::MEMBERS)]
    fn ruma(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_ruma(bencher, members, super::member_join());
    }
}

mod change_of_power_levels {
    #[divan::bench(args = super::MEMBERS)]
    fn comity(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_comity(bencher, members, super::change_of_power_levels());
    }

    #[divan::bench(args = super::MEMBERS)]
    fn ruma(bencher: divan::Bencher<'_, '_>, members: usize) {
        super::by_ruma(bencher, members, super::change_of_power_levels());
    }
}
