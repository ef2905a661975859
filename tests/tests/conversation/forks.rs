//! Both sides of a partition change the room: afterwards all agree.

use comity_core::{
    messaging::command::Preset,
    pdu::{RoomVersion, room_version::StateResolution},
};
use serde_json::json;

use crate::{
    forger::infiltrate,
    stage::{Stage, VERSIONS, object, room},
};

const SERVERS: [&str; 3] = ["one", "two", "three"];

/// Ann and Bob are moderators; the wires between one and both others are cut.
fn torn(version: RoomVersion) -> Stage {
    let mut stage = Stage::of(&SERVERS, version);
    let mut users = json!({ "@bob:two": 50 });
    if version != RoomVersion::V12 {
        users["@ann:one"] = json!(100);
    }
    stage
        .set("one", "m.room.power_levels", json!({ "users": users }))
        .unwrap();
    stage.network.settle();
    for other in ["two", "three"] {
        stage.network.set_cut("one", other, true);
    }
    stage
}

fn mend(stage: &mut Stage) {
    for other in ["two", "three"] {
        stage.network.set_cut("one", other, false);
    }
    stage.network.settle();
    for server in SERVERS {
        let command = stage.message(server, "mended");
        let _ = stage.network.run(server, command);
        stage.network.settle();
    }
    stage.must_agree(&SERVERS);
}

/// Version 1 resolves each entry of the state for itself: whose power came first does not matter.
fn with_power_order() -> impl Iterator<Item = RoomVersion> {
    VERSIONS
        .into_iter()
        .filter(|version| version.rules().state_resolution != StateResolution::V1)
}

#[test]
fn the_same_state_changed_on_both_sides_ends_the_same_on_all() {
    for version in VERSIONS {
        let mut stage = torn(version);
        for round in 0..4 {
            for server in ["one", "two"] {
                let topic = json!({ "topic": format!("{server} {round}") });
                stage.set(server, "m.room.topic", topic).unwrap();
                stage.pass_seconds(1);
            }
        }
        mend(&mut stage);
        assert_ne!(stage.must_explain_itself("one"), 0, "nothing was merged");
    }
}

#[test]
fn a_demotion_beats_what_the_demoted_did_meanwhile() {
    for version in with_power_order() {
        let mut stage = torn(version);
        stage
            .set("two", "m.room.topic", json!({ "topic": "bob's" }))
            .unwrap();
        let users = if version == RoomVersion::V12 {
            json!({})
        } else {
            json!({ "@ann:one": 100 })
        };
        stage
            .set("one", "m.room.power_levels", json!({ "users": users }))
            .unwrap();
        stage
            .set("two", "m.room.name", json!({ "name": "bob's" }))
            .unwrap();
        mend(&mut stage);
        for server in SERVERS {
            assert_eq!(
                stage.state(server, "m.room.topic", ""),
                None,
                "{server}, {version}"
            );
        }
    }
}

#[test]
fn who_is_banned_on_one_side_and_talks_on_the_other_is_banned_on_all() {
    for version in VERSIONS {
        let mut stage = torn(version);
        stage.set_member("one", "@cyd:three", "ban").unwrap();
        for number in 0..3 {
            stage.say("three", &number.to_string());
        }
        mend(&mut stage);
        for server in SERVERS {
            let membership = stage.membership(server, "@cyd:three");
            assert_eq!(
                membership.as_deref(),
                Some("ban"),
                "{server} in version {version}"
            );
        }
        assert_eq!(stage.said("one"), ["mended", "mended"]);
    }
}

#[test]
fn a_moderator_who_was_removed_while_cut_off_changes_nothing_any_more() {
    for version in with_power_order() {
        let mut stage = Stage::of(&SERVERS, version);
        let mut users = json!({ "@bob:two": 70, "@cyd:three": 60 });
        if version != RoomVersion::V12 {
            users["@ann:one"] = json!(100);
        }
        let levels = json!({ "users": users, "ban": 50, "users_default": 0 });
        stage.set("one", "m.room.power_levels", levels).unwrap();
        stage.network.settle();
        stage.network.set_cut("two", "three", true);
        stage.network.set_cut("one", "three", true);
        stage.set_member("two", "@cyd:three", "leave").unwrap();
        stage
            .set("three", "m.room.topic", json!({ "topic": "mine" }))
            .unwrap();
        stage.say("three", "alone");
        stage.network.set_cut("two", "three", false);
        stage.network.set_cut("one", "three", false);
        stage.network.settle();
        stage.say("one", "mended");
        stage.must_agree(&SERVERS[..2]);
        for server in &SERVERS[..2] {
            assert_eq!(stage.state(server, "m.room.topic", ""), None);
            assert_eq!(stage.said(server), ["mended"]);
        }
    }
}

/// A fork in a room with so many guests, whom it does not concern: how many events the server
/// reads to merge it, having just been started. One branch changes the power levels twice, and
/// meanwhile the room's name so many times, so that the server must find out whether the first
/// change is behind what both branches agree on.
fn events_read_to_merge(version: RoomVersion, guests: usize, names: usize) -> usize {
    let mut users = json!({ "@eve:liar": 100 });
    if !version.rules().creators_above_levels {
        users["@ann:one"] = json!(100);
    }
    let levels = |kick: i64| json!({ "users": users, "kick": kick, "events": {} });
    let mut plan = room(version, Preset::Public);
    plan.power_levels = object(levels(50));
    let mut stage = Stage::with(&["one"], plan);
    for number in 0..guests {
        let guest = format!("@guest{number}:one").try_into().unwrap();
        stage.join_as("one", &guest, &[]).unwrap();
    }
    let mut forger = infiltrate(&mut stage, version);
    let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "which?" }));
    let names = (0..names).map(|name| ("m.room.name", json!({ "name": name.to_string() })));
    let [first, last] = [60, 70].map(|kick| ("m.room.power_levels", levels(kick)));
    for (event_type, content) in [first].into_iter().chain(names).chain([last]) {
        let changed = forger.event(event_type, Some(""), content);
        assert_eq!(forger.push_one(&mut stage.network, &changed), None);
        forger.learn(changed.clone());
        forger.last = changed;
    }
    stage.network.crash("one");
    stage.network.start("one");
    let read_before = stage.network.server("one").events_read;
    assert_eq!(forger.push_one(&mut stage.network, &topic), None);
    let read = stage.network.server("one").events_read - read_before;
    let merged = stage.state("one", "m.room.power_levels", "").unwrap();
    assert_eq!(merged["kick"], 70);
    let merged = stage.state("one", "m.room.topic", "").unwrap();
    assert_eq!(merged["topic"], "which?");
    read
}

#[test]
fn merging_a_fork_reads_no_more_events_in_a_larger_room() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let of_few = events_read_to_merge(version, 10, 1);
        let of_many = events_read_to_merge(version, 1_000, 1);
        assert_eq!(of_many, of_few, "{version}");
    }
}

/// If more rests on the event in question than the whole state has entries, the state is read.
#[test]
fn merging_a_fork_reads_no_more_events_the_longer_it_is() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let of_long = events_read_to_merge(version, 2, 20);
        let of_longer = events_read_to_merge(version, 2, 60);
        assert_eq!(of_longer, of_long, "{version}");
    }
}
