//! EDUs: what must not be lost is kept until the application has dealt with it, and nothing is
//! told twice.

use std::collections::BTreeSet;

use comity_core::{
    messaging::{
        command::{Command, EduAudience, Reply},
        notice::Notice,
    },
    pdu::RoomVersion,
    persistence::{
        queries::{Answer, Read},
        tables::InboxId,
    },
    transaction::inbox::WAITING_MAX,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Network;
use serde_json::{Value, json};

use crate::{
    forger::lied_to,
    stage::{Stage, object},
};

/// Lets the liar push a transaction of these EDUs, and returns the status.
pub fn push(stage: &mut Stage, id: &str, edus: &[Value]) -> u16 {
    let edus = serde_json::to_string(edus).unwrap();
    let endpoint = Endpoint::SendTransaction {
        transaction_id: id.into(),
        body: format!(r#"{{"origin":"liar","origin_server_ts":1,"pdus":[],"edus":{edus}}}"#).into(),
    };
    let answer = stage.network.ask("liar", "one", endpoint);
    answer.status().as_u16()
}

fn to_device(name: &str) -> Value {
    let content = json!({
        "sender": "@eve:liar",
        "type": "m.room_key",
        "message_id": name,
        "messages": { "@ann:one": { "*": { "name": name } } },
    });
    json!({ "edu_type": "m.direct_to_device", "content": content })
}

/// The EDUs that an application was told of since the world began: their type, the id to
/// acknowledge them by, and the message's name.
fn told(network: &mut Network) -> Vec<(String, Option<InboxId>, Option<String>)> {
    let edu = |notice: &Notice| match notice {
        Notice::Edu {
            edu_type,
            acknowledge,
            content,
            ..
        } => {
            let name = content.get("message_id").and_then(Value::as_str);
            Some((edu_type.clone(), *acknowledge, name.map(ToOwned::to_owned)))
        }
        _ => None,
    };
    network
        .server("one")
        .notices
        .iter()
        .filter_map(edu)
        .collect()
}

fn names(network: &mut Network) -> Vec<String> {
    let told = told(network).into_iter();
    told.filter_map(|(_, _, name)| name).collect()
}

fn restart(stage: &mut Stage) {
    stage.network.crash("one");
    stage.network.start("one");
}

fn acknowledge(stage: &mut Stage, through: InboxId) {
    let command = Command::Acknowledge { through };
    assert_eq!(stage.network.run("one", command), Ok(Reply::Acknowledged));
}

/// EDU-4, TXN-11: told under the same id after each start, until the application has dealt with
/// it.
#[test]
fn edu_4_a_message_to_a_device_is_told_until_it_is_acknowledged() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let status = push(
        &mut stage,
        "1",
        &[to_device("a"), to_device("b"), to_device("c")],
    );
    assert_eq!(status, 200);
    assert_eq!(names(&mut stage.network), ["a", "b", "c"]);
    let ids: Vec<_> = told(&mut stage.network)
        .into_iter()
        .map(|(_, id, _)| id.unwrap())
        .collect();
    acknowledge(&mut stage, ids[0]);
    restart(&mut stage);
    assert_eq!(names(&mut stage.network)[3..], ["b", "c"]);
    let again = told(&mut stage.network).into_iter().skip(3);
    let again: Vec<_> = again.map(|(_, id, _)| id.unwrap()).collect();
    assert_eq!(again, ids[1..]);
    acknowledge(&mut stage, ids[2]);
    restart(&mut stage);
    assert_eq!(names(&mut stage.network).len(), 5);
}

/// EDU-4: a sender that was restarted sends it again in another transaction.
#[test]
fn edu_4_a_message_that_comes_again_under_its_name_is_not_told_again() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    push(&mut stage, "1", &[to_device("a")]);
    push(
        &mut stage,
        "2",
        &[to_device("a"), to_device("b"), to_device("b")],
    );
    assert_eq!(names(&mut stage.network), ["a", "b"]);
    let last = told(&mut stage.network).pop().unwrap();
    acknowledge(&mut stage, last.1.unwrap());
    push(
        &mut stage,
        "3",
        &[to_device("b"), to_device("a"), to_device("c")],
    );
    assert_eq!(names(&mut stage.network), ["a", "b", "c"]);
}

#[test]
fn edu_5_edu_7_news_of_devices_and_of_keys_are_kept_too() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let of_eve = json!({ "user_id": "@eve:liar", "device_id": "phone", "stream_id": 1 });
    let types = ["m.device_list_update", "m.signing_key_update"];
    let edus = types.map(|edu_type| json!({ "edu_type": edu_type, "content": of_eve }));
    push(&mut stage, "1", &edus);
    let told = told(&mut stage.network);
    assert!(told.iter().all(|(_, id, _)| id.is_some()));
    assert_eq!(told.len(), 2);
}

/// TXN-11: whenever the server crashes, no message to a device is lost, and what is true for a
/// moment is not told twice.
#[test]
fn txn_11_a_crash_loses_no_message_to_a_device_and_repeats_nothing_fleeting() {
    for commits in 1..6 {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        stage.network.server("one").crash_after(commits);
        stage.say("two", "before");
        let typing = json!({ "room_id": stage.room_id, "user_id": "@bob:two", "typing": true });
        let mut message = to_device("a")["content"].clone();
        message["sender"] = json!("@bob:two");
        for (edu_type, content) in [("m.typing", typing), ("m.direct_to_device", message)] {
            let command = Command::SendEdu {
                to: EduAudience::Room(stage.room_id.clone()),
                edu_type: edu_type.to_owned(),
                content: object(content),
            };
            stage.network.run("two", command).unwrap();
        }
        stage.pass_seconds(60);
        restart(&mut stage);
        stage.network.settle();
        let all = told(&mut stage.network);
        let count = |wanted: &str| all.iter().filter(|(found, ..)| found == wanted).count();
        assert!(count("m.typing") <= 1, "after {commits} commits");
        let ids: BTreeSet<InboxId> = all.iter().filter_map(|(_, id, _)| *id).collect();
        assert_eq!(ids.len(), 1, "after {commits} commits");
    }
}

/// What there is no room for is not acknowledged, and comes again.
#[test]
fn a_transaction_is_put_off_while_too_much_waits_for_the_application() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let mut numbers = 0..WAITING_MAX;
    for batch in 0..WAITING_MAX / 100 {
        let edus: Vec<Value> = numbers
            .by_ref()
            .take(100)
            .map(|number| to_device(&number.to_string()))
            .collect();
        assert_eq!(push(&mut stage, &batch.to_string(), &edus), 200);
    }
    assert_eq!(push(&mut stage, "more", &[to_device("more")]), 429);
    assert_eq!(push(&mut stage, "known", &[to_device("7")]), 200);
    let waiting = Read::Inbox {
        after: InboxId::default(),
        limit: 10_000,
    };
    let Answer::Inbox(waiting) = stage.network.server("one").read(waiting) else {
        panic!("no inbox");
    };
    assert_eq!(waiting.len() as u64, WAITING_MAX);
    acknowledge(&mut stage, waiting[0].id);
    assert_eq!(push(&mut stage, "more", &[to_device("more")]), 200);
    assert_eq!(names(&mut stage.network).last().unwrap(), "more");
}
