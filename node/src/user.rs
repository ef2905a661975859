//! `comity user add`: a local user and an access token.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ruma_common::UserId;

use crate::{
    accounts::Accounts,
    cli::{CommandResult, UserAddArguments},
    config::Config,
    new_file::{self, Readable},
};

/// Creates the user if need be, and prints a new access token.
///
/// # Errors
/// When the configuration is wrong, the name is none, or the database cannot be written.
pub fn add(arguments: &UserAddArguments) -> CommandResult {
    let config = Config::load(&arguments.config)?;
    let user_id = UserId::parse_with_server_name(arguments.name.as_str(), &config.server_name)
        .ok()
        .filter(|user_id| user_id.validate_strict().is_ok())
        .ok_or_else(|| format!("{:?} is no local part of a user id", arguments.name))?;
    let accounts = Accounts::open(&config.database_directory)?;
    let is_new = accounts.add_user(user_id.localpart())?;
    if is_new || arguments.displayname.is_some() {
        let displayname = arguments
            .displayname
            .as_deref()
            .unwrap_or(user_id.localpart());
        accounts.set_profile_field(user_id.localpart(), "displayname", Some(displayname))?;
    }
    let token = accounts.add_token(user_id.localpart())?;
    keep_token(&token_file(&config, user_id.localpart()), &token)?;
    println!("{token}");
    Ok(())
}

/// Where the newest token of a user is kept for `comity room`.
#[must_use]
pub fn token_file(config: &Config, localpart: &str) -> PathBuf {
    token_directory(config).join(localpart.replace('/', "%2F"))
}

/// The directory of all [`token_file`]s.
#[must_use]
pub fn token_directory(config: &Config) -> PathBuf {
    config.directory.join("tokens")
}

fn keep_token(path: &Path, token: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        new_file::private_directory(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    new_file::write(path, &format!("{token}\n"), Readable::ByOwner)
}
