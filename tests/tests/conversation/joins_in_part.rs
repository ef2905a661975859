//! Joins of rooms whose members come later (FJOIN-3, FJOIN-4).

use std::{sync::mpsc, time::Duration};

use comity_core::{
    messaging::{
        command::{Command, CommandError, Preset, Reply},
        join::{
            candidates::{Failure, RoomFault},
            complete::COMPLETED_WITHIN,
        },
        notice::Notice,
        status::{JoinState, JoinStatus},
    },
    pdu::RoomVersion,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Mishap;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, infiltrate, list, not_found},
    resumed_joins::{ended, recorded},
    stage::{Stage, noticed, room, texts, user},
    unlucky_joins::{fault, join_after, truth},
};

/// An answer to `send_join`.
type Lie = fn(&Forger, &Value) -> Value;

const SERVERS: [&str; 3] = ["one", "two", "three"];

/// A public room with servers `one` and `three` in it, and a server `two` that joins in part.
pub fn stage() -> Stage {
    let mut stage = Stage::with(&SERVERS, room(RoomVersion::DEFAULT, Preset::Public));
    stage.join("three").unwrap();
    stage.network.settle();
    join_in_part(&mut stage);
    stage
}

/// Makes server `two` join in part.
pub fn join_in_part(stage: &mut Stage) {
    stage.network.server("two").settings.join_in_part = true;
    stage.network.crash("two");
    stage.network.start("two");
}

/// Lets nobody hear what is asked of them for the state of the room, for so many questions each.
fn lose_state(stage: &mut Stage, servers: &[&str], times: usize) {
    for server in servers {
        for _ in 0..times {
            let network = &mut stage.network;
            network.await_mishap(server, "/state/", Mishap::LoseRequest);
        }
    }
}

/// What the application was told of joins that were taken: the types of the state that it was shown
/// and who is in the room.
fn taken(stage: &mut Stage) -> Vec<(Vec<String>, Vec<String>)> {
    let notices = stage.network.server("two").notices.iter();
    let taken = notices.filter_map(|notice| match notice {
        Notice::JoinTaken { state, servers, .. } => {
            let types = state.iter().map(|event| event.event_type().to_owned());
            Some((types.collect(), texts(servers)))
        }
        _ => None,
    });
    taken.collect()
}

/// FJOIN-4: the command is answered when the join was taken; the room is there when its members
/// are, with what was said meanwhile, and the application is told both.
#[test]
fn fjoin_4_a_join_is_answered_before_the_members_have_come() {
    let mut stage = stage();
    lose_state(&mut stage, &["one"], 1);
    let joined = stage.join("two");
    assert_eq!(joined, Ok(Reply::Room(stage.room_id.clone())));
    let told = taken(&mut stage);
    let [(types, servers)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(types.iter().any(|of| of == "m.room.name"), "{types:?}");
    assert!(types.iter().all(|of| of != "m.room.member"), "{types:?}");
    assert_eq!(*servers, ["three"]);
    assert_eq!(stage.own_membership("two"), None);
    assert_eq!(ended(&mut stage), []);
    stage.pass_seconds(1);
    for number in 0..5 {
        let server = ["one", "three"][number % 2];
        stage.say(server, &number.to_string());
    }
    stage.pass_seconds(10);
    assert!(noticed(&mut stage.network, "two").is_empty());
    let staged = stage.network.server("two").statistics().unwrap().staged;
    assert_eq!(staged, 5);
    stage.must_agree(&SERVERS);
    assert_eq!(ended(&mut stage), [Ok(())]);
    let mut seen = noticed(&mut stage.network, "two");
    seen.sort();
    assert_eq!(seen, texts(0..5));
    assert_eq!(recorded(&mut stage), 0);
    stage.say("two", "hello");
    stage.must_agree(&SERVERS);
}

/// Who does not know of it answers as ever, and the join is as any other.
#[test]
fn fjoin_1_who_is_asked_without_the_wish_gives_the_whole_room() {
    let mut stage = stage();
    stage.network.server("two").settings.join_in_part = false;
    stage.network.crash("two");
    stage.network.start("two");
    stage.join("two").unwrap();
    assert!(taken(&mut stage).is_empty());
    assert!(stage.own_membership("two").is_some());
}

/// A crash at any step ends in the room; who was told that the join was taken is told how it ended.
#[test]
fn fjoin_4_a_join_in_part_survives_a_crash_at_any_step() {
    let mut taken_before = 0;
    for steps in 0..24 {
        let mut stage = stage();
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        for _ in 0..steps {
            stage.network.step();
        }
        stage.network.crash("two");
        let (was_recorded, was_taken) = (recorded(&mut stage) == 1, !taken(&mut stage).is_empty());
        stage.network.start("two");
        stage.network.settle();
        assert_eq!(recorded(&mut stage), 0, "after {steps} steps");
        if was_recorded {
            assert_eq!(ended(&mut stage), [Ok(())], "after {steps} steps");
        }
        taken_before += usize::from(was_recorded && was_taken);
        let has_joined = stage.membership("one", "@bob:two").is_some();
        assert_eq!(stage.own_membership("two").is_some(), has_joined);
        if has_joined {
            stage.must_agree(&SERVERS);
        }
    }
    assert!(taken_before > 0);
}

/// FJOIN-4: the server that took the join is gone; others in the room know its state too.
#[test]
fn fjoin_4_the_members_are_had_from_others_if_who_took_the_join_is_gone() {
    let mut stage = stage();
    lose_state(&mut stage, &["one"], 1);
    stage.join("two").unwrap();
    stage.pass_seconds(1);
    stage.network.crash("one");
    stage.say("three", "where is one?");
    stage.pass_seconds(400);
    assert_eq!(ended(&mut stage), [Ok(())]);
    assert!(stage.own_membership("two").is_some());
    stage.network.start("one");
    stage.must_agree(&SERVERS);
    assert_eq!(noticed(&mut stage.network, "two"), ["where is one?"]);
}

/// FJOIN-4: they are asked again, ever more rarely; what is said meanwhile is kept, and who wants
/// something of the room is told that it has to wait.
#[test]
fn fjoin_4_when_nobody_can_tell_the_members_all_are_asked_again_later() {
    let mut stage = stage();
    lose_state(&mut stage, &["one", "three"], 3);
    stage.join("two").unwrap();
    stage.say("one", "welcome");
    stage.pass_seconds(620);
    assert_eq!(stage.own_membership("two"), None);
    let room_id = stage.room_id.clone();
    let message = stage.message("two", "hello?");
    let sent = stage.network.run("two", message);
    assert_eq!(sent, Err(CommandError::RoomInPart(room_id.clone())));
    let left = stage.leave("two");
    assert_eq!(left, Err(CommandError::RoomInPart(room_id.clone())));
    let other = "@bea:two".try_into().unwrap();
    let joined = stage.join_as("two", &other, &["one"]);
    assert_eq!(joined, Err(CommandError::RoomInPart(room_id.clone())));
    assert_eq!(stage.join("two"), Ok(Reply::Room(room_id)));
    stage.pass_seconds(3 * 60 * 60);
    stage.must_agree(&SERVERS);
    assert_eq!(ended(&mut stage), [Ok(())]);
    assert_eq!(noticed(&mut stage.network, "two"), ["welcome"]);
    stage.say("two", "hello");
}

/// What is typed while the members are on their way is sent when they are there.
#[test]
fn fjoin_4_what_our_user_sends_before_the_members_have_come_waits_for_them() {
    let mut stage = stage();
    lose_state(&mut stage, &["one"], 1);
    stage.join("two").unwrap();
    let message = stage.message("two", "so soon");
    let sent = stage.network.run("two", message);
    assert!(matches!(sent, Ok(Reply::Event(_))), "{sent:?}");
    stage.must_agree(&SERVERS);
    assert_eq!(stage.said("one"), ["so soon"]);
}

/// FJOIN-4: nobody is asked for ever, and the end is told.
#[test]
fn fjoin_4_members_that_nobody_tells_for_a_week_are_given_up_with_a_notice() {
    let mut stage = stage();
    lose_state(&mut stage, &["one"], 1);
    stage.join("two").unwrap();
    stage.network.crash("one");
    stage.network.crash("three");
    stage
        .network
        .pass(COMPLETED_WITHIN + Duration::from_secs(7200));
    let ended = ended(&mut stage);
    assert!(
        matches!(ended[..], [Err(CommandError::NotLetIn(_))]),
        "{ended:?}"
    );
    assert_eq!(recorded(&mut stage), 0);
    assert_eq!(stage.network.server("two").jobs(), []);
    stage.network.start("one");
    stage.join("two").unwrap();
    stage.network.start("three");
    stage.must_agree(&SERVERS);
}

/// ERR-20, FJOIN-4: to other servers a room of which we do not know the members is none where they
/// could enter; those who are in it hear why they cannot read it, and nobody else does.
#[test]
fn err_20_what_needs_the_members_of_a_room_is_refused_until_they_have_come() {
    let mut stage = stage();
    let forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    lose_state(&mut stage, &["one"], 1);
    stage.join("two").unwrap();
    let (room_id, event_id) = (stage.room_id.clone(), forger.last.event_id().to_owned());
    let reads = [
        Endpoint::State(room_id.clone(), event_id.clone()),
        Endpoint::StateIds(room_id.clone(), event_id.clone()),
        Endpoint::EventAuth(room_id.clone(), event_id.clone()),
        Endpoint::Backfill {
            room_id: room_id.clone(),
            from: vec![event_id],
            limit: 10,
        },
    ];
    let refused = |stage: &mut Stage, liar: &str, endpoint: Endpoint| {
        let answer = stage.network.ask(liar, "two", endpoint);
        let errcode = body(&answer)["errcode"].clone();
        (answer.status().as_u16(), errcode)
    };
    let partial = Value::from("ORG.MATRIX.MSC3895_UNABLE_DUE_TO_PARTIAL_STATE");
    for endpoint in reads.clone() {
        let answer = refused(&mut stage, "liar", endpoint);
        assert_eq!(answer, (403, partial.clone()));
    }
    stage
        .network
        .add_liar(comity_tests::simulation::Liar::new("stranger"));
    for endpoint in reads.clone() {
        let answer = refused(&mut stage, "stranger", endpoint);
        assert_eq!(answer, (403, Value::from("M_FORBIDDEN")));
    }
    let join = Endpoint::MakeJoin(room_id, "@sue:stranger".try_into().unwrap());
    let answer = refused(&mut stage, "stranger", join.clone());
    assert_eq!(answer, (404, Value::from("M_NOT_FOUND")));
    assert_eq!(stage.own_membership("two"), None, "all that was too late");
    stage.must_agree(&SERVERS);
    let last = stage.timeline("two").pop().unwrap();
    let state = Endpoint::State(stage.room_id.clone(), last.pdu.event_id().to_owned());
    assert_eq!(stage.network.ask("liar", "two", state).status(), 200);
    assert_eq!(stage.network.ask("stranger", "two", join).status(), 200);
}

/// FJOIN-3: an answer that leaves out the members and does not say which servers are there, or does
/// so unasked, is none: the next server is tried.
#[test]
fn fjoin_3_members_left_out_unasked_or_without_the_servers_make_no_room() {
    let lies: [(bool, Lie); 2] = [
        (true, |forger, event| {
            let mut answer = truth(forger, event);
            answer["members_omitted"] = json!(true);
            answer
        }),
        (false, |forger, event| {
            let mut answer = truth(forger, event);
            answer["members_omitted"] = json!(true);
            answer["servers_in_room"] = json!(["one"]);
            answer
        }),
    ];
    for (asked, lie) in lies {
        for via in [&["liar"][..], &["liar", "one"]] {
            let prepare = |stage: &mut Stage| {
                if asked {
                    join_in_part(stage);
                }
            };
            let answer = move |forger: &Forger, event: &Value| (200, lie(forger, event));
            let (mut stage, joined) = join_after(prepare, RoomVersion::DEFAULT, via, answer);
            if via.len() > 1 {
                joined.unwrap();
                stage.must_agree(&["one", "two"]);
                continue;
            }
            let expected = match asked {
                true => RoomFault::NoServers,
                false => RoomFault::OmittedUnasked,
            };
            assert_eq!(fault(joined), Failure::Room(expected));
            assert!(taken(&mut stage).is_empty());
        }
    }
}

/// Lets server `two` join by way of a liar who leaves the members out and says that server `one` is
/// there, and who does not tell server `one` of the join.
fn taken_by_a_liar() -> (Stage, Forger) {
    let (known, seen) = mpsc::channel();
    let answer = move |forger: &Forger, event: &Value| {
        // Only the first is waited for.
        let _ = known.send(forger.clone());
        let mut answer = truth(forger, event);
        answer["members_omitted"] = json!(true);
        answer["servers_in_room"] = json!(["one", "no server name", "two", "liar"]);
        (200, answer)
    };
    let (mut stage, joined) = join_after(join_in_part, RoomVersion::DEFAULT, &["liar"], answer);
    assert_eq!(joined, Ok(Reply::Room(stage.room_id.clone())));
    let told = taken(&mut stage);
    assert_eq!(told[0].1, ["one"]);
    (stage, seen.recv().unwrap())
}

/// FJOIN-4: who took the join kept it to itself and tells no state: others are asked, and so hear
/// of the join.
#[test]
fn fjoin_4_a_join_that_its_taker_keeps_to_itself_is_handed_in_to_others() {
    let (mut stage, _) = taken_by_a_liar();
    stage.must_agree(&["one", "two"]);
    assert_eq!(ended(&mut stage), [Ok(())]);
    assert_eq!(recorded(&mut stage), 0);
}

/// FJOIN-4: the whole is checked as any room is, and had from others if it is no good.
#[test]
fn fjoin_4_a_lie_about_the_whole_is_found_out() {
    let lies: [fn(&Forger, &mut Vec<Value>); 3] = [
        |_, state| state.retain(|event| event["type"] != "m.room.create"),
        |_, state| state.retain(|event| event["type"] != "m.room.join_rules"),
        |forger, state| {
            let rules = json!({ "join_rule": "public", "again": true });
            let second = forger.event("m.room.join_rules", Some(""), rules);
            state.extend(list(&[second]));
        },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (mut stage, forger) = taken_by_a_liar();
        let mut state = list(&forger.events);
        lie(&forger, &mut state);
        let events = list(&forger.events);
        stage
            .network
            .liar("liar")
            .says(move |target, _| match target.contains("/state/") {
                true => (200, json!({ "pdus": state, "auth_chain": events })),
                false => not_found(),
            });
        stage.network.settle();
        assert_eq!(stage.network.liar("liar").asked["state"], 1, "{number}");
        assert_eq!(ended(&mut stage), [Ok(())], "{number}");
        stage.must_agree(&["one", "two"]);
    }
}

/// What an operator of server `two` is told of joins in part.
fn standing(stage: &mut Stage) -> Vec<JoinStatus> {
    match stage.network.run("two", Command::Status) {
        Ok(Reply::Status(status)) => status.joins,
        other => panic!("{other:?}"),
    }
}

/// FJOIN-4: whoever runs the server sees a room that is not whole, whom it is asked of, and what
/// waits for it.
#[test]
fn fjoin_4_an_operator_sees_what_is_lacking_and_who_is_asked() {
    let mut stage = stage();
    lose_state(&mut stage, &["one", "three"], 2);
    stage.join("two").unwrap();
    let joins = standing(&mut stage);
    let [join] = &joins[..] else {
        panic!("{joins:?}");
    };
    let asked = JoinState::Asking {
        server: "one".try_into().unwrap(),
    };
    assert_eq!((&join.state, join.rounds, join.staged), (&asked, 0, 0));
    assert_eq!(
        (&join.room_id, &join.user_id),
        (&stage.room_id, &user("two"))
    );
    assert_eq!((join.taken_by.as_str(), join.others), ("one", 1));

    stage.pass_seconds(1);
    stage.say("three", "hello");
    let pauses = |join: &JoinStatus| matches!(join.state, JoinState::Pausing { .. });
    while !standing(&mut stage).iter().any(pauses) {
        stage.pass_seconds(1);
    }
    let join = &standing(&mut stage)[0];
    assert_eq!((join.rounds, join.staged), (1, 1));
    let now = stage.network.now().wall;
    assert!(matches!(join.state, JoinState::Pausing { until } if until > now));

    stage.must_agree(&SERVERS);
    assert_eq!(standing(&mut stage), []);
    assert_eq!(noticed(&mut stage.network, "two"), ["hello"]);
}
