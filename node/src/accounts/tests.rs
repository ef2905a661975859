//! The store as its callers see it.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn accounts() -> (tempfile::TempDir, Accounts) {
    let directory = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(directory.path()).unwrap();
    (directory, accounts)
}

#[test]
fn a_token_names_its_user_and_device_and_is_not_stored_in_the_clear() {
    let (directory, accounts) = accounts();
    assert!(accounts.add_user("alice").unwrap());
    assert!(!accounts.add_user("alice").unwrap());
    let token = accounts.add_token("alice").unwrap();
    let caller = accounts.caller(&token).unwrap().unwrap();
    assert_eq!(caller.localpart, "alice");
    assert_eq!(accounts.caller("comity_other").unwrap(), None);
    let other = accounts.add_token("alice").unwrap();
    assert_ne!(
        accounts.caller(&other).unwrap().unwrap().device_id,
        caller.device_id
    );
    for file in fs::read_dir(directory.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes())
        );
    }
}

#[test]
fn a_token_needs_a_user() {
    let (_directory, accounts) = accounts();
    assert!(accounts.add_token("nobody").is_err());
}

#[test]
fn two_processes_share_the_file_and_it_survives_them() {
    let (directory, first) = accounts();
    let second = Accounts::open(directory.path()).unwrap();
    second.add_user("bob").unwrap();
    let token = second.add_token("bob").unwrap();
    assert!(first.caller(&token).unwrap().is_some());
    drop((first, second));
    let third = Accounts::open(directory.path()).unwrap();
    assert!(third.caller(&token).unwrap().is_some());
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (directory, accounts) = accounts();
    accounts
        .connection()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(accounts);
    assert!(matches!(
        Accounts::open(directory.path()),
        Err(AccountsError::TooNew(99))
    ));
}

#[test]
fn an_alias_is_taken_once() {
    let (_directory, accounts) = accounts();
    let alias = <&ruma_common::RoomAliasId>::try_from("#a:example.org").unwrap();
    let alice = <&ruma_common::UserId>::try_from("@alice:example.org").unwrap();
    let [one, two] = ["!one:example.org", "!two:example.org"]
        .map(|id| <&ruma_common::RoomId>::try_from(id).unwrap());
    assert!(accounts.add_alias(alias, one, alice).unwrap());
    assert!(!accounts.add_alias(alias, two, alice).unwrap());
    assert_eq!(accounts.alias(alias).unwrap().unwrap().room_id, one);
    accounts.remove_alias(alias).unwrap();
    assert_eq!(accounts.alias(alias).unwrap(), None);
}

#[test]
fn a_filter_keeps_its_id_and_belongs_to_its_user() {
    let (_directory, accounts) = accounts();
    accounts.add_user("alice").unwrap();
    let id = accounts.add_filter("alice", "{}").unwrap();
    assert_eq!(accounts.add_filter("alice", "{}").unwrap(), id);
    assert_eq!(accounts.filter("alice", id).unwrap().as_deref(), Some("{}"));
    assert_eq!(accounts.filter("bob", id).unwrap(), None);
}

#[test]
fn what_users_say_is_readable_by_the_servers_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    Accounts::open(&directory).unwrap();
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
