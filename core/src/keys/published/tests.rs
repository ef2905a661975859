//! Key objects that are believed, and those that are not.

use std::sync::Arc;

use serde_json::json;

use super::*;
use ruma_common::OwnedServerName;

use crate::{keys::OwnKeys, pdu::signing::SigningKey};

const NOW: WallTime = WallTime(1_700_000_000_000);

fn keys_of(name: &str, seed: u8) -> OwnKeys {
    let key = SigningKey::from_seed("ed25519:1", &[seed; 32]).unwrap();
    OwnKeys::new(name.try_into().unwrap(), Arc::new(key))
}

/// The key object of server `one`, changed before `signer` signs it.
fn object(signer: &OwnKeys, change: impl FnOnce(&mut Map<String, Value>)) -> Bytes {
    let published = keys_of("one", 1).published(NOW);
    let mut object: Map<String, Value> = serde_json::from_slice(published.body()).unwrap();
    object.remove("signatures");
    change(&mut object);
    signer.sign(&mut object);
    Value::Object(object).to_string().into()
}

fn keys(body: &Bytes) -> Result<Vec<ServerKeyRecord>, RemoteError> {
    let server: OwnedServerName = "one".try_into().unwrap();
    Ok(read_response(body, &server, NOW)?.0)
}

#[test]
fn key_5_an_object_signed_with_a_key_that_it_lists_is_believed() {
    let keys = keys(&object(&keys_of("one", 1), |_| {})).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].public, keys_of("one", 1).signing_key().public_key());
    assert!(!keys[0].retired);
}

#[test]
fn key_5_an_object_of_another_server_or_signed_by_another_key_is_not() {
    let other_name = object(&keys_of("one", 1), |object| {
        object.insert("server_name".to_owned(), json!("two"));
    });
    keys(&other_name).unwrap_err();
    keys(&object(&keys_of("one", 2), |_| {})).unwrap_err();
    keys(&object(&keys_of("two", 1), |_| {})).unwrap_err();
    keys(&Bytes::from_static(b"{}")).unwrap_err();
}

#[test]
fn key_5_a_retired_key_cannot_vouch_for_the_object() {
    let only_old = object(&keys_of("one", 1), |object| {
        let mut key = object["verify_keys"]["ed25519:1"].clone();
        key["expired_ts"] = json!(5);
        object.insert("old_verify_keys".to_owned(), json!({ "ed25519:1": key }));
        object.insert("verify_keys".to_owned(), json!({}));
    });
    keys(&only_old).unwrap_err();
}

#[test]
fn key_4_a_retired_key_is_kept_with_the_time_when_it_was_last_used() {
    let rotated = object(&keys_of("one", 1), |object| {
        let mut key = object["verify_keys"]["ed25519:1"].clone();
        key["expired_ts"] = json!(5);
        object.insert("old_verify_keys".to_owned(), json!({ "ed25519:0": key }));
    });
    let keys = keys(&rotated).unwrap();
    let old = keys.iter().find(|key| key.retired).unwrap();
    assert_eq!(old.key_id.as_str(), "ed25519:0");
    assert_eq!(old.valid_until, WallTime(5));
}

/// LIMIT-13.
#[test]
fn key_6_no_key_is_believed_for_longer_than_a_week() {
    let until = |time: u64| {
        let body = object(&keys_of("one", 1), |object| {
            object.insert("valid_until_ts".to_owned(), json!(time));
        });
        keys(&body).unwrap()[0].valid_until
    };
    assert_eq!(until(NOW.0 + 1000), WallTime(NOW.0 + 1000));
    assert_eq!(until(9_000_000_000_000_000), NOW.plus(BELIEVED_FOR));
    let without = object(&keys_of("one", 1), |object| {
        object.remove("valid_until_ts");
    });
    keys(&without).unwrap_err();
}

/// LIMIT-20.
#[test]
fn keys_of_other_algorithms_and_lengths_are_left_out() {
    let odd = object(&keys_of("one", 1), |object| {
        object["verify_keys"]["ed25519:short"] = json!({ "key": "AAAA" });
        object["verify_keys"]["nonsense"] = json!(7);
    });
    assert_eq!(keys(&odd).unwrap().len(), 1);
}
