//! `comity user`: local users, their access tokens and passwords.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ruma_common::UserId;

use crate::{
    accounts::Accounts,
    cli::{CommandResult, UserAddArguments, UserPasswordArguments},
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

/// Sets a user's password to the first line of standard input.
///
/// # Errors
/// When the configuration is wrong, there is no such user, the line is empty or no text, or the
/// database cannot be written.
pub fn set_password(arguments: &UserPasswordArguments) -> CommandResult {
    let config = Config::load(&arguments.config)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("standard input holds no password".into());
    }
    let accounts = Accounts::open(&config.database_directory)?;
    match accounts.set_password(&arguments.name, password)? {
        true => Ok(()),
        false => Err(format!("there is no user {:?}", arguments.name).into()),
    }
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
