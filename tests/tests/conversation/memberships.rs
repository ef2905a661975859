//! Who comes, goes, and is kept out.

use comity_core::{
    messaging::command::{Command, CommandError, Preset},
    pdu::{RoomVersion, build},
};
use serde_json::json;

use crate::{
    forger::infiltrate,
    stage::{Stage, VERSIONS, forbidden, initial, noticed, room, texts, user},
};

fn private(servers: &[&str], version: RoomVersion) -> Stage {
    Stage::with(servers, room(version, Preset::Private))
}

#[test]
fn join_9_a_private_room_lets_in_only_the_invited() {
    for version in RoomVersion::SUPPORTED {
        let servers = ["one", "two", "three"];
        let mut stage = private(&servers, *version);
        forbidden(stage.join("two"));
        stage.invite("one", "@bob:two").unwrap();
        let invite = stage.own_membership("two").unwrap();
        assert_eq!(invite.membership, "invite");
        let name = |event: &serde_json::Value| event["content"]["name"] == "Garden";
        assert!(invite.stripped_state.iter().any(name), "version {version}");
        stage.join_via("two", &[]).unwrap();
        stage.invite("two", "@cyd:three").unwrap();
        stage.join_via("three", &[]).unwrap();
        stage.must_agree(&servers);
        assert_eq!(
            stage.membership("one", "@cyd:three").as_deref(),
            Some("join")
        );
        assert_eq!(stage.own_membership("three").unwrap().membership, "join");
    }
}

/// INVITE-1.
#[test]
fn leave_1_a_refused_invite_shows_to_who_invited() {
    for version in RoomVersion::SUPPORTED {
        let mut stage = private(&["one", "two"], *version);
        stage.invite("one", "@bob:two").unwrap();
        stage.leave("two").unwrap();
        assert_eq!(stage.own_membership("two").unwrap().membership, "leave");
        stage.network.settle();
        assert_eq!(
            stage.membership("one", "@bob:two").as_deref(),
            Some("leave")
        );
        forbidden(stage.join("two"));
        stage.invite("one", "@bob:two").unwrap();
        stage.join("two").unwrap();
        stage.must_agree(&["one", "two"]);
    }
}

#[test]
fn leave_1_an_invite_can_be_refused_while_the_inviting_server_is_down() {
    let mut stage = private(&["one", "two"], RoomVersion::DEFAULT);
    stage.invite("one", "@bob:two").unwrap();
    stage.network.crash("one");
    stage.leave("two").unwrap();
    assert_eq!(stage.own_membership("two").unwrap().membership, "leave");
    assert!(stage.leave("two").is_err());
}

#[test]
fn invite_9_an_invite_that_is_taken_back_is_gone_and_opens_no_door() {
    for version in RoomVersion::SUPPORTED {
        let mut stage = private(&["one", "two"], *version);
        stage.invite("one", "@bob:two").unwrap();
        stage.set_member("one", "@bob:two", "leave").unwrap();
        stage.network.settle();
        assert_eq!(stage.own_membership("two").unwrap().membership, "leave");
        forbidden(stage.join("two"));
        stage.must_keep_promises("two");
    }
}

#[test]
fn an_invite_whose_sender_left_before_it_was_signed_is_judged_where_it_stands() {
    for version in VERSIONS {
        let mut stage = Stage::of(&["one", "three"], version);
        let ben = "@ben:one".try_into().unwrap();
        stage.join_as("one", &ben, &[]).unwrap();
        stage.network.add_server("two");
        let invite = stage.invite_command("one", "@bob:two");
        let invited = stage.network.start_command("one", invite);
        stage.leave("one").unwrap();
        stage.network.settle();
        let finished = stage.network.server("one").finished(invited).unwrap();
        forbidden(finished);
        assert_eq!(stage.membership("one", "@bob:two"), None);
        stage.must_agree(&["one", "three"]);
    }
}

#[test]
fn an_invite_to_a_server_that_is_down_fails_and_leaves_no_trace() {
    let mut stage = private(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    let error = stage.invite("one", "@bob:two").unwrap_err();
    assert!(matches!(error, CommandError::Unreachable(_)), "{error:?}");
    assert_eq!(stage.membership("one", "@bob:two"), None);
    stage.network.start("two");
    stage.invite("one", "@bob:two").unwrap();
    stage.join("two").unwrap();
    stage.must_agree(&["one", "two"]);
}

#[test]
fn who_left_hears_nothing_and_comes_back_to_the_same_state() {
    for version in VERSIONS {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::of(&servers, version);
        stage.say("one", "before");
        stage.network.settle();
        stage.leave("two").unwrap();
        stage.network.settle();
        assert_eq!(
            stage.membership("three", "@bob:two").as_deref(),
            Some("leave")
        );
        stage.say("one", "between us");
        stage
            .set("one", "m.room.topic", json!({ "topic": "secret" }))
            .unwrap();
        stage.network.settle();
        stage.join("two").unwrap();
        stage.network.settle();
        stage.say("three", "welcome back");
        stage.network.settle();
        stage.say("two", "thanks");
        stage.must_agree(&servers);
        assert_eq!(
            noticed(&mut stage.network, "two"),
            ["before", "welcome back", "thanks"]
        );
        assert_eq!(stage.said("one").last().unwrap(), "thanks");
    }
}

#[test]
fn what_was_said_in_its_absence_is_no_news_to_who_came_back() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    stage.leave("two").unwrap();
    stage.network.settle();
    for number in 0..5 {
        stage.say("one", &format!("secret {number}"));
    }
    stage.network.settle();
    stage.join("two").unwrap();
    stage.network.settle();
    stage.say("one", "welcome back");
    stage.network.settle();
    stage.network.crash("two");
    stage.network.start("two");
    for other in ["one", "three"] {
        stage.network.set_cut(other, "two", true);
    }
    stage.say("two", "alone");
    stage.say("one", "over there");
    stage.pass_seconds(20);
    stage.network.set_cut("three", "two", false);
    stage.say("three", "everywhere");
    stage.pass_seconds(5);
    let heard = noticed(&mut stage.network, "two");
    assert_eq!(heard, ["welcome back", "alone", "over there", "everywhere"]);
    stage.network.set_cut("one", "two", false);
    stage.must_agree(&servers);
}

/// Also when a fork leads back there, and our memory of when we came back is only on disk.
#[test]
fn a_fork_from_the_time_of_an_absence_brings_no_news_of_that_time() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    stage.leave("two").unwrap();
    stage.network.settle();
    for number in 0..3 {
        stage.say("one", &format!("secret {number}"));
    }
    stage.network.settle();
    for other in ["one", "two"] {
        stage.network.set_cut(other, "three", true);
    }
    stage.say("three", "from a fork");
    for number in 3..9 {
        stage.say("one", &format!("secret {number}"));
    }
    stage.join("two").unwrap();
    stage.pass_seconds(5);
    stage.network.crash("two");
    stage.network.start("two");
    for other in ["one", "two"] {
        stage.network.set_cut(other, "three", false);
    }
    stage.network.settle();
    stage.say("one", "all together");
    stage.network.settle();
    let heard = noticed(&mut stage.network, "two");
    assert_eq!(heard, ["from a fork", "all together"]);
    stage.must_agree(&servers);
}

#[test]
fn a_kick_and_a_ban_are_heard_by_their_target_and_honoured_by_all() {
    for version in RoomVersion::SUPPORTED {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::of(&servers, *version);
        stage.set_member("one", "@bob:two", "leave").unwrap();
        stage.network.settle();
        assert_eq!(stage.own_membership("two").unwrap().membership, "leave");
        assert!(
            stage
                .network
                .run("two", stage.message("two", "still here?"))
                .is_err()
        );
        stage.join("two").unwrap();
        stage.set_member("one", "@bob:two", "ban").unwrap();
        stage.network.settle();
        assert_eq!(stage.own_membership("two").unwrap().membership, "ban");
        forbidden(stage.join_via("two", &["three"]));
        forbidden(stage.set_member("three", "@bob:two", "leave"));
        stage.set_member("one", "@bob:two", "leave").unwrap();
        stage.network.settle();
        stage.join_via("two", &["three"]).unwrap();
        stage.must_agree(&servers);
    }
}

/// A club whose members may join the garden, with cyd as the only member of the club but its
/// maker; the garden is the stage's room.
fn restricted(version: RoomVersion) -> Stage {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(version, Preset::Public));
    stage.join("three").unwrap();
    let allow = json!([{ "type": "m.room_membership", "room_id": stage.room_id }]);
    let mut garden = room(version, Preset::Private);
    garden.initial_state = vec![initial(
        "m.room.join_rules",
        json!({ "join_rule": "restricted", "allow": allow }),
    )];
    let command = comity_core::messaging::command::Command::CreateRoom(Box::new(garden));
    match stage.network.run("one", command) {
        Ok(comity_core::messaging::command::Reply::Room(room_id)) => stage.room_id = room_id,
        other => panic!("{other:?}"),
    }
    stage
}

/// RJOIN-1, RJOIN-3.
#[test]
fn rjoin_a_member_of_the_allowed_room_gets_in_with_a_countersignature_and_a_stranger_does_not() {
    let with_restricted = |version: &RoomVersion| version.rules().restricted;
    for version in VERSIONS.into_iter().filter(with_restricted) {
        let mut stage = restricted(version);
        forbidden(stage.join("two"));
        stage.join("three").unwrap();
        stage.say("three", "hello");
        stage.must_agree(&["one", "three"]);
        let member = stage.state("one", "m.room.member", "@cyd:three").unwrap();
        assert_eq!(member["join_authorised_via_users_server"], "@ann:one");
        let join = stage
            .timeline("three")
            .into_iter()
            .find(|event| event.pdu.state_key() == Some("@cyd:three"))
            .unwrap();
        let signers: Vec<_> = join.pdu.object()["signatures"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(signers, ["one", "three"]);
        stage.invite("three", "@bob:two").unwrap();
        stage.join("two").unwrap();
        stage.must_agree(&["one", "two", "three"]);
    }
}

#[test]
fn two_users_of_one_server_join_at_once() {
    for version in VERSIONS {
        let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
        let eve = "@eve:two".try_into().unwrap();
        let (bob, eve) = (
            stage.join_command(&user("two"), &["one"]),
            stage.join_command(&eve, &["one"]),
        );
        let ids = [
            stage.network.start_command("two", bob),
            stage.network.start_command("two", eve),
        ];
        stage.must_agree(&["one", "two"]);
        for id in ids {
            stage.network.server("two").finished(id).unwrap().unwrap();
        }
        for server in ["one", "two"] {
            assert_eq!(
                stage.membership(server, "@eve:two").as_deref(),
                Some("join")
            );
            assert_eq!(
                stage.membership(server, "@bob:two").as_deref(),
                Some("join")
            );
        }
    }
}

/// Whoever presses twice joins once; and who joins with another name has it changed.
#[test]
fn a_join_that_is_wanted_twice_at_once_is_one_event() {
    for version in VERSIONS {
        let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
        let join = stage.join_command(&user("two"), &["one"]);
        let ids = [join.clone(), join].map(|join| stage.network.start_command("two", join));
        stage.network.settle();
        for id in ids {
            stage.network.server("two").finished(id).unwrap().unwrap();
        }
        let joins = |stage: &mut Stage| {
            let timeline = stage.timeline("two").into_iter();
            let of_bob = timeline.filter(|event| event.pdu.sender() == "@bob:two");
            of_bob.count()
        };
        assert_eq!(joins(&mut stage), 1);
        let mut renamed = stage.join_command(&user("two"), &["one"]);
        let Command::Join { content, .. } = &mut renamed else {
            panic!("{renamed:?}");
        };
        content.insert("displayname".to_owned(), json!("Bob"));
        stage.network.run("two", renamed).unwrap();
        assert_eq!(joins(&mut stage), 2);
        stage.must_agree(&["one", "two"]);
    }
}

/// Resolution goes by the times that servers claim: one that waited for its own join must not claim
/// to have spoken before it.
#[test]
fn who_leaves_while_a_join_is_under_way_leaves_after_it() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
    stage.network.crash("three");
    let join = stage.join_command(&user("two"), &["three", "one"]);
    stage.network.start_command("two", join);
    let leave = Command::Leave {
        user_id: user("two"),
        room_id: stage.room_id.clone(),
        content: Default::default(),
    };
    let left = stage.network.start_command("two", leave);
    stage.network.settle();
    stage.network.server("two").finished(left).unwrap().unwrap();
    let timeline = stage.timeline("two").into_iter();
    let times: Vec<_> = timeline
        .filter(|event| event.pdu.sender() == "@bob:two")
        .map(|event| event.pdu.origin_server_ts())
        .collect();
    assert_eq!(times.len(), 2);
    assert!(times[0] < times[1], "{times:?}");
}

#[test]
fn join_7_what_is_said_during_a_join_arrives_at_whatever_moment() {
    for (version, steps) in VERSIONS
        .into_iter()
        .flat_map(|v| (0..16).map(move |s| (v, s)))
    {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::with(&servers, room(version, Preset::Public));
        stage.join("three").unwrap();
        stage.network.settle();
        let join = stage.join_command(&user("two"), &["one"]);
        let joined = stage.network.start_command("two", join);
        for _ in 0..steps {
            stage.network.step();
        }
        for server in ["one", "three"] {
            let command = stage.message(server, &format!("during, from {server}"));
            stage.network.start_command(server, command);
        }
        stage.network.settle();
        stage
            .network
            .server("two")
            .finished(joined)
            .unwrap()
            .unwrap();
        stage.say("one", "after");
        stage.network.settle();
        stage.say("two", "thanks");
        stage.must_agree(&servers);
        let ends = servers.map(|server| stage.summary(server).extremities);
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        let mut said = stage.said("one");
        let mut heard = stage.said("two");
        while stage.backfill("two", 100) > 0 {}
        let mut all = stage.said("two");
        said.sort();
        all.sort();
        assert_eq!(all, said, "version {version}, {steps} steps");
        heard.retain(|text| text == "after" || text == "thanks");
        assert_eq!(
            heard,
            ["after", "thanks"],
            "version {version}, {steps} steps"
        );
    }
}

#[test]
fn a_join_falls_over_to_the_next_server_if_the_first_is_down() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
    stage.join("three").unwrap();
    stage.invite("one", "@bob:two").unwrap();
    stage.network.settle();
    stage.network.crash("one");
    stage.join_via("two", &["one", "three"]).unwrap();
    stage.say("two", "hello");
    stage.network.start("one");
    stage.must_agree(&servers);
    assert_eq!(stage.said("one"), ["hello"]);
}

#[test]
fn a_join_with_nobody_to_ask_says_so() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::V12, Preset::Public));
    let error = stage.join_via("two", &[]).unwrap_err();
    assert!(matches!(error, CommandError::NotFound(_)), "{error:?}");
    stage.network.crash("one");
    let error = stage.join_via("two", &["one"]).unwrap_err();
    assert!(matches!(error, CommandError::NotLetIn(_)), "{error:?}");
    stage.must_keep_promises("two");
}

#[test]
fn join_7_events_pushed_before_the_room_came_are_not_lost() {
    let servers = ["one", "two"];
    for loss in [false, true] {
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        let join = stage.join_command(&user("two"), &["one"]);
        if loss {
            stage.network.lose_response("one", "/send_join/");
        }
        let joined = stage.network.start_command("two", join);
        while stage.membership("one", "@bob:two").as_deref() != Some("join") {
            stage.network.step();
        }
        for number in 0..5 {
            stage.say("one", &number.to_string());
        }
        stage.network.settle();
        stage
            .network
            .server("two")
            .finished(joined)
            .unwrap()
            .unwrap();
        stage.must_agree(&servers);
        assert_eq!(stage.said("two"), texts(0..5));
    }
}

/// Resolution may drop the join of who came in while others closed the room. No event says that they
/// left; their own server tells them.
#[test]
fn whose_join_a_resolution_undid_is_told() {
    let version = RoomVersion::parse("11").unwrap();
    let mut stage = Stage::with(&["one"], room(version, Preset::Public));
    let levels = json!({ "users": { "@ann:one": 100, "@eve:liar": 100 } });
    stage.set("one", "m.room.power_levels", levels).unwrap();
    let mut forger = infiltrate(&mut stage, version);
    stage.network.add_server("two");
    stage.join_via("two", &["one"]).unwrap();
    let rules = forger.event(
        "m.room.join_rules",
        Some(""),
        json!({ "join_rule": "invite" }),
    );
    let (now, own) = (stage.network.now().wall.to_i64(), forger.own.clone());
    let (name, key) = (own.server_name(), own.signing_key());
    let rules = build::complete_template(rules.object(), now, version, name, key).unwrap();
    forger.push(&mut stage.network, "two", &[rules.json().to_owned()]);
    stage.network.settle();
    assert_eq!(stage.membership("two", "@bob:two"), None);
    let own = stage.own_membership("two").unwrap();
    assert_eq!(own.membership, "leave");
    assert_eq!(own.event.pdu.membership(), Some("join"));
}
