//! Joins while a member's server is down, so that nobody can tell its keys: what it said before is
//! verified when it is back (JOIN-6).

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};
use serde_json::json;

use crate::stage::{Stage, VERSIONS, noticed, room};

/// A room of servers `one` and `three`, joined by `two` by way of `one` while `three` is down.
fn joined_without(version: RoomVersion) -> Stage {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(version, Preset::Public));
    stage.join("three").unwrap();
    stage.network.settle();
    stage.network.crash("three");
    stage.join("two").unwrap();
    stage
}

/// JOIN-6: it is a member on all servers, what it missed reaches it, and what it says is heard.
#[test]
fn join_6_who_is_down_during_a_join_is_a_member_all_the_same() {
    for version in VERSIONS {
        let mut stage = joined_without(version);
        stage.say("two", "hello");
        stage.network.settle();
        stage.network.start("three");
        stage.pass_seconds(3_600);
        stage.say("three", "what did I miss?");
        stage.must_agree(&["one", "two", "three"]);
        assert_eq!(
            noticed(&mut stage.network, "two"),
            ["hello", "what did I miss?"]
        );
        assert!(noticed(&mut stage.network, "three").contains(&"hello".to_owned()));
        let membership = stage.membership("two", "@cyd:three");
        assert_eq!(membership.as_deref(), Some("join"));
    }
}

/// The same for what changes its membership, also if we were stopped meanwhile.
#[test]
fn join_6_who_is_down_during_a_join_can_leave_and_come_back() {
    let mut stage = joined_without(RoomVersion::DEFAULT);
    stage.network.crash("two");
    stage.network.start("three");
    stage.network.start("two");
    stage.pass_seconds(3_600);
    stage.leave("three").unwrap();
    stage.network.settle();
    let membership = stage.membership("two", "@cyd:three");
    assert_eq!(membership.as_deref(), Some("leave"));
    stage.join("three").unwrap();
    stage.must_agree(&["one", "two", "three"]);
}

/// It may never come back: what others do to it holds nothing up.
#[test]
fn join_6_who_is_down_during_a_join_can_be_kicked() {
    for by in ["one", "two"] {
        let mut stage = joined_without(RoomVersion::parse("11").unwrap());
        let levels = json!({ "users": { "@ann:one": 100, "@bob:two": 100 } });
        stage.set("one", "m.room.power_levels", levels).unwrap();
        stage.network.settle();
        stage.set_member(by, "@cyd:three", "leave").unwrap();
        stage.say("one", "bye");
        stage.must_agree(&["one", "two"]);
        let membership = stage.membership("two", "@cyd:three");
        assert_eq!(membership.as_deref(), Some("leave"));
        assert_eq!(noticed(&mut stage.network, "two"), ["bye"]);
    }
}

/// Power that cannot be verified is no power; when it can be, it is.
#[test]
fn join_6_what_is_not_verified_rules_nothing_until_it_is() {
    let mut stage = Stage::with(
        &["one", "two", "three"],
        room(RoomVersion::parse("11").unwrap(), Preset::Public),
    );
    stage.join("three").unwrap();
    let levels = json!({ "users": { "@ann:one": 100, "@cyd:three": 100 } });
    stage.set("one", "m.room.power_levels", levels).unwrap();
    stage.network.settle();
    stage
        .set("three", "m.room.topic", json!({ "topic": "of three" }))
        .unwrap();
    stage.set_member("three", "@eve:one", "ban").unwrap();
    stage.network.settle();
    stage.network.crash("three");
    stage.join("two").unwrap();
    assert_eq!(stage.state("two", "m.room.topic", ""), None);
    assert_eq!(stage.membership("two", "@eve:one"), None);
    stage.network.start("three");
    stage.pass_seconds(3_600);
    stage.set_member("one", "@eve:one", "leave").unwrap();
    stage.must_agree(&["one", "two", "three"]);
    assert_eq!(
        stage.membership("two", "@eve:one").as_deref(),
        Some("leave")
    );
}

/// It may have a key that it did not have when it told us those that it had, a moment ago.
#[test]
fn join_6_who_renewed_its_key_a_moment_ago_is_a_member_all_the_same() {
    let room = room(RoomVersion::DEFAULT, Preset::Public);
    let mut stage = Stage::with(&["one", "two", "three"], room);
    stage.join_via("three", &["two"]).unwrap_err();
    stage.network.renew_key("three");
    stage.network.start("three");
    stage.join("three").unwrap();
    stage.join("two").unwrap();
    stage.network.pass(Duration::from_secs(60));
    stage.say("three", "can you hear me?");
    stage.must_agree(&["one", "two", "three"]);
    assert_eq!(noticed(&mut stage.network, "two"), ["can you hear me?"]);
    let membership = stage.membership("two", "@cyd:three");
    assert_eq!(membership.as_deref(), Some("join"));
}
