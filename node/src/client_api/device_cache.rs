//! The devices of other servers' users and their keys: asked for once, then kept as their servers
//! say that they changed (DEV-2, EDU-6).
//!
//! **Contract.** What is kept of a user is what their server would answer. A server tells of changes
//! only those with whom the user shares a room, so whoever leaves a room is forgotten, and must not
//! be looked up here by somebody who shares no room with them. It is all in memory: after a start
//! nothing is known, and nothing can have been missed.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use comity_core::messaging::{
    command::{Command, Content, Reply},
    device_keys::{Device, DeviceList, UserKeys},
};
use ruma_common::{OwnedUserId, UserId};
use serde_json::{Value, json};

use crate::homeserver::Homeserver;

/// Of how many users the devices are kept; beyond that it begins anew.
const USERS_MAX: usize = 10_000;

/// How many users may wait to be asked about.
const WAITING_MAX: usize = 1_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct DeviceCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<OwnedUserId, Known>,
    /// The users who are being asked about, and whether anything changed since they are.
    asked: BTreeMap<OwnedUserId, bool>,
}

#[derive(Debug)]
struct Known {
    stream_id: i64,
    devices: BTreeMap<String, Value>,
    master_key: Option<Value>,
    self_signing_key: Option<Value>,
}

impl DeviceCache {
    /// The keys of a user and of these devices of theirs, or of all, if they are known.
    pub(super) fn keys(&self, user_id: &UserId, named: &[String]) -> Option<UserKeys> {
        let state = self.state();
        let known = state.users.get(user_id)?;
        let mut devices = known.devices.clone();
        devices.retain(|device_id, _| named.is_empty() || named.contains(device_id));
        let of_user = |key: &Option<Value>| {
            let key = key.iter().map(|key| (user_id.to_owned(), key.clone()));
            key.collect()
        };
        Some(UserKeys {
            device_keys: [(user_id.to_owned(), devices)].into(),
            master_keys: of_user(&known.master_key),
            self_signing_keys: of_user(&known.self_signing_key),
        })
    }

    /// Whether a user is to be asked about: nothing is known of them, and nobody is asking.
    fn begin(&self, user_id: &UserId) -> bool {
        let mut state = self.state();
        if state.users.contains_key(user_id) || state.asked.contains_key(user_id) {
            return false;
        }
        state.asked.insert(user_id.to_owned(), false);
        true
    }

    /// Notes what came of it. If something changed meanwhile, the answer may be older than that.
    fn finish(&self, user_id: &UserId, list: Option<DeviceList>) {
        let mut state = self.state();
        let changed = state.asked.remove(user_id).unwrap_or(true);
        let Some(list) = list.filter(|_| !changed) else {
            return;
        };
        if state.users.len() >= USERS_MAX {
            state.users.clear();
        }
        state.users.insert(user_id.to_owned(), list.into());
    }

    /// A device of a user changed, as an `m.device_list_update` says. If it is not known what was
    /// before, they are forgotten, to be asked about again.
    pub(super) fn update(&self, user_id: &UserId, content: &Content) {
        let mut state = self.state();
        state.note_change(user_id);
        let Some(known) = state.users.get_mut(user_id) else {
            return;
        };
        match Known::follows(known.stream_id, content) {
            Follows::Known => {}
            Follows::Next(stream_id) => known.apply(user_id, stream_id, content),
            Follows::Gap => drop(state.users.remove(user_id)),
        }
    }

    /// The keys of a user themselves changed, as an `m.signing_key_update` says.
    pub(super) fn update_signing_keys(&self, user_id: &UserId, content: &Content) {
        let mut state = self.state();
        state.note_change(user_id);
        let Some(known) = state.users.get_mut(user_id) else {
            return;
        };
        let key = |name: &str| {
            let key = content.get(name)?;
            is_named(key, "user_id", user_id.as_str()).then(|| key.clone())
        };
        known.master_key = key("master_key").or(known.master_key.take());
        known.self_signing_key = key("self_signing_key").or(known.self_signing_key.take());
    }

    /// A user left a room; it may have been the last one through which we heard of them.
    pub(super) fn forget(&self, user_id: &UserId) {
        let mut state = self.state();
        state.note_change(user_id);
        state.users.remove(user_id);
    }

    /// Somebody here left a room, or something was not heard.
    pub(super) fn forget_all(&self) {
        let mut state = self.state();
        state.users.clear();
        state.asked.values_mut().for_each(|changed| *changed = true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_change(&mut self, user_id: &UserId) {
        if let Some(changed) = self.asked.get_mut(user_id) {
            *changed = true;
        }
    }
}

/// How a change stands to what is known.
enum Follows {
    /// It is part of it.
    Known,
    /// It comes right after it; then this is the newest.
    Next(i64),
    /// Something is missing between them.
    Gap,
}

impl Known {
    fn follows(stream_id: i64, content: &Content) -> Follows {
        let Some(new) = content.get("stream_id").and_then(Value::as_i64) else {
            return Follows::Gap;
        };
        let before = content.get("prev_id").and_then(Value::as_array);
        let before: Vec<_> = before.into_iter().flatten().map(Value::as_i64).collect();
        let is_known = |id: &Option<i64>| id.is_some_and(|id| id <= stream_id);
        match new <= stream_id {
            true => Follows::Known,
            false if !before.is_empty() && before.iter().all(is_known) => Follows::Next(new),
            false => Follows::Gap,
        }
    }

    fn apply(&mut self, user_id: &UserId, stream_id: i64, content: &Content) {
        self.stream_id = stream_id;
        let Some(device_id) = content.get("device_id").and_then(Value::as_str) else {
            return;
        };
        let is_gone = content.get("deleted").and_then(Value::as_bool) == Some(true);
        let keys = content.get("keys").filter(|keys| {
            is_named(keys, "user_id", user_id.as_str()) && is_named(keys, "device_id", device_id)
        });
        let name = content.get("device_display_name").and_then(Value::as_str);
        match keys.filter(|_| !is_gone) {
            Some(keys) => {
                let keys = with_name(keys.clone(), name);
                self.devices.insert(device_id.to_owned(), keys);
            }
            None => drop(self.devices.remove(device_id)),
        }
    }
}

impl From<DeviceList> for Known {
    fn from(list: DeviceList) -> Self {
        let device = |device: Device| {
            let name = device.device_display_name.as_deref();
            (device.device_id, with_name(device.keys, name))
        };
        Self {
            stream_id: list.stream_id,
            devices: list.devices.into_iter().map(device).collect(),
            master_key: list.master_key,
            self_signing_key: list.self_signing_key,
        }
    }
}

/// The keys of a device with its name where clients look for it.
fn with_name(mut keys: Value, name: Option<&str>) -> Value {
    if let (Some(keys), Some(name)) = (keys.as_object_mut(), name) {
        let named = json!({ "device_display_name": name });
        keys.insert("unsigned".to_owned(), named);
    }
    keys
}

fn is_named(key: &Value, field: &str, name: &str) -> bool {
    key.get(field).and_then(Value::as_str) == Some(name)
}

/// Where to say of whom the devices are wanted.
pub(super) type Wishes = SyncSender<OwnedUserId>;

/// Asks about users in a thread of its own, one after the other, until nobody can wish any more.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(
    cache: Arc<DeviceCache>,
    homeserver: Weak<dyn Homeserver>,
) -> io::Result<Wishes> {
    let (wishes, wished) = sync_channel::<OwnedUserId>(WAITING_MAX);
    let run = move || {
        for user_id in wished {
            let Some(homeserver) = homeserver.upgrade() else {
                return;
            };
            if cache.begin(&user_id) {
                let list = match homeserver.command(Command::ListDevices(user_id.clone())) {
                    Ok(Reply::Devices(list)) => Some(*list),
                    _ => None,
                };
                cache.finish(&user_id, list);
            }
        }
    };
    thread::Builder::new()
        .name("devices".to_owned())
        .spawn(run)?;
    Ok(wishes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> &'static UserId {
        <&UserId>::try_from("@bob:there").unwrap()
    }

    fn keys(device_id: &str, key: u32) -> Value {
        json!({ "user_id": bob(), "device_id": device_id, "keys": { "curve25519": key } })
    }

    fn list(stream_id: i64) -> DeviceList {
        DeviceList {
            user_id: bob().to_owned(),
            stream_id,
            devices: vec![Device {
                device_id: "A".to_owned(),
                keys: keys("A", 1),
                device_display_name: Some("Phone".to_owned()),
            }],
            master_key: Some(json!({ "user_id": bob(), "keys": 1 })),
            self_signing_key: None,
        }
    }

    fn known(stream_id: i64) -> DeviceCache {
        let cache = DeviceCache::default();
        assert!(cache.begin(bob()) && !cache.begin(bob()));
        cache.finish(bob(), Some(list(stream_id)));
        assert!(!cache.begin(bob()));
        cache
    }

    fn update(stream_id: i64, before: &[i64], more: Value) -> Content {
        let mut content = more.as_object().unwrap().clone();
        content.insert("user_id".to_owned(), json!(bob()));
        content.insert("stream_id".to_owned(), stream_id.into());
        content.insert("prev_id".to_owned(), json!(before));
        content
    }

    fn devices(cache: &DeviceCache) -> Option<Vec<String>> {
        let keys = cache.keys(bob(), &[])?;
        Some(keys.device_keys[bob()].keys().cloned().collect())
    }

    /// EDU-6: a change that comes right after what is known replaces that device's entry.
    #[test]
    fn edu_6_a_change_is_applied_to_the_device_that_it_is_of() {
        let cache = known(5);
        let found = cache.keys(bob(), &["A".to_owned()]).unwrap();
        let phone = &found.device_keys[bob()]["A"];
        assert_eq!(phone["unsigned"]["device_display_name"], "Phone");
        assert_eq!(found.master_keys[bob()]["keys"], 1);
        let new = json!({ "device_id": "B", "keys": keys("B", 2) });
        cache.update(bob(), &update(6, &[5], new));
        assert_eq!(devices(&cache).unwrap(), ["A", "B"]);
        let of_another = json!({ "device_id": "B", "keys": keys("C", 2) });
        cache.update(bob(), &update(7, &[6], of_another));
        assert_eq!(
            devices(&cache).unwrap(),
            ["A"],
            "keys of another device are none"
        );
        let gone = json!({ "device_id": "A", "deleted": true });
        cache.update(bob(), &update(9, &[7, 3], gone.clone()));
        assert_eq!(devices(&cache).unwrap(), Vec::<String>::new());
        let old = json!({ "device_id": "A", "keys": keys("A", 1) });
        cache.update(bob(), &update(9, &[8], old));
        assert_eq!(
            devices(&cache).unwrap(),
            Vec::<String>::new(),
            "it is known"
        );
    }

    /// EDU-6, DEV-2: after a gap, or while they are asked about, nothing is believed.
    #[test]
    fn edu_6_dev_2_after_a_gap_the_whole_list_is_asked_for_again() {
        let change = json!({ "device_id": "B", "keys": keys("B", 2) });
        for before in [&[6][..], &[5, 6], &[]] {
            let cache = known(5);
            cache.update(bob(), &update(7, before, change.clone()));
            assert_eq!(devices(&cache), None, "{before:?}");
        }
        let cache = DeviceCache::default();
        assert!(cache.begin(bob()));
        cache.update(bob(), &update(7, &[5], change));
        cache.finish(bob(), Some(list(5)));
        assert_eq!(devices(&cache), None, "the answer may be older");
        assert!(cache.begin(bob()));
        cache.finish(bob(), None);
        assert_eq!(devices(&cache), None);
    }

    /// EDU-7.
    #[test]
    fn edu_7_new_keys_of_a_user_replace_the_old_ones() {
        let cache = known(5);
        let master = json!({ "user_id": bob(), "keys": 2 });
        let forged = json!({ "user_id": "@eve:there", "keys": 3 });
        let content = json!({ "user_id": bob(), "master_key": master, "self_signing_key": forged });
        cache.update_signing_keys(bob(), content.as_object().unwrap());
        let found = cache.keys(bob(), &[]).unwrap();
        assert_eq!(found.master_keys[bob()], master);
        assert!(found.self_signing_keys.is_empty());
    }

    #[test]
    fn who_left_a_room_is_forgotten() {
        let cache = known(5);
        cache.forget(bob());
        assert_eq!(devices(&cache), None);
        let cache = known(5);
        cache.forget_all();
        assert_eq!(devices(&cache), None);
    }
}
