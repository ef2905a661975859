//! The keys of users and their devices, for end-to-end encryption.

use std::collections::BTreeMap;

use comity_core::{
    messaging::{
        command::{Command, Reply},
        device_keys::{UserKeys, WantedKeys, WantedOneTimeKeys, holds_one_key},
    },
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Handled,
    errors::{self, bad_json, forbidden, invalid},
    event_format::object,
    request::Request,
    session::Session,
    sync::SyncToken,
};
use crate::accounts::Added;

/// The usages of the keys that stand for a user, by the name of the field that sets them.
const CROSS_SIGNING: [(&str, &str); 3] = [
    ("master_key", "master"),
    ("self_signing_key", "self_signing"),
    ("user_signing_key", "user_signing"),
];

#[derive(Deserialize)]
struct Upload {
    device_keys: Option<Value>,
    #[serde(default)]
    one_time_keys: Map<String, Value>,
    #[serde(default)]
    fallback_keys: Map<String, Value>,
}

pub(super) fn upload(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let upload: Upload = request.body()?;
    let (accounts, caller) = (&session.api.accounts, &session.caller);
    for name in upload
        .one_time_keys
        .keys()
        .chain(upload.fallback_keys.keys())
    {
        if !name.contains(':') {
            return Err(invalid(format!("{name:?} is no name of a key")));
        }
    }
    let added = accounts.add_one_time_keys(caller, &upload.one_time_keys);
    match added.map_err(errors::from_accounts)? {
        Added::Kept => {}
        Added::NameTaken => return Err(invalid("a one-time key has the name of another")),
        Added::TooMany => return Err(invalid("the device has too many one-time keys")),
    }
    let set = accounts.set_fallback_keys(caller, &upload.fallback_keys);
    set.map_err(errors::from_accounts)?;
    if let Some(keys) = upload.device_keys {
        must_name(&keys, "user_id", session.user_id.as_str())?;
        must_name(&keys, "device_id", &caller.device_id)?;
        let is_new = accounts.set_device_keys(caller, &keys);
        if is_new.map_err(errors::from_accounts)? {
            session.announce_device(Some(&keys))?;
        }
    }
    let counts = accounts.one_time_key_counts(caller);
    Ok(json!({ "one_time_key_counts": counts.map_err(errors::from_accounts)? }))
}

fn must_name(keys: &Value, field: &str, name: &str) -> Result<(), MatrixError> {
    match keys.get(field).and_then(Value::as_str) == Some(name) {
        true => Ok(()),
        false => Err(invalid(format!(
            "{field} of the device's keys is not yours"
        ))),
    }
}

pub(super) fn query(session: &Session<'_>, request: &Request<'_>) -> Handled {
    #[derive(Deserialize)]
    struct Body {
        device_keys: WantedKeys,
    }
    let Body {
        device_keys: wanted,
    } = request.body()?;
    let users: Vec<OwnedUserId> = wanted.keys().cloned().collect();
    let (known, unknown) = session.devices_known(wanted)?;
    let (mut keys, failures) = match session.command(Command::QueryKeys(unknown))? {
        Reply::Keys { keys, failures } => (keys, failures),
        _ => return Err(errors::unexpected_reply()),
    };
    keys.extend(known);
    for user_id in &users {
        session.add_own_signatures(user_id, &mut keys)?;
    }
    let failures: BTreeMap<_, _> = failures.keys().map(|server| (server, json!({}))).collect();
    let mut answer = object(json!({
        "device_keys": keys.device_keys,
        "master_keys": keys.master_keys,
        "self_signing_keys": keys.self_signing_keys,
        "failures": failures,
    }));
    if users.contains(&session.user_id)
        && let Some(key) = session.user_signing_key()?
    {
        let keys = json!({ session.user_id.as_str(): key });
        answer.insert("user_signing_keys".to_owned(), keys);
    }
    Ok(Value::Object(answer))
}

pub(super) fn claim(session: &Session<'_>, request: &Request<'_>) -> Handled {
    #[derive(Deserialize)]
    struct Body {
        one_time_keys: WantedOneTimeKeys,
    }
    let Body { one_time_keys } = request.body()?;
    let (keys, failures) = match session.command(Command::ClaimKeys(one_time_keys))? {
        Reply::OneTimeKeys { keys, failures } => (keys, failures),
        _ => return Err(errors::unexpected_reply()),
    };
    let failures: BTreeMap<_, _> = failures.keys().map(|server| (server, json!({}))).collect();
    Ok(json!({ "one_time_keys": keys.one_time_keys, "failures": failures }))
}

/// Whose devices changed between two answers of `sync`.
pub(super) fn changes(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let token = |name| SyncToken::parse(request.query(name));
    let missing = || errors::invalid("from and to are needed");
    let from = token("from")?.ok_or_else(missing)?;
    let to = token("to")?.ok_or_else(missing)?;
    session.device_list_changes(&from, &to)
}

pub(super) fn upload_cross_signing(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let body = request.object()?;
    let keys: Vec<_> = CROSS_SIGNING
        .iter()
        .filter_map(|(field, usage)| Some((*usage, body.get(*field)?)))
        .collect();
    for (usage, key) in &keys {
        let usages = key.get("usage").and_then(Value::as_array);
        let is_for = usages.is_some_and(|usages| usages.iter().any(|is| is == usage));
        if !is_for || key.get("user_id").and_then(Value::as_str) != Some(session.user_id.as_str()) {
            return Err(invalid(format!(
                "the {usage} key is not yours or for something else"
            )));
        }
    }
    if let Some((usage, _)) = keys.iter().find(|(_, key)| !holds_one_key(key)) {
        return Err(invalid(format!("the {usage} key is not one key")));
    }
    for (usage, key) in &keys {
        let set = session
            .api
            .accounts
            .set_cross_signing_key(&session.caller.localpart, usage, key);
        set.map_err(errors::from_accounts)?;
    }
    if !keys.is_empty() {
        session.announce_cross_signing()?;
    }
    Ok(json!({}))
}

/// Signatures of the user under keys: those under their own everybody gets to see, those under
/// others' only they.
pub(super) fn upload_signatures(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let body: BTreeMap<OwnedUserId, Map<String, Value>> = request.body()?;
    for (user_id, signed) in &body {
        for (key_name, key) in signed {
            let signatures = key
                .get("signatures")
                .and_then(|signatures| signatures.get(session.user_id.as_str()))
                .filter(|signatures| signatures.is_object())
                .ok_or_else(|| bad_json("there is no signature of yours"))?;
            match *user_id == session.user_id {
                true => session.sign_own(key_name, signatures)?,
                false => session.sign_other(user_id, key_name, signatures)?,
            }
        }
    }
    Ok(json!({ "failures": {} }))
}

impl Session<'_> {
    /// What is known of the devices of other servers' users whom the user shares a room with, and
    /// whose have to be asked for. Those will be known the next time.
    fn devices_known(&self, wanted: WantedKeys) -> Result<(UserKeys, WantedKeys), MatrixError> {
        let (mut known, mut unknown) = (UserKeys::default(), WantedKeys::new());
        let memberships = self.memberships()?;
        for (user_id, named) in wanted {
            let is_ours = user_id.server_name() == self.api.server_name;
            if is_ours || !self.shares_a_room(&user_id, &memberships)? {
                unknown.insert(user_id, named);
            } else if let Some(keys) = self.api.devices.keys(&user_id, &named) {
                known.extend(keys);
            } else {
                let _ = self.api.device_wishes.try_send(user_id.clone());
                unknown.insert(user_id, named);
            }
        }
        Ok((known, unknown))
    }

    fn user_signing_key(&self) -> Result<Option<Value>, MatrixError> {
        let keys = self.api.accounts.cross_signing_keys(&self.caller.localpart);
        let keys = keys.map_err(errors::from_accounts)?.into_iter();
        Ok(keys
            .filter(|(usage, _)| usage == "user_signing")
            .map(|(_, key)| key)
            .next())
    }

    /// Adds what the user alone gets to see: what they signed of a user's keys.
    fn add_own_signatures(&self, of: &UserId, keys: &mut UserKeys) -> Result<(), MatrixError> {
        let signed = self.api.accounts.signatures(&self.caller.localpart, of);
        for (key_name, signatures) in signed.map_err(errors::from_accounts)? {
            let devices = keys.device_keys.get_mut(of);
            let device = devices.and_then(|devices| devices.get_mut(&key_name));
            let master = keys.master_keys.get_mut(of);
            let master = master.filter(|key| is_named(key, &key_name));
            for key in device.into_iter().chain(master) {
                add_signatures(key, self.user_id.as_str(), &signatures);
            }
        }
        Ok(())
    }

    /// Adds signatures to a key of the user, or of one of their devices.
    fn sign_own(&self, key_name: &str, signatures: &Value) -> Result<(), MatrixError> {
        let accounts = &self.api.accounts;
        let localpart = &self.caller.localpart;
        let devices = accounts
            .device_keys(localpart)
            .map_err(errors::from_accounts)?;
        if let Some((device_id, mut keys)) = devices
            .into_iter()
            .find(|(device_id, _)| device_id == key_name)
        {
            add_signatures(&mut keys, self.user_id.as_str(), signatures);
            let device = crate::accounts::Caller {
                localpart: localpart.clone(),
                device_id,
            };
            let changed = accounts.set_device_keys(&device, &keys);
            if changed.map_err(errors::from_accounts)? {
                self.announce_device_of(&device, Some(&keys))?;
            }
            return Ok(());
        }
        let of_user = accounts.cross_signing_keys(localpart);
        let mut of_user = of_user.map_err(errors::from_accounts)?.into_iter();
        let (usage, mut key) = of_user
            .find(|(_, key)| is_named(key, key_name))
            .ok_or_else(|| forbidden("you have no such key"))?;
        add_signatures(&mut key, self.user_id.as_str(), signatures);
        let set = accounts.set_cross_signing_key(localpart, &usage, &key);
        set.map_err(errors::from_accounts)?;
        self.announce_cross_signing()
    }

    fn sign_other(
        &self,
        user_id: &OwnedUserId,
        key_name: &str,
        signatures: &Value,
    ) -> Result<(), MatrixError> {
        let accounts = &self.api.accounts;
        let set = accounts.set_signatures(&self.caller.localpart, user_id, key_name, signatures);
        set.map_err(errors::from_accounts)?;
        let noted = accounts.note_device_change(user_id, false);
        noted.map_err(errors::from_accounts)?;
        self.api.news.publish();
        Ok(())
    }
}

/// Whether a key that stands for a user is the one with this public part.
fn is_named(key: &Value, public_key: &str) -> bool {
    let keys = key.get("keys").and_then(Value::as_object);
    keys.is_some_and(|keys| keys.values().any(|value| value == public_key))
}

fn add_signatures(key: &mut Value, signer: &str, signatures: &Value) {
    let Some(key) = key.as_object_mut() else {
        return;
    };
    let all = key.entry("signatures").or_insert_with(|| json!({}));
    let of_signer = all
        .as_object_mut()
        .map(|all| all.entry(signer).or_insert_with(|| json!({})));
    let new = object(signatures.clone());
    if let Some(known) = of_signer.and_then(Value::as_object_mut) {
        known.extend(new);
    }
}
