//! Lets others know of changes of our users' devices and keys (EDU-5, EDU-7): our own users by
//! `sync`, other servers that share a room with the user by EDUs.

use comity_core::{
    messaging::command::{Command, Content, EduAudience},
    transport::matrix_error::MatrixError,
};
use ruma_common::{RoomId, UserId};
use serde_json::{Value, json};

use super::{errors, event_format::object, session::Session};
use crate::{
    accounts::{Accounts, Caller},
    homeserver::Homeserver,
};

impl Session<'_> {
    /// The keys of the user's present device changed, or with `None` the device is gone.
    pub(super) fn announce_device(&self, keys: Option<&Value>) -> Result<(), MatrixError> {
        self.announce_device_of(&self.caller, keys)
    }

    /// The same for any device of the user.
    pub(super) fn announce_device_of(
        &self,
        device: &Caller,
        keys: Option<&Value>,
    ) -> Result<(), MatrixError> {
        let change = self.api.accounts.note_device_change(&self.user_id, true);
        let change = change.map_err(errors::from_accounts)?;
        let mut content = object(json!({
            "user_id": self.user_id,
            "device_id": device.device_id,
            "stream_id": change.number,
            "prev_id": change.announced_before.into_iter().collect::<Vec<_>>(),
        }));
        match keys {
            Some(keys) => content.insert("keys".to_owned(), keys.clone()),
            None => content.insert("deleted".to_owned(), true.into()),
        };
        self.announce("m.device_list_update", content)
    }

    /// The same as the function, for the user of this session.
    pub(super) fn announce_devices_in(&self, room_id: &RoomId) -> Result<(), MatrixError> {
        let (accounts, homeserver) = (&self.api.accounts, &*self.api.homeserver);
        announce_devices_in(room_id, &self.user_id, accounts, homeserver)
    }

    /// The keys changed that stand for the user.
    pub(super) fn announce_cross_signing(&self) -> Result<(), MatrixError> {
        let accounts = &self.api.accounts;
        let change = accounts.note_device_change(&self.user_id, false);
        change.map_err(errors::from_accounts)?;
        let keys = accounts.cross_signing_keys(&self.caller.localpart);
        let mut content = object(json!({ "user_id": self.user_id }));
        for (usage, key) in keys.map_err(errors::from_accounts)? {
            if usage != "user_signing" {
                content.insert(format!("{usage}_key"), key);
            }
        }
        self.announce("m.signing_key_update", content)
    }

    fn announce(&self, edu_type: &str, content: Content) -> Result<(), MatrixError> {
        self.api.news.publish();
        let to = EduAudience::Peers(self.user_id.clone());
        self.announce_to(to, edu_type, content)
    }

    fn announce_to(
        &self,
        to: EduAudience,
        edu_type: &str,
        content: Content,
    ) -> Result<(), MatrixError> {
        self.command(Command::SendEdu {
            to,
            edu_type: edu_type.to_owned(),
            content,
        })
        .map(drop)
    }
}

/// The servers in a room that a user of ours has just entered may not have met the user's devices.
pub(super) fn announce_devices_in(
    room_id: &RoomId,
    user_id: &UserId,
    accounts: &Accounts,
    homeserver: &dyn Homeserver,
) -> Result<(), MatrixError> {
    let devices = accounts.device_keys(user_id.localpart());
    let stream_id = accounts.announced(user_id);
    let stream_id = stream_id.map_err(errors::from_accounts)?;
    for (device_id, keys) in devices.map_err(errors::from_accounts)? {
        let content = object(json!({
            "user_id": user_id,
            "device_id": device_id,
            "stream_id": stream_id,
            "prev_id": [],
            "keys": keys,
        }));
        let command = Command::SendEdu {
            to: EduAudience::Room(room_id.to_owned()),
            edu_type: "m.device_list_update".to_owned(),
            content,
        };
        homeserver.command(command).map_err(errors::from_command)?;
    }
    Ok(())
}
