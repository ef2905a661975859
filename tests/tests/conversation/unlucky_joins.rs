//! Joins that meet servers which are away, refuse or lie: the next one lets our user in (JOIN-6,
//! JOIN-8).

use comity_core::{
    Monotonic,
    messaging::{
        command::{CommandError, Preset, Reply},
        join::candidates::{Failure, NotLetIn, RoomFault, TRIED_FOR},
    },
    pdu::{Pdu, RoomVersion},
    transport::{remote_request::Endpoint, remote_response::RemoteError},
};
use comity_tests::simulation::{Finished, Liar, Mishap};
use serde_json::{Value, json};

use crate::{
    forger::{Forger, altered, body, eve, infiltrate, list, not_found},
    resumed_joins::recorded,
    stage::{Stage, room},
};

/// A public room of server `one` with the liar in it, who makes templates as server `one` would and
/// answers `send_join` with this. Says what server `two` comes to that asks the liar first.
fn join_by_way_of(
    version: RoomVersion,
    via: &[&str],
    answer: impl Fn(&Forger, &Value) -> (u16, Value) + 'static,
) -> (Stage, Finished) {
    join_after(|_| (), version, via, answer)
}

/// The same, when something was done before.
pub fn join_after(
    prepare: impl FnOnce(&mut Stage),
    version: RoomVersion,
    via: &[&str],
    answer: impl Fn(&Forger, &Value) -> (u16, Value) + 'static,
) -> (Stage, Finished) {
    let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
    prepare(&mut stage);
    let forger = infiltrate(&mut stage, version);
    let newcomer = "@zoe:liar".try_into().unwrap();
    let endpoint = Endpoint::MakeJoin(stage.room_id.clone(), newcomer);
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

/// The template that was made for a user of the liar, for Bob.
fn template(mut made: Value) -> Value {
    let event = made["event"].as_object_mut().unwrap();
    event.insert("sender".to_owned(), json!("@bob:two"));
    event.insert("state_key".to_owned(), json!("@bob:two"));
    event.insert("content".to_owned(), json!({ "membership": "join" }));
    made
}

/// The room as it is.
pub fn truth(forger: &Forger, event: &Value) -> Value {
    json!({ "state": list(&forger.events), "auth_chain": list(&forger.events), "event": event })
}

/// Why the liar did not let Bob in, when it was the only one who was asked.
pub fn fault(joined: Finished) -> Failure {
    match joined {
        Err(CommandError::NotLetIn(NotLetIn { mut failures, .. })) => failures.remove(0).1,
        other => panic!("{other:?}"),
    }
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
        let other = Value::Object(forger.last.object());
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
        Failure::MakeJoin(_) | Failure::SendJoin(_) | Failure::State(_) => None,
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
        for _ in 0..2 {
            let network = &mut stage.network;
            network.await_mishap(name, "/send_join/", Mishap::LoseRequest);
        }
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
    stage.must_keep_promises("two");
}
