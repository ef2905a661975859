//! Joins that meet servers which are away, refuse, lie or stop: the next one lets our user in, a
//! crash ends no join, and what is said meanwhile is not lost (JOIN-5 to JOIN-8).

use comity_core::{
    Monotonic,
    messaging::{
        command::{CommandError, Preset, Reply},
        join::candidates::{Failure, NotLetIn, RoomFault, TRIED_FOR},
        notice::Notice,
    },
    pdu::{Pdu, RoomVersion},
    persistence::queries::{Answer, Read},
    transport::{remote_request::Endpoint, remote_response::RemoteError},
};
use comity_tests::simulation::{Finished, Liar};
use serde_json::{Value, json};

use crate::{
    forger::{Forger, altered, body, eve, infiltrate, list, not_found},
    stage::{Stage, noticed, room, texts, user},
};

/// A public room of server `one` with the liar in it, who makes templates as server `one` would and
/// answers `send_join` with this. Says what server `two` comes to that asks the liar first.
fn join_by_way_of(
    version: RoomVersion,
    via: &[&str],
    answer: impl Fn(&Forger, &Value) -> (u16, Value) + 'static,
) -> (Stage, Finished) {
    let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
    let forger = infiltrate(&mut stage, version);
    let endpoint = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    let made = body(&stage.network.ask("liar", "one", endpoint));
    stage.network.liar("liar").says(move |target, event| {
        if target.contains("/make_join/") {
            return (200, template(made.clone()));
        }
        match target.contains("/send_join/") {
            true => answer(&forger, event),
            false => not_found(),
        }
    });
    let joined = stage.join_via("two", via);
    (stage, joined)
}

/// The template that was made for Eve, for Bob; what she may do as a member he may do too.
fn template(mut made: Value) -> Value {
    let event = made["event"].as_object_mut().unwrap();
    event.insert("sender".to_owned(), json!("@bob:two"));
    event.insert("state_key".to_owned(), json!("@bob:two"));
    event.insert("content".to_owned(), json!({ "membership": "join" }));
    made
}

/// The room as it is.
fn truth(forger: &Forger, event: &Value) -> Value {
    json!({ "state": list(&forger.events), "auth_chain": list(&forger.events), "event": event })
}

/// Why the liar did not let Bob in, when it was the only one who was asked.
fn fault(joined: Finished) -> Failure {
    match joined {
        Err(CommandError::NotLetIn(NotLetIn { mut failures, .. })) => failures.remove(0).1,
        other => panic!("{other:?}"),
    }
}

fn recorded(stage: &mut Stage) -> usize {
    match stage.network.server("two").read(Read::Boot) {
        Answer::Boot(boot) => boot.joins.len(),
        other => panic!("{other:?}"),
    }
}

/// How the joins ended that nobody waited for any more.
fn ended(stage: &mut Stage) -> Vec<Result<(), CommandError>> {
    let notices = stage.network.server("two").notices.iter();
    let result = |notice: &Notice| match notice {
        Notice::JoinEnded { result, .. } => Some(result.clone()),
        _ => None,
    };
    notices.filter_map(result).collect()
}

/// A way to answer `send_join` that is no help.
type Lie = fn(&Forger, &Value) -> (u16, Value);

fn with_state(
    forger: &Forger,
    event: &Value,
    change: impl FnOnce(&mut Vec<Value>),
) -> (u16, Value) {
    let mut answer = truth(forger, event);
    change(answer["state"].as_array_mut().unwrap());
    (200, answer)
}

const LIES: [(&str, Lie); 9] = [
    ("an error of its own", |_, _| (500, json!({}))),
    ("not here", |_, _| not_found()),
    ("an event that it does not like", |_, _| {
        (
            400,
            json!({ "errcode": "M_INVALID_PARAM", "error": "depth" }),
        )
    }),
    ("no JSON that makes sense", |_, _| (200, json!([1, 2]))),
    ("another join", |forger, _| {
        let other = list(&[forger.last.clone()]).remove(0);
        (200, truth(forger, &other))
    }),
    ("no create event", |forger, event| {
        let (status, mut answer) = with_state(forger, event, Vec::clear);
        answer["auth_chain"] = json!([]);
        (status, answer)
    }),
    ("two names for the room", |forger, event| {
        let name = forger.event("m.room.name", Some(""), json!({ "name": "Trap" }));
        with_state(forger, event, |state| state.extend(list(&[name])))
    }),
    ("join rules without a signature", |forger, _| {
        let forged = |event: &Pdu| match event.event_type() {
            "m.room.join_rules" => {
                let text = altered(event, |event| event["signatures"] = json!({}));
                serde_json::from_str(&text).unwrap()
            }
            _ => Value::Object(event.object()),
        };
        let events: Vec<Value> = forger.events.iter().map(forged).collect();
        (200, json!({ "state": events, "auth_chain": events }))
    }),
    ("what authorises nothing", |forger, event| {
        let events = forger.events.iter();
        let create = events.filter(|event| event.event_type() == "m.room.create");
        let create: Vec<Pdu> = create.cloned().collect();
        (
            200,
            json!({ "state": list(&create), "auth_chain": [], "event": event }),
        )
    }),
];

/// JOIN-6, JOIN-8: whatever is wrong with the answer of one server, the next is tried.
#[test]
fn join_8_after_a_server_that_is_no_help_the_next_one_is_tried() {
    for (what, lie) in LIES {
        let (mut stage, joined) = join_by_way_of(RoomVersion::DEFAULT, &["liar", "one"], lie);
        assert_eq!(joined, Ok(Reply::Room(stage.room_id.clone())), "{what}");
        stage.must_agree(&["one", "two"]);
        assert_eq!(recorded(&mut stage), 0, "{what}");
    }
}

/// JOIN-6: what is wrong is told of each server.
#[test]
fn join_8_who_is_let_in_by_nobody_hears_everybodys_reason() {
    let (mut stage, joined) = join_by_way_of(
        RoomVersion::DEFAULT,
        &["liar", "three", "two"],
        |forger, event| with_state(forger, event, Vec::clear),
    );
    let Err(CommandError::NotLetIn(not_let_in)) = joined else {
        panic!("{joined:?}");
    };
    let [(liar, fault), (three, away)] = &not_let_in.failures[..] else {
        panic!("{not_let_in:?}");
    };
    assert_eq!((liar.as_str(), three.as_str()), ("liar", "three"));
    assert!(matches!(fault, Failure::Room(RoomFault::NoCreateEvent(_))));
    assert!(matches!(
        away,
        Failure::MakeJoin(RemoteError::Unreachable(_))
    ));
    let text = not_let_in.to_string();
    assert!(
        text.contains("liar: the room that it gave is no good"),
        "{text}"
    );
    assert!(
        text.contains("three: no template: cannot connect"),
        "{text}"
    );
    assert_eq!(recorded(&mut stage), 0);
    assert_eq!(stage.own_membership("two"), None);
    stage.must_keep_promises("two");
}

/// What is wrong with a room is said in a type, not only in words.
#[test]
fn join_6_a_fault_of_the_room_is_told_apart() {
    let faults: Vec<Failure> = LIES
        .into_iter()
        .map(|(_, lie)| fault(join_by_way_of(RoomVersion::DEFAULT, &["liar"], lie).1))
        .collect();
    let rooms = faults.iter().filter_map(|failure| match failure {
        Failure::Room(fault) => Some(fault.clone()),
        Failure::MakeJoin(_) | Failure::SendJoin(_) => None,
    });
    let rooms: Vec<RoomFault> = rooms.collect();
    assert!(matches!(rooms[0], RoomFault::Unreadable(_)));
    assert_eq!(rooms[1], RoomFault::AnotherJoin);
    assert_eq!(
        rooms[2],
        RoomFault::NoCreateEvent(RoomVersion::DEFAULT.as_str())
    );
    let twice = RoomFault::Contradiction {
        event_type: "m.room.name".to_owned(),
        state_key: String::new(),
    };
    assert_eq!(rooms[3], twice);
    assert_eq!(
        rooms[4..],
        [RoomFault::NotAuthorised, RoomFault::NotAuthorised]
    );
}

/// A denial speaks of our user, whoever utters it: nobody else is troubled, and the client hears it
/// as it is.
#[test]
fn join_8_a_denial_ends_the_join_and_is_passed_on() {
    let denied = || {
        (
            403,
            json!({ "errcode": "M_FORBIDDEN", "error": "you are banned" }),
        )
    };
    let (mut stage, joined) =
        join_by_way_of(RoomVersion::DEFAULT, &["liar", "one"], move |_, _| denied());
    let refused = CommandError::Refused {
        server: "liar".try_into().unwrap(),
        status: 403,
        errcode: "M_FORBIDDEN".to_owned(),
        error: "you are banned".to_owned(),
    };
    assert_eq!(joined, Err(refused));
    assert_eq!(recorded(&mut stage), 0);
    let asked = |sent: &&comity_tests::simulation::Sent| {
        sent.from == "two" && sent.to == "one" && sent.line.contains("join")
    };
    assert_eq!(stage.network.traffic.iter().filter(asked).count(), 0);
}

/// RJOIN-2: that a server cannot tell, or may not say, does not speak of our user.
#[test]
fn rjoin_2_who_cannot_let_our_user_in_sends_us_on() {
    for errcode in ["M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN"] {
        let (mut stage, joined) =
            join_by_way_of(RoomVersion::DEFAULT, &["liar", "one"], move |_, _| {
                (400, json!({ "errcode": errcode }))
            });
        joined.unwrap();
        stage.must_agree(&["one", "two"]);
    }
}

/// A template that is for something else, or of a version that nobody knows, is not signed.
#[test]
fn join_3_after_a_template_that_is_none_the_next_server_is_tried() {
    type Change = fn(&mut Value);
    let changes: [Change; 4] = [
        |made| made["room_version"] = json!("99"),
        |made| made["event"]["sender"] = json!("@ann:one"),
        |made| made["event"]["content"]["membership"] = json!("leave"),
        |made| made["event"] = json!(17),
    ];
    for change in changes {
        let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
        infiltrate(&mut stage, RoomVersion::DEFAULT);
        let endpoint = Endpoint::MakeJoin(stage.room_id.clone(), eve());
        let mut made = template(body(&stage.network.ask("liar", "one", endpoint)));
        change(&mut made);
        stage.network.liar("liar").says(move |target, _| {
            assert!(!target.contains("/send_join/"), "{target}");
            match target.contains("/make_join/") {
                true => (200, made.clone()),
                false => not_found(),
            }
        });
        stage.join_via("two", &["liar", "one"]).unwrap();
        stage.must_agree(&["one", "two"]);
    }
}

/// In versions 1 and 2 events can be made to authorise each other: they are left out.
#[test]
fn events_that_authorise_each_other_are_no_part_of_a_room_that_is_joined() {
    for version in [RoomVersion::V1, RoomVersion::V2] {
        let (mut stage, joined) = join_by_way_of(version, &["liar"], |forger, event| {
            let names = ["$one:liar", "$other:liar"];
            let circle = [(0, 1), (1, 0)].map(|(this, that): (usize, usize)| {
                let topic = format!("org.circle.{this}");
                let event = forger.event(&topic, Some(""), json!({}));
                let mut object = event.object();
                object.insert("event_id".to_owned(), json!(names[this]));
                let auth = object["auth_events"].as_array_mut().unwrap();
                auth.push(json!([names[that], { "sha256": "AAAA" }]));
                object.remove("signatures");
                let own = &forger.own;
                comity_core::pdu::build::complete_template(
                    object,
                    1,
                    forger.version,
                    own.server_name(),
                    own.signing_key(),
                )
                .map(|event| forger.renamed(&event, names[this]))
                .unwrap()
            });
            with_state(forger, event, |state| state.extend(list(&circle)))
        });
        joined.unwrap();
        assert_eq!(stage.state("two", "org.circle.0", ""), None);
        stage.must_keep_promises("two");
    }
}

/// Nobody is tried for ever: each server may take its time, all together may not.
#[test]
fn servers_that_let_us_wait_are_not_all_waited_for() {
    let servers = ["two"];
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    let names: Vec<String> = (0..9).map(|number| format!("slow{number}")).collect();
    let endpoint = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    infiltrate(&mut stage, RoomVersion::DEFAULT);
    let made = template(body(&stage.network.ask("liar", "one", endpoint)));
    for name in &names {
        stage.network.add_liar(Liar::new(name));
        let made = made.clone();
        stage
            .network
            .liar(name)
            .says(move |_, _| (200, made.clone()));
        stage.network.lose_response(name, "/send_join/");
        stage.network.lose_response(name, "/send_join/");
    }
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let joined = stage.join_via("two", &names);
    let Err(CommandError::NotLetIn(not_let_in)) = joined else {
        panic!("{joined:?}");
    };
    assert_eq!(not_let_in.failures.len() + not_let_in.not_tried.len(), 9);
    assert!(!not_let_in.not_tried.is_empty(), "{not_let_in}");
    let bound = Monotonic::default().plus(2 * TRIED_FOR);
    assert!(stage.network.now().monotonic < bound);
    stage.must_keep_promises(servers[0]);
}

/// JOIN-5, lesson 20: from the moment when the join has left until the room is on disk, a crash at
/// any step ends in the room, and the application is told.
#[test]
fn a_join_that_was_handed_in_before_a_crash_is_taken_up_after_it() {
    let mut resumed = 0;
    for steps in 0..14 {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        for _ in 0..steps {
            stage.network.step();
        }
        stage.network.crash("two");
        let was_recorded = recorded(&mut stage) == 1;
        stage.network.start("two");
        stage.network.settle();
        let ended = ended(&mut stage);
        assert_eq!(recorded(&mut stage), 0, "after {steps} steps");
        match was_recorded {
            true => assert_eq!(ended, [Ok(())], "after {steps} steps"),
            false => assert_eq!(ended, [], "after {steps} steps"),
        }
        resumed += usize::from(was_recorded);
        let has_joined = stage.membership("one", "@bob:two").is_some();
        assert_eq!(stage.own_membership("two").is_some(), has_joined);
        assert!(has_joined || !was_recorded, "after {steps} steps");
        if has_joined {
            stage.must_agree(&servers);
        }
    }
    assert!(resumed > 3, "{resumed}");
}

/// The same, whichever batch was the last that reached the disk.
#[test]
fn a_join_survives_a_loss_of_power_after_any_batch() {
    for commits in 1..8 {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        stage.network.server("two").crash_after(commits);
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        stage.network.settle();
        if !stage.network.server("two").is_up() {
            stage.network.start("two");
            stage.network.settle();
        }
        assert_eq!(recorded(&mut stage), 0, "after {commits} batches");
        let has_joined = stage.membership("one", "@bob:two").is_some();
        assert_eq!(stage.own_membership("two").is_some(), has_joined);
    }
}

/// The one who took the join is gone after the crash: the next one lets our user in.
#[test]
fn a_join_that_is_taken_up_goes_on_to_the_next_server() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
    stage.join("three").unwrap();
    stage.network.settle();
    let join = stage.join_command(&user("two"), &["one", "three"]);
    stage.network.start_command("two", join);
    while recorded(&mut stage) == 0 {
        stage.network.step();
    }
    stage.network.crash("two");
    stage.network.crash("one");
    stage.network.start("two");
    stage.network.settle();
    assert_eq!(ended(&mut stage), [Ok(())]);
    stage.network.start("one");
    stage.must_agree(&servers);
}

/// Whatever made the server stop, it does not make it stop for ever.
#[test]
fn a_join_that_outlives_too_many_starts_is_given_up() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    let join = stage.join_command(&user("two"), &["one"]);
    stage.network.start_command("two", join);
    while recorded(&mut stage) == 0 {
        stage.network.step();
    }
    stage.network.crash("one");
    let mut starts = 0;
    while recorded(&mut stage) == 1 {
        stage.network.crash("two");
        stage.network.start("two");
        starts += 1;
        assert!(starts < 10);
    }
    assert!(starts > 3, "{starts}");
    assert!(matches!(
        ended(&mut stage)[..],
        [Err(CommandError::Stopped(_))]
    ));
    stage.network.start("one");
    stage.join("two").unwrap();
    stage.must_agree(&["one", "two"]);
}

/// JOIN-7: what is said between the moment when the resident took the join and the one when we have
/// its answer is acknowledged at once, survives a crash, and is shown after the join, in order.
#[test]
fn join_7_what_is_said_during_a_join_is_on_disk_before_the_room_is() {
    for crash in [false, true] {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        stage.network.lose_response("one", "/send_join/");
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        while stage.membership("one", "@bob:two").is_none() {
            stage.network.step();
        }
        for number in 0..5 {
            stage.say("one", &number.to_string());
        }
        stage.pass_seconds(10);
        let summary = stage.network.server("one").statistics().unwrap();
        assert_eq!(summary.queued, 0, "two has acknowledged everything");
        assert!(noticed(&mut stage.network, "two").is_empty());
        assert_eq!(stage.network.server("two").statistics().unwrap().staged, 5);
        if crash {
            stage.network.crash("two");
            stage.network.start("two");
        }
        stage.must_agree(&servers);
        assert_eq!(noticed(&mut stage.network, "two"), texts(0..5));
        assert_eq!(stage.network.server("two").statistics().unwrap().staged, 0);
    }
}

/// A join that fails leaves nothing behind of what came meanwhile.
#[test]
fn join_7_what_came_during_a_join_that_failed_is_refused() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    for _ in 0..2 {
        stage.network.lose_response("one", "/send_join/");
    }
    let join = stage.join_command(&user("two"), &["one"]);
    let joined = stage.network.start_command("two", join);
    while stage.membership("one", "@bob:two").is_none() {
        stage.network.step();
    }
    stage.say("one", "who is there?");
    stage.network.settle();
    let joined = stage.network.server("two").finished(joined).unwrap();
    let Failure::SendJoin(RemoteError::Unreachable(_)) = fault(joined) else {
        panic!("the join was handed in twice");
    };
    assert!(noticed(&mut stage.network, "two").is_empty());
    assert_eq!(stage.network.server("two").statistics().unwrap().staged, 0);
    stage.join("two").unwrap();
    stage.say("one", "welcome");
    stage.must_agree(&["one", "two"]);
    assert_eq!(
        noticed(&mut stage.network, "two").last().unwrap(),
        "welcome"
    );
}
