//! Devices and their keys, across servers.

use std::collections::BTreeMap;

use comity_core::{
    messaging::{
        command::{Command, CommandError, Reply},
        device_keys::{Device, DeviceList, OneTimeKeys, UserKeys, WantedOneTimeKeys},
        notice::{Question, Told},
    },
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::{Liar, Network};
use ruma_common::OwnedUserId;
use serde_json::{Value, json};

use crate::{forger::body, stage::user};

fn device(user_id: &OwnedUserId, device_id: &str) -> Value {
    json!({ "user_id": user_id, "device_id": device_id, "keys": {}, "algorithms": [] })
}

fn keys_of(user_id: &OwnedUserId, device_ids: &[&str]) -> UserKeys {
    let devices = device_ids
        .iter()
        .map(|id| ((*id).to_owned(), device(user_id, id)));
    let master = json!({ "user_id": user_id, "usage": ["master"],
        "keys": { "ed25519:A": "A" } });
    UserKeys {
        device_keys: [(user_id.clone(), devices.collect())].into(),
        master_keys: [(user_id.clone(), master)].into(),
        self_signing_keys: BTreeMap::new(),
    }
}

fn query(users: &[(&OwnedUserId, &[&str])]) -> Command {
    let wanted = users.iter().map(|(user_id, devices)| {
        let devices = devices.iter().map(|id| (*id).to_owned()).collect();
        ((*user_id).clone(), devices)
    });
    Command::QueryKeys(wanted.collect())
}

/// A claim of one key of each of these devices.
fn claim(devices: &[(&OwnedUserId, &str)]) -> WantedOneTimeKeys {
    let mut wanted = WantedOneTimeKeys::new();
    for (user_id, device_id) in devices {
        let of_user = wanted.entry((*user_id).clone()).or_default();
        of_user.insert((*device_id).to_owned(), "signed_curve25519".to_owned());
    }
    wanted
}

/// Lets a server's application hand out numbered keys, each once.
fn hand_out(network: &mut Network, server: &str) {
    let mut next = 0;
    network.server(server).answers(move |question| {
        let Question::OneTimeKeys { wanted, .. } = question else {
            return None;
        };
        let mut keys = OneTimeKeys::default();
        for (user_id, devices) in wanted {
            for (device_id, algorithm) in devices {
                let key = BTreeMap::from([(format!("{algorithm}:{next}"), json!({ "key": next }))]);
                next += 1;
                let of_user = keys.one_time_keys.entry(user_id.clone()).or_default();
                of_user.insert(device_id.clone(), key);
            }
        }
        Some(Told::OneTimeKeys(keys))
    });
}

fn claimed(finished: Result<Reply, CommandError>) -> Vec<String> {
    let Ok(Reply::OneTimeKeys { keys, .. }) = finished else {
        panic!("{finished:?}");
    };
    let devices = keys.one_time_keys.into_values().flatten();
    devices.flat_map(|(_, keys)| keys.into_keys()).collect()
}

/// DEV-3: each server is asked for its own users, ours is not asked over the network.
#[test]
fn dev_3_keys_are_asked_of_the_servers_of_their_users() {
    let mut network = Network::of(&["one", "two", "three"]);
    let (ann, bob, cyd) = (user("one"), user("two"), user("three"));
    for (server, user_id, devices) in [
        ("one", &ann, &[][..]),
        ("two", &bob, &[]),
        ("three", &cyd, &["PHONE"]),
    ] {
        let wanted = devices.iter().map(|id: &&str| (*id).to_owned()).collect();
        let question = Question::Keys([(user_id.clone(), wanted)].into());
        let told = Told::Keys(keys_of(user_id, &["PHONE"]));
        network.server(server).knows(question, told);
    }
    let wanted = query(&[(&ann, &[]), (&bob, &[]), (&cyd, &["PHONE"])]);
    let Ok(Reply::Keys { keys, failures }) = network.run("one", wanted) else {
        panic!("no keys");
    };
    assert!(failures.is_empty());
    assert_eq!(keys.device_keys.len(), 3);
    assert_eq!(keys.master_keys.len(), 3);
    assert_eq!(keys.device_keys[&bob]["PHONE"], device(&bob, "PHONE"));
}

/// LIMIT-22: what stands for a user holds one key, or nobody knows which is meant.
#[test]
fn limit_22_a_key_that_stands_for_a_user_is_one_key() {
    for (held, is_taken) in [
        (json!({ "ed25519:A": "A" }), true),
        (json!({}), false),
        (json!({ "ed25519:A": "A", "ed25519:B": "B" }), false),
        (json!("A"), false),
    ] {
        let mut network = Network::of(&["one", "two"]);
        let bob = user("two");
        let mut keys = keys_of(&bob, &["PHONE"]);
        let master = keys.master_keys.get_mut(&bob).unwrap();
        master["keys"] = held.clone();
        let mut signing = master.clone();
        signing["usage"] = json!(["self_signing"]);
        keys.self_signing_keys.insert(bob.clone(), signing.clone());
        let list = DeviceList {
            user_id: bob.clone(),
            stream_id: 1,
            devices: Vec::new(),
            master_key: Some(master.clone()),
            self_signing_key: Some(signing),
        };
        let server = network.server("two");
        let question = Question::Keys([(bob.clone(), Vec::new())].into());
        server.knows(question, Told::Keys(keys));
        server.knows(Question::Devices(bob.clone()), Told::Devices(list));
        let Ok(Reply::Keys { keys, .. }) = network.run("one", query(&[(&bob, &[])])) else {
            panic!("no keys");
        };
        assert_eq!(keys.device_keys.len(), 1, "{held}");
        let taken = [&keys.master_keys, &keys.self_signing_keys].map(|keys| keys.len() == 1);
        assert_eq!(taken, [is_taken; 2], "{held}");
        let Ok(Reply::Devices(list)) = network.run("one", Command::ListDevices(bob)) else {
            panic!("no devices");
        };
        let taken = [&list.master_key, &list.self_signing_key].map(Option::is_some);
        assert_eq!(taken, [is_taken; 2], "{held}");
    }
}

/// DEV-3: a server that is not reached leaves the others' keys as they are.
#[test]
fn dev_3_a_server_that_is_down_is_a_failure_and_no_more() {
    let mut network = Network::of(&["one", "two", "three"]);
    let (bob, cyd) = (user("two"), user("three"));
    let question = Question::Keys([(bob.clone(), Vec::new())].into());
    let told = Told::Keys(keys_of(&bob, &["PHONE"]));
    network.server("two").knows(question, told);
    network.crash("three");
    let finished = network.run("one", query(&[(&bob, &[]), (&cyd, &[])]));
    let Ok(Reply::Keys { keys, failures }) = finished else {
        panic!("{finished:?}");
    };
    assert_eq!(keys.device_keys.keys().collect::<Vec<_>>(), [&bob]);
    assert_eq!(failures.len(), 1);
    assert!(failures.contains_key(cyd.server_name()));
}

/// DEV-5: a liar adds keys of others, of devices that were not asked for, and under wrong names.
#[test]
fn dev_5_a_server_speaks_of_its_own_users_devices_only() {
    let mut network = Network::of(&["one"]);
    let (ann, eve): (_, OwnedUserId) = (user("one"), "@eve:liar".try_into().unwrap());
    let mut liar = Liar::new("liar");
    let answer = json!({
        "device_keys": {
            ann.as_str(): { "PHONE": device(&ann, "PHONE") },
            eve.as_str(): {
                "GOOD": device(&eve, "GOOD"),
                "UNASKED": device(&eve, "UNASKED"),
                "RENAMED": device(&eve, "OTHER"),
                "STOLEN": device(&ann, "STOLEN"),
            },
        },
        "master_keys": { ann.as_str(): { "user_id": ann }, eve.as_str(): { "user_id": ann } },
        "self_signing_keys": {
            eve.as_str(): { "user_id": eve, "keys": { "ed25519:A": "A" } },
        },
    });
    liar.says(move |target, _| match target {
        "/_matrix/federation/v1/user/keys/query" => (200, answer.clone()),
        _ => (404, json!({})),
    });
    network.add_liar(liar);
    let devices: &[&str] = &["GOOD", "RENAMED", "STOLEN"];
    let Ok(Reply::Keys { keys, .. }) = network.run("one", query(&[(&eve, devices)])) else {
        panic!("no keys");
    };
    let good = BTreeMap::from([("GOOD".to_owned(), device(&eve, "GOOD"))]);
    assert_eq!(keys.device_keys, [(eve.clone(), good)].into());
    assert!(keys.master_keys.is_empty());
    assert_eq!(keys.self_signing_keys.keys().collect::<Vec<_>>(), [&eve]);
}

/// DEV-4: two claims that look alike, at the same time, get two keys; whether they come by
/// federation or from the server's own users.
#[test]
fn dev_4_no_key_is_given_away_twice() {
    let mut network = Network::of(&["one", "two", "three"]);
    hand_out(&mut network, "two");
    let wanted = claim(&[(&user("two"), "PHONE")]);
    let askers = ["one", "one", "three", "two", "two"];
    let commands: Vec<_> = askers
        .iter()
        .map(|asker| {
            let command = Command::ClaimKeys(wanted.clone());
            (*asker, network.start_command(asker, command))
        })
        .collect();
    network.settle();
    let mut keys: Vec<String> = commands
        .into_iter()
        .flat_map(|(asker, id)| claimed(network.server(asker).finished(id).unwrap()))
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), askers.len());
}

/// DEV-4: nobody answers the question; that is no error.
#[test]
fn dev_4_a_device_without_keys_is_left_out() {
    let mut network = Network::of(&["one", "two"]);
    let wanted = claim(&[(&user("two"), "PHONE")]);
    let nothing = network.run("one", Command::ClaimKeys(wanted));
    assert!(claimed(nothing).is_empty());
}

/// DEV-1, DEV-2: the whole list, with the place in the stream from which to follow it.
#[test]
fn dev_1_dev_2_the_devices_of_a_user_are_listed() {
    let mut network = Network::of(&["one", "two"]);
    let bob = user("two");
    let list = DeviceList {
        user_id: bob.clone(),
        stream_id: 7,
        devices: vec![Device {
            device_id: "PHONE".to_owned(),
            keys: device(&bob, "PHONE"),
            device_display_name: None,
        }],
        master_key: None,
        self_signing_key: None,
    };
    let told = Told::Devices(list.clone());
    let question = Question::Devices(bob.clone());
    network.server("two").knows(question, told);
    for asker in ["one", "two"] {
        let listed = network.run(asker, Command::ListDevices(bob.clone()));
        assert_eq!(listed, Ok(Reply::Devices(Box::new(list.clone()))));
        let nobody = "@nobody:two".try_into().unwrap();
        network
            .run(asker, Command::ListDevices(nobody))
            .unwrap_err();
    }
}

/// DEV-1, DEV-3: only for our own users, in bodies that make sense.
#[test]
fn dev_1_dev_3_what_is_not_ours_to_tell_is_400() {
    let mut network = Network::of(&["one"]);
    network.add_liar(Liar::new("liar"));
    let foreign = user("two");
    let one_of_each = [
        Question::Keys([(foreign.clone(), Vec::new())].into()),
        Question::OneTimeKeys {
            wanted: claim(&[(&foreign, "PHONE")]),
            claim: 0,
        },
        Question::Devices(foreign),
    ];
    for question in one_of_each {
        let response = network.ask("liar", "one", Endpoint::Question(question));
        assert_eq!(response.status(), 400);
        assert_eq!(body(&response)["errcode"], "M_INVALID_PARAM");
    }
    let many = (0..1_001).map(|number| format!("@user{number}:one").try_into().unwrap());
    let many = many.map(|user_id| (user_id, Vec::new())).collect();
    let response = network.ask("liar", "one", Endpoint::Question(Question::Keys(many)));
    assert_eq!(response.status(), 400);
    assert_eq!(body(&response)["errcode"], "M_BAD_JSON");
}
