//! Invitations to addresses, and the identity server that finds out whose they are.

use comity_core::{
    messaging::command::Command,
    pdu::{
        signing::{SigningKey, sign_json},
        unpadded_base64,
    },
};
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde_json::json;

use super::{
    World,
    users::{event, id_of, object},
};
use crate::simulation::{
    liar::Liar,
    names::IDENTITY_SERVER,
    plan::{Slot, User, show},
};

/// The address of a user who is to be found out was invited to a room.
#[derive(Debug)]
pub(super) struct Addressed {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    token: String,
}

/// The server of which others ask whether its key is still good.
pub(super) fn identity_server() -> Liar {
    let mut server = Liar::new(IDENTITY_SERVER);
    server.says(|_, _| (200, json!({ "valid": true })));
    server
}

fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:0", &[3; 32]).expect("a key id")
}

impl World {
    /// The command by which a user invites an address.
    pub(super) fn invite_address(
        &mut self,
        user: User,
        slot: Slot,
        room_id: OwnedRoomId,
        token: String,
    ) -> Command {
        let content = json!({
            "display_name": "somebody",
            "key_validity_url": format!("https://{IDENTITY_SERVER}/valid"),
            "public_key": unpadded_base64::encode(&key().public_key()),
        });
        let event_type = "m.room.third_party_invite";
        let command = event(user, &room_id, event_type, Some(&token), content);
        let sender = id_of(user);
        let addressed = Addressed {
            room_id,
            sender,
            token,
        };
        self.addressed.insert(slot, addressed);
        command
    }

    /// The identity server tells a user's server that the address invited last is that user's.
    pub(super) fn find_out(&mut self, user: User, slot: Slot) {
        let Some(addressed) = self.addressed.get(&slot) else {
            return;
        };
        let mxid = id_of(user);
        let mut signed = object(json!({ "mxid": mxid, "token": addressed.token }));
        let name = IDENTITY_SERVER.try_into().expect("a server name");
        sign_json(&mut signed, name, &key());
        let binding = json!({
            "mxid": mxid,
            "invites": [{
                "mxid": mxid,
                "room_id": addressed.room_id,
                "sender": addressed.sender,
                "signed": signed,
            }],
        });
        let target = "/_matrix/federation/v1/3pid/onbind";
        let to = show::server(user.server);
        self.network.tell(IDENTITY_SERVER, to, target, &binding);
    }
}
