//! What other servers ask that only the node knows: its aliases, the rooms in its directory, its
//! users' profiles, their devices and keys, and their files.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use comity_core::messaging::{
    device_keys::{Device, DeviceList, OneTimeKeys, UserKeys, WantedKeys, WantedOneTimeKeys},
    notice::{InviteRefusal, Question, Told},
};
use ruma_common::{OwnedServerName, RoomAliasId, ServerName, UserId};

use crate::{
    accounts::{Accounts, AccountsError},
    media,
};

/// Answers a question from the node's store; a store that fails knows nothing. Users of the servers
/// that are `unwelcome` invite nobody here.
pub fn answer(
    accounts: &Accounts,
    server_name: &ServerName,
    unwelcome: &BTreeSet<OwnedServerName>,
    question: &Question,
) -> Told {
    let told = match question {
        Question::Directory(alias) => directory(accounts, server_name, alias),
        Question::Profile(user_id) => profile(accounts, server_name, user_id),
        Question::Keys(wanted) => keys(accounts, server_name, wanted).map(Told::Keys),
        Question::OneTimeKeys { wanted, .. } => {
            one_time_keys(accounts, server_name, wanted).map(Told::OneTimeKeys)
        }
        Question::Devices(user_id) => devices(accounts, server_name, user_id),
        Question::OpenIdUser(token) => openid_user(accounts, server_name, token),
        Question::Media(wanted) => media::answer(accounts, wanted),
        Question::PublishedRooms => accounts.published().map(Told::PublishedRooms),
        Question::Invite { sender, .. } if unwelcome.contains(sender.server_name()) => {
            Ok(Told::InviteRefused(InviteRefusal::ByServer))
        }
        Question::Invite { target, .. } => blocked(accounts, target),
    };
    told.unwrap_or_else(|error| {
        tracing::error!(%error, "a question from federation went unanswered");
        Told::NotFound
    })
}

/// Whether a user of ours wants no invites (client-server API, "Invite permission").
fn blocked(accounts: &Accounts, user_id: &UserId) -> Result<Told, AccountsError> {
    let blocks = blocks_invites(accounts, user_id.localpart())?;
    Ok(match blocks {
        true => Told::InviteRefused(InviteRefusal::ByUser),
        false => Told::NotFound,
    })
}

/// The same of a user by the local part.
///
/// # Errors
/// When the database fails.
pub fn blocks_invites(accounts: &Accounts, localpart: &str) -> Result<bool, AccountsError> {
    let config = accounts.account_data(localpart, None, "m.invite_permission_config")?;
    let action = config
        .as_ref()
        .and_then(|config| config.get("default_action"));
    Ok(action.is_some_and(|action| action == "block"))
}

fn directory(
    accounts: &Accounts,
    server_name: &ServerName,
    alias: &RoomAliasId,
) -> Result<Told, AccountsError> {
    let servers = vec![server_name.to_owned()];
    Ok(match accounts.alias(alias)? {
        Some(alias) => Told::Directory {
            room_id: alias.room_id,
            servers,
        },
        None => Told::NotFound,
    })
}

fn openid_user(
    accounts: &Accounts,
    server_name: &ServerName,
    token: &str,
) -> Result<Told, AccountsError> {
    let localpart = accounts.openid_user(token, SystemTime::now())?;
    let user_id =
        localpart.and_then(|localpart| UserId::parse_with_server_name(localpart, server_name).ok());
    Ok(user_id.map_or(Told::NotFound, Told::OpenIdUser))
}

fn profile(
    accounts: &Accounts,
    server_name: &ServerName,
    user_id: &UserId,
) -> Result<Told, AccountsError> {
    if user_id.server_name() != server_name {
        return Ok(Told::NotFound);
    }
    Ok(match accounts.profile(user_id.localpart())? {
        Some(profile) => Told::Profile(
            profile
                .fields()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        ),
        None => Told::NotFound,
    })
}

/// The keys of users of ours, with the signatures that everybody may see.
///
/// # Errors
/// When the database fails.
pub fn keys(
    accounts: &Accounts,
    server_name: &ServerName,
    wanted: &WantedKeys,
) -> Result<UserKeys, AccountsError> {
    let mut keys = UserKeys::default();
    let ours = |user_id: &UserId| user_id.server_name() == server_name;
    for (user_id, named) in wanted.iter().filter(|(user_id, _)| ours(user_id)) {
        let mut devices: BTreeMap<_, _> = accounts
            .device_keys(user_id.localpart())?
            .into_iter()
            .collect();
        devices.retain(|device_id, _| named.is_empty() || named.contains(device_id));
        keys.device_keys.insert(user_id.clone(), devices);
        for (usage, key) in accounts.cross_signing_keys(user_id.localpart())? {
            match usage.as_str() {
                "master" => drop(keys.master_keys.insert(user_id.clone(), key)),
                "self_signing" => drop(keys.self_signing_keys.insert(user_id.clone(), key)),
                _ => {}
            }
        }
    }
    Ok(keys)
}

/// Gives one-time keys of our users away.
fn one_time_keys(
    accounts: &Accounts,
    server_name: &ServerName,
    wanted: &WantedOneTimeKeys,
) -> Result<OneTimeKeys, AccountsError> {
    let mut keys = OneTimeKeys::default();
    let ours = |user_id: &UserId| user_id.server_name() == server_name;
    for (user_id, devices) in wanted.iter().filter(|(user_id, _)| ours(user_id)) {
        for (device_id, algorithm) in devices {
            if let Some(key) = accounts.claim_key(user_id.localpart(), device_id, algorithm)? {
                let of_user = keys.one_time_keys.entry(user_id.clone()).or_default();
                of_user.insert(device_id.clone(), [key].into());
            }
        }
    }
    Ok(keys)
}

fn devices(
    accounts: &Accounts,
    server_name: &ServerName,
    user_id: &UserId,
) -> Result<Told, AccountsError> {
    let localpart = user_id.localpart();
    if user_id.server_name() != server_name || accounts.profile(localpart)?.is_none() {
        return Ok(Told::NotFound);
    }
    let stream_id = accounts.announced(user_id)?;
    let devices = accounts.device_keys(localpart)?.into_iter();
    let device = |(device_id, keys)| Device {
        device_id,
        keys,
        device_display_name: None,
    };
    let mut of_user: BTreeMap<_, _> = accounts
        .cross_signing_keys(localpart)?
        .into_iter()
        .collect();
    Ok(Told::Devices(DeviceList {
        user_id: user_id.to_owned(),
        stream_id,
        devices: devices.map(device).collect(),
        master_key: of_user.remove("master"),
        self_signing_key: of_user.remove("self_signing"),
    }))
}
