//! The rooms with which MSC4297 shows what is wrong with version 2 of the algorithm, and that
//! version 2.1 mends it. Where they come from is told beside them, in `msc4297/README.md`.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion, StateMap, event_type::CREATE, resolution::resolve, unpadded_base64,
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::room::object;

/// Events have names in the published rooms; here they have ids that may stand in any room.
fn id(name: &str) -> OwnedEventId {
    let hash = unpadded_base64::encode_url_safe(&Sha256::digest(name));
    OwnedEventId::try_from(format!("${hash}")).unwrap()
}

struct Problem {
    version: RoomVersion,
    events: BTreeMap<OwnedEventId, Arc<Pdu>>,
}

impl Problem {
    fn read(version: RoomVersion, json: &str) -> Self {
        let list: Vec<Value> = serde_json::from_str(json).unwrap();
        let event = |event: Value| {
            let mut event = object(event);
            event.remove("test-comments");
            let event_id = id(event.remove("event_id").unwrap().as_str().unwrap());
            for list in ["auth_events", "prev_events"] {
                let names = event[list].as_array().unwrap().iter();
                let ids: Vec<_> = names.map(|name| id(name.as_str().unwrap())).collect();
                event.insert(list.to_owned(), json!(ids));
            }
            if version == RoomVersion::V12 && event["type"] != CREATE {
                let room_id = id("$00-m-room-create").as_str().replace('$', "!");
                event.insert("room_id".to_owned(), room_id.into());
            }
            // What resolution does not look at, the published rooms leave out.
            event.insert("depth".to_owned(), 1.into());
            event.insert("hashes".to_owned(), json!({ "sha256": "" }));
            event.insert("signatures".to_owned(), json!({}));
            let json = serde_json::to_string(&event).unwrap();
            let event = Pdu::from_stored(event_id.clone(), json, version).unwrap();
            (event_id, Arc::new(event))
        };
        let events = list.into_iter().map(event).collect();
        Self { version, events }
    }

    fn state(&self, names: &[&str]) -> StateMap {
        let mut state = StateMap::new();
        for name in names {
            let event = &self.events[&id(name)];
            state.set(
                (event.event_type(), event.state_key().unwrap()),
                event.event_id(),
            );
        }
        state
    }

    /// What two states resolve to, whichever comes first.
    fn resolved(&self, one: &[&str], other: &[&str]) -> StateMap {
        let [one, other] = [self.state(one), self.state(other)];
        let resolved = resolve(self.version, &[one.clone(), other.clone()], &self.events).unwrap();
        let turned = resolve(self.version, &[other, one], &self.events).unwrap();
        assert_eq!(resolved, turned);
        resolved
    }
}

/// "Problem A": Alice closed the room and left it. The two states agree on the latter only, and by
/// what they agree on nobody may close the room any more.
#[test]
fn state_12_problem_a_the_unconflicted_state_unauthorises_conflicted_events() {
    let bob = [
        "$00-m-room-create",
        "$00-m-room-power_levels",
        "$00-m-room-member-join-charlie",
        "$01-m-room-join_rules",
        "$01-m-room-member-leave-alice",
        "$01-m-room-member-change-display-name-bob",
    ];
    let charlie = [
        "$00-m-room-create",
        "$00-m-room-power_levels",
        "$00-m-room-join_rules",
        "$00-m-room-member-join-bob",
        "$01-m-room-member-leave-alice",
        "$01-m-room-member-change-display-name-charlie",
    ];
    let kept = [
        "$00-m-room-create",
        "$00-m-room-power_levels",
        "$01-m-room-member-leave-alice",
        "$01-m-room-member-change-display-name-bob",
        "$01-m-room-member-change-display-name-charlie",
    ];
    let version_11 = include_str!("msc4297/problem-a-v11.json");
    let problem = Problem::read(RoomVersion::V11, version_11);
    assert_eq!(problem.resolved(&bob, &charlie), problem.state(&kept));

    let version_12 = include_str!("msc4297/problem-a-v12.json");
    let problem = Problem::read(RoomVersion::V12, version_12);
    let with_rules = [&kept[..], &["$01-m-room-join_rules"]].concat();
    assert_eq!(problem.resolved(&bob, &charlie), problem.state(&with_rules));
}

/// "Problem B": the power levels were changed twice, and one state holds the first of all. The
/// change in between is in conflict nowhere, and without it nobody may have made the last.
#[test]
fn state_8_problem_b_conflicted_events_need_those_between_them() {
    let common = [
        "$00-m-room-create",
        "$00-m-room-member-join-alice",
        "$00-m-room-join_rules",
        "$00-m-room-member-join-bob",
        "$00-m-room-member-join-charlie",
    ];
    let with = |others: &[&'static str]| [&common[..], others].concat();
    let [first, last] = ["$00-m-room-power_levels", "$02-m-room-power_levels"];
    let [eve, zara] = [
        "$01-m-room-member-change-display-name-eve",
        "$00-m-room-member-join-zara",
    ];
    let (by_eve, by_zara) = (with(&[first, eve]), with(&[last, zara]));
    let outcomes = [
        (
            RoomVersion::V11,
            include_str!("msc4297/problem-b-v11.json"),
            first,
        ),
        (
            RoomVersion::V12,
            include_str!("msc4297/problem-b-v12.json"),
            last,
        ),
    ];
    for (version, json, power_levels) in outcomes {
        let problem = Problem::read(version, json);
        let expected = problem.state(&with(&[power_levels, eve, zara]));
        assert_eq!(problem.resolved(&by_eve, &by_zara), expected, "{version}");
    }
}
