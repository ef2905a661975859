//! What holds of every resolution, whatever the branches did.

use std::collections::BTreeMap;

use comity_core::pdu::{
    RoomVersion, StateMap,
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{MissingEvents, resolve},
};
use proptest::prelude::*;
use serde_json::json;

use super::WithCitations;
use crate::{
    EVERY_VERSION,
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, same_cases_each_time},
};

const USERS: [&str; 4] = [CREATOR, MODERATOR, ALICE, BOB];

/// What one user does on one branch, allowed or not.
#[derive(Clone, Debug)]
struct Deed {
    branch: usize,
    sender: &'static str,
    entry: (&'static str, &'static str),
    number: i64,
}

fn deed() -> impl Strategy<Value = Deed> {
    let user = || prop::sample::select(USERS.to_vec());
    let entry = prop_oneof![
        3 => user().prop_map(|user| (MEMBER, user)),
        2 => Just((POWER_LEVELS, "")),
        1 => Just((JOIN_RULES, "")),
        2 => Just(("m.room.topic", "")),
    ];
    (0..3_usize, user(), entry, 0..6_i64).prop_map(|(branch, sender, entry, number)| Deed {
        branch,
        sender,
        entry,
        number,
    })
}

/// A room whose branches have done these deeds, with the state of each.
fn branches(version: RoomVersion, deeds: &[Deed]) -> (Room, Vec<StateMap>) {
    let mut room = Room::new(version);
    let mut states = vec![room.state.clone(); 3];
    for deed in deeds {
        let state = &mut states[deed.branch];
        let content = match deed.entry.0 {
            MEMBER => {
                let memberships = ["join", "join", "join", "leave", "ban", "invite"];
                let membership = memberships[usize::try_from(deed.number).unwrap()];
                json!({ "membership": membership, "displayname": deed.number.to_string() })
            }
            JOIN_RULES => json!({ "join_rule": if deed.number < 3 { "public" } else { "invite" } }),
            POWER_LEVELS => {
                let mut levels = room.usual_levels();
                levels["users"][ALICE] = (deed.number * 20).into();
                levels
            }
            _ => json!({ "topic": deed.number.to_string() }),
        };
        let (event_type, key) = deed.entry;
        let event = room.make(state, deed.sender, event_type, Some(key), content);
        *state = room.after(state, &event);
    }
    (room, states)
}

/// Resolves with nothing at hand but what was asked for.
fn piece_by_piece(room: &Room, states: &[StateMap]) -> StateMap {
    let mut held = BTreeMap::new();
    loop {
        match resolve(room.version, states, &held) {
            Ok(state) => return state,
            Err(MissingEvents(ids)) => {
                assert!(
                    ids.iter().all(|id| !held.contains_key(id)),
                    "asked for twice"
                );
                held.extend(
                    ids.into_iter()
                        .map(|id| (id.clone(), room.events[&id].clone())),
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(same_cases_each_time(60))]

    #[test]
    fn every_order_of_the_states_and_every_way_to_the_events_leads_to_one_state(
        version in prop::sample::select(EVERY_VERSION.to_vec()),
        deeds in prop::collection::vec(deed(), 1..25),
        order in Just(vec![0, 1, 2]).prop_shuffle(),
        repeated in prop::collection::vec(0..3_usize, 0..3),
    ) {
        let (room, states) = branches(version, &deeds);
        let resolved = resolve(version, &states, &room.events).unwrap();
        let others: Vec<_> = order.iter().chain(&repeated).map(|n| states[*n].clone()).collect();
        prop_assert_eq!(&resolve(version, &others, &room.events).unwrap(), &resolved);
        let cited = WithCitations::of(&room);
        prop_assert_eq!(&resolve(version, &states, &cited).unwrap(), &resolved);
        prop_assert_eq!(&piece_by_piece(&room, &states), &resolved);
    }

    #[test]
    fn a_resolved_state_resolves_to_itself(
        version in prop::sample::select(EVERY_VERSION.to_vec()),
        deeds in prop::collection::vec(deed(), 1..25),
    ) {
        let (room, states) = branches(version, &deeds);
        let resolved = resolve(version, &states, &room.events).unwrap();
        let rebuilt = resolved.iter().map(|(entry, id)| (entry.into(), id.to_owned())).collect();
        let again = [resolved.clone(), rebuilt, resolved.clone()];
        prop_assert_eq!(resolve(version, &again, &room.events).unwrap(), resolved);
    }
}
