//! Devices and their keys, for end-to-end encryption: asked of other servers for our users, and of
//! the application for other servers (DEV-1 to DEV-5).
//!
//! **Contract.** What a key holds is for clients to make and to check. Here it is only made sure
//! that a server speaks of its own users, of the devices that were asked for, and under the names
//! that the keys themselves bear.
//!
//! **Invariants.** Every claim of one-time keys is a question, and a request, of its own: two that
//! look alike must never share an answer, or two conversations would begin with one key.

mod ask;

use std::collections::BTreeMap;

use ruma_common::{OwnedServerName, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::ask::{ClaimKeys, ListDevices, QueryKeys};

/// How many users one question may name, and how many of their devices in all.
pub const USERS_MAX: usize = 1_000;
/// See [`USERS_MAX`].
pub const DEVICES_MAX: usize = 10_000;

/// Whose keys are wanted: of each user these devices, or all of them if none is named.
pub type WantedKeys = BTreeMap<OwnedUserId, Vec<String>>;

/// Which one-time keys are wanted: of each user's devices one of this algorithm.
pub type WantedOneTimeKeys = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// Servers that could not be asked, with the reason.
pub type Failures = BTreeMap<OwnedServerName, String>;

/// The keys of users and their devices, each as its owner signed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserKeys {
    /// By user and device; perhaps with the device's name in `unsigned`.
    #[serde(default)]
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<String, Value>>,
    /// The keys that stand for the users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub master_keys: BTreeMap<OwnedUserId, Value>,
    /// The keys that the users sign their devices with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub self_signing_keys: BTreeMap<OwnedUserId, Value>,
}

/// Keys that are good for beginning one conversation each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OneTimeKeys {
    /// By user and device: one key, under its algorithm and id.
    pub one_time_keys: BTreeMap<OwnedUserId, BTreeMap<String, BTreeMap<String, Value>>>,
}

/// All devices of a user, and where in the stream of their changes that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceList {
    /// Whose.
    pub user_id: OwnedUserId,
    /// The last `m.device_list_update` that it takes into account.
    pub stream_id: i64,
    /// The devices.
    pub devices: Vec<Device>,
    /// The key that stands for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Value>,
    /// The key that the user signs devices with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signing_key: Option<Value>,
}

/// A device in a [`DeviceList`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub device_id: String,
    /// Its keys, as it signed them.
    pub keys: Value,
    /// What its user calls it, if that may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_display_name: Option<String>,
}

impl UserKeys {
    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.device_keys.extend(others.device_keys);
        self.master_keys.extend(others.master_keys);
        self.self_signing_keys.extend(others.self_signing_keys);
    }

    /// What of it answers the question and bears the right names.
    pub(super) fn credible(mut self, wanted: &WantedKeys) -> Self {
        self.device_keys.retain(|user_id, devices| {
            let Some(named) = wanted.get(user_id) else {
                return false;
            };
            devices.retain(|device_id, keys| {
                (named.is_empty() || named.contains(device_id))
                    && is_named(keys, "user_id", user_id.as_str())
                    && is_named(keys, "device_id", device_id)
            });
            true
        });
        for keys in [&mut self.master_keys, &mut self.self_signing_keys] {
            keys.retain(|user_id, key| wanted.contains_key(user_id) && stands_for(key, user_id));
        }
        self
    }
}

impl OneTimeKeys {
    /// What of it answers the question.
    pub(super) fn credible(mut self, wanted: &WantedOneTimeKeys) -> Self {
        self.one_time_keys.retain(|user_id, devices| {
            let Some(named) = wanted.get(user_id) else {
                return false;
            };
            devices.retain(|device_id, keys| {
                let algorithm = named.get(device_id);
                keys.retain(|id, _| algorithm.is_some_and(|wanted| is_of_algorithm(id, wanted)));
                keys.len() == 1
            });
            !devices.is_empty()
        });
        self
    }
}

impl DeviceList {
    /// The list, if it is this user's, without the devices whose keys bear other names.
    pub(super) fn credible(mut self, of: &UserId) -> Option<Self> {
        let is_of = |key: &Value| is_named(key, "user_id", of.as_str());
        self.devices.retain(|device| {
            is_of(&device.keys) && is_named(&device.keys, "device_id", &device.device_id)
        });
        self.master_key = self.master_key.filter(|key| stands_for(key, of));
        self.self_signing_key = self.self_signing_key.filter(|key| stands_for(key, of));
        (self.user_id == of).then_some(self)
    }
}

/// Whether this may be a key that stands for a user: theirs, and one (LIMIT-22).
fn stands_for(key: &Value, user_id: &UserId) -> bool {
    is_named(key, "user_id", user_id.as_str()) && holds_one_key(key)
}

/// Whether such an object holds one key, as it must: which one is meant would be anybody's guess.
#[must_use]
pub fn holds_one_key(key: &Value) -> bool {
    let keys = key.get("keys").and_then(Value::as_object);
    keys.is_some_and(|keys| keys.len() == 1)
}

fn is_named(key: &Value, field: &str, name: &str) -> bool {
    key.get(field).and_then(Value::as_str) == Some(name)
}

fn is_of_algorithm(id: &str, algorithm: &str) -> bool {
    id.split_once(':')
        .is_some_and(|(before, _)| before == algorithm)
}
