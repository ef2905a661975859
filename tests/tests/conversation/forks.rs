//! Both sides of a partition change the room: afterwards all agree.

use comity_core::pdu::{RoomVersion, room_version::StateResolution};
use serde_json::json;

use crate::stage::{Stage, VERSIONS};

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
