//! The authorisation rule for invites that follow from third-party invites.

use comity_core::pdu::{
    RoomVersion,
    authorisation::Rule,
    event_type::{MEMBER, THIRD_PARTY_INVITE},
    signing::sign_json,
    unpadded_base64,
};
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION,
    judge::{member, room_with, rule},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, key, object},
};

/// The rule that denies Bob's invite, which follows from a third-party invite of Alice.
///
/// Alice has left the room and had no power: neither matters.
fn denied_by(
    version: RoomVersion,
    invite: Value,
    sender: &str,
    token: &str,
    alter: impl Fn(&mut Value),
) -> Option<Rule> {
    let mut room = Room::new(version);
    room.put(ALICE, THIRD_PARTY_INVITE, token, invite);
    room.put(CREATOR, MEMBER, ALICE, json!({ "membership": "leave" }));
    let mut signed = object(json!({ "mxid": BOB, "token": "token", "sender": "x" }));
    sign_json(&mut signed, "id.example".try_into().unwrap(), &key());
    let mut content = json!({
        "membership": "invite",
        "third_party_invite": { "display_name": "b", "signed": signed },
    });
    alter(&mut content);
    rule(member(&mut room, sender, BOB, content))
}

#[test]
fn auth_10_any_key_of_the_invite_may_have_signed() {
    let public_key = unpadded_base64::encode(&key().public_key());
    let other_key = unpadded_base64::encode(&[9; 32]);
    let url_safe = unpadded_base64::encode_url_safe(&key().public_key());
    for version in EVERY_VERSION {
        for good in [
            json!({ "public_key": public_key }),
            json!({ "public_key": url_safe }),
            json!({ "public_key": other_key, "public_keys": [{ "public_key": public_key }] }),
            json!({
                "public_key": other_key,
                "public_keys": [{ "public_key": other_key }, { "public_key": public_key }],
            }),
        ] {
            let verdict = denied_by(version, good.clone(), ALICE, "token", |_| ());
            assert_eq!(verdict, None, "{good}");
        }
        let wrong = json!({ "public_key": other_key });
        let verdict = denied_by(version, wrong, ALICE, "token", |_| ());
        assert_eq!(verdict, Some(Rule::ThirdPartySignature));
    }
}

/// What is no key does no harm beside one that is. Synapse refuses such an invite.
#[test]
fn auth_10_a_key_that_cannot_be_decoded_does_no_harm() {
    let public_key = unpadded_base64::encode(&key().public_key());
    for version in EVERY_VERSION {
        for no_key in ["", "***", "AAAA"] {
            let invite = json!({
                "public_key": no_key,
                "public_keys": [{ "public_key": no_key }, { "public_key": public_key }],
            });
            assert_eq!(denied_by(version, invite, ALICE, "token", |_| ()), None);
        }
    }
}

#[test]
fn auth_10_what_was_signed_must_fit() {
    let good = json!({ "public_key": unpadded_base64::encode(&key().public_key()) });
    for version in EVERY_VERSION {
        let judge =
            |alter: &dyn Fn(&mut Value)| denied_by(version, good.clone(), ALICE, "token", alter);
        assert_eq!(
            judge(&|c| c["third_party_invite"] = json!({})),
            Some(Rule::ThirdPartySigned)
        );
        for key in ["mxid", "token"] {
            let verdict = judge(&|c| {
                let signed = c["third_party_invite"]["signed"].as_object_mut();
                drop(signed.unwrap().remove(key));
            });
            assert_eq!(verdict, Some(Rule::ThirdPartyForm));
        }
        let set = |field: &'static str, value: Value| {
            judge(&move |c| c["third_party_invite"]["signed"][field] = value.clone())
        };
        assert_eq!(set("mxid", ALICE.into()), Some(Rule::ThirdPartyTarget));
        assert_eq!(set("sender", "y".into()), Some(Rule::ThirdPartySignature));
        assert_eq!(
            set("signatures", json!({})),
            Some(Rule::ThirdPartySignature)
        );
    }
}

#[test]
fn auth_10_the_room_has_that_invite_of_that_sender() {
    let good = json!({ "public_key": unpadded_base64::encode(&key().public_key()) });
    for version in EVERY_VERSION {
        let judge = |sender, token| denied_by(version, good.clone(), sender, token, |_| ());
        assert_eq!(judge(ALICE, "token"), None);
        assert_eq!(judge(ALICE, "other"), Some(Rule::ThirdPartyToken));
        assert_eq!(judge(MODERATOR, "token"), Some(Rule::ThirdPartySender));
    }
}

#[test]
fn auth_10_a_banned_user_cannot_be_invited_by_third_party_either() {
    for version in EVERY_VERSION {
        let mut room = room_with(version, &[(BOB, "ban")]);
        let signed = json!({ "mxid": BOB, "token": "t" });
        let content = json!({ "membership": "invite", "third_party_invite": { "signed": signed } });
        let verdict = member(&mut room, ALICE, BOB, content);
        assert_eq!(rule(verdict), Some(Rule::ThirdPartyBanned));
    }
}
