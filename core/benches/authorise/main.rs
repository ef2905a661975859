//! Judging an event by the state of a room (check 5 on receipt of a PDU), beside ruma-state-res
//! given the same state, in one process and on one thread.
//!
//! `cargo bench -p comity-core --bench authorise` prints for each case the time of one verdict (the
//! middle one of many turns, taken by both alternately), how they compare, and the allocations.
//! Either finds the events of the state in maps of the whole room; nothing is prepared for the
//! event at hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on fails"
)]

mod room;
#[path = "../../tests/pdu/ruma_event.rs"]
mod ruma_event;
#[path = "../turns/mod.rs"]
mod turns;

use std::{collections::HashMap, hint::black_box};

use allocation_counter::measure;
use comity_core::pdu::{
    Pdu,
    authorisation::{StateView, check_state},
};
use ruma_common::room_version_rules::AuthorizationRules;
use ruma_events::StateEventType;
use ruma_state_res::check_state_dependent_auth_rules;

use crate::{
    room::{Room, member_join, message, more_power_levels},
    ruma_event::RumaEvent,
    turns::alternately,
};

fn main() {
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>7} {:>6} {:>6}",
        "judging one event", "ours", "ruma", "ratio", "wanted", "ours", "ruma"
    );
    for members in [100, 10_000, 50_000] {
        let room = Room::new(members);
        let theirs = RumaRoom::new(&room);
        compare("message", "0.20", &room, &theirs, message(&room));
        compare("join", "", &room, &theirs, member_join(&room));
        let change = more_power_levels(&room);
        compare("change of power levels", "", &room, &theirs, change);
    }
}

impl StateView for Room {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        let event_id = self.state.get(event_type, state_key)?;
        self.events.get(event_id).map(|event| &**event)
    }
}

/// The state as ruma's caller would hold it.
struct RumaRoom(HashMap<StateEventType, HashMap<String, RumaEvent>>);

impl RumaRoom {
    fn new(room: &Room) -> Self {
        let mut events: HashMap<_, HashMap<_, _>> = HashMap::new();
        for ((event_type, state_key), event_id) in &room.state {
            let of_type = events.entry(event_type.into()).or_default();
            let event = RumaEvent::new(&room.events[event_id], false);
            of_type.insert(state_key.to_owned(), event);
        }
        Self(events)
    }

    fn check(&self, event: &RumaEvent) -> Result<(), String> {
        check_state_dependent_auth_rules(
            &AuthorizationRules::V11,
            black_box(event.clone()),
            |event_type, state_key| self.0.get(event_type)?.get(state_key).cloned(),
        )
    }
}

fn compare(what: &str, wanted: &str, room: &Room, theirs: &RumaRoom, event: Pdu) {
    let event = std::sync::Arc::new(event);
    let for_ruma = RumaEvent::new(&event, false);
    let ours = || check_state(black_box(&event), &room.create, room).unwrap();
    let ruma = || theirs.check(&for_ruma).unwrap();
    let [our_time, ruma_time] = alternately([&ours, &ruma]);
    println!(
        "{:<44} {our_time:>6.0} ns {ruma_time:>6.0} ns {:>7.3} {wanted:>7} {:>6} {:>6}",
        format!("{what}, {} members", room.members),
        our_time / ruma_time,
        measure(ours).count_total,
        measure(ruma).count_total,
    );
}
