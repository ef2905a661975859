//! The authorisation rule for invites that follow from third-party invites.

use comity_core::pdu::{
    RoomVersion,
    authorisation::{Denied, Membership, ThirdPartyInviteDenied},
    event_type::{MEMBER, THIRD_PARTY_INVITE},
    signing::sign_json,
    unpadded_base64,
};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    judge::{Verdict, member, room_with},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, key, object},
};

/// The verdict on Bob's invite that follows from a third-party invite of Alice.
fn third_party_invite(
    version: RoomVersion,
    invite: Value,
    sender: &str,
    token: &str,
    alter: impl Fn(&mut Value),
) -> Verdict {
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
    member(&mut room, sender, BOB, content)
}

fn wrong(reason: ThirdPartyInviteDenied) -> Verdict {
    Err(Denied::ThirdPartyInvite(reason))
}

#[test]
fn auth_10_third_party_invites() {
    let public_key = unpadded_base64::encode(&key().public_key());
    let other_key = unpadded_base64::encode(&[9; 32]);
    let url_safe = unpadded_base64::encode_url_safe(&key().public_key());
    for version in VERSIONS {
        for good in [
            json!({ "public_key": public_key }),
            json!({ "public_key": url_safe }),
            json!({ "public_key": other_key, "public_keys": [{ "public_key": public_key }] }),
            json!({ "public_keys": [{ "public_key": other_key }, { "public_key": public_key }] }),
        ] {
            // Alice has left the room and had no power: it does not matter.
            let good = match good.get("public_key") {
                Some(_) => good,
                None => {
                    let mut good = good;
                    good["public_key"] = other_key.clone().into();
                    good
                }
            };
            assert_eq!(
                third_party_invite(version, good.clone(), ALICE, "token", |_| ()),
                Ok(()),
                "{good}"
            );
        }
        let good = json!({ "public_key": public_key });
        let judge = |alter: &dyn Fn(&mut Value)| {
            third_party_invite(version, good.clone(), ALICE, "token", alter)
        };
        assert_eq!(
            judge(&|c| c["third_party_invite"] = json!({})),
            wrong(ThirdPartyInviteDenied::Malformed)
        );
        for key in ["mxid", "token"] {
            let verdict = judge(&|c| {
                drop(
                    c["third_party_invite"]["signed"]
                        .as_object_mut()
                        .unwrap()
                        .remove(key),
                )
            });
            assert_eq!(verdict, wrong(ThirdPartyInviteDenied::Malformed));
        }
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["mxid"] = ALICE.into()),
            wrong(ThirdPartyInviteDenied::OtherUser)
        );
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["sender"] = "y".into()),
            wrong(ThirdPartyInviteDenied::Signature)
        );
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["signatures"] = json!({})),
            wrong(ThirdPartyInviteDenied::Signature)
        );
        let verdict =
            |invite, sender, token| third_party_invite(version, invite, sender, token, |_| ());
        assert_eq!(
            verdict(good.clone(), ALICE, "other"),
            wrong(ThirdPartyInviteDenied::UnknownToken)
        );
        assert_eq!(
            verdict(good.clone(), MODERATOR, "token"),
            wrong(ThirdPartyInviteDenied::OtherSender)
        );
        assert_eq!(
            verdict(json!({ "public_key": other_key }), ALICE, "token"),
            wrong(ThirdPartyInviteDenied::Signature)
        );
    }
}

#[test]
fn auth_10_a_banned_user_cannot_be_invited_by_third_party_either() {
    let mut room = room_with(RoomVersion::V11, &[(BOB, "ban")]);
    let signed = json!({ "mxid": BOB, "token": "t" });
    let content = json!({ "membership": "invite", "third_party_invite": { "signed": signed } });
    assert!(matches!(
        member(&mut room, ALICE, BOB, content),
        Err(Denied::Membership {
            membership: Membership::Ban,
            ..
        })
    ));
}
