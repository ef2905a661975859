//! The store as its callers see it.

use std::{fs, os::unix::fs::PermissionsExt, thread};

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
fn a_password_is_hashed_with_a_salt_of_its_own() {
    let (_directory, accounts) = accounts();
    assert!(!accounts.set_password("alice", "sesame").unwrap());
    assert!(!accounts.is_password("alice", "sesame").unwrap());
    let hash_of = |name: &str| -> String {
        accounts.add_user(name).unwrap();
        assert!(!accounts.is_password(name, "").unwrap());
        assert!(accounts.set_password(name, "sesame").unwrap());
        let sql = "SELECT password FROM users WHERE localpart = ?";
        let connection = accounts.connection();
        connection.query_row(sql, [name], |row| row.get(0)).unwrap()
    };
    let hashes = ["alice", "bob"].map(hash_of);
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$")));
    assert!(hashes.iter().all(|hash| !hash.contains("sesame")));
    assert_ne!(hashes[0], hashes[1]);
    assert!(accounts.is_password("alice", "sesame").unwrap());
    assert!(!accounts.is_password("alice", "sesam").unwrap());
    accounts.set_password("alice", "open").unwrap();
    assert!(!accounts.is_password("alice", "sesame").unwrap());
    assert!(accounts.is_password("alice", "open").unwrap());
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

#[test]
fn dev_4_a_one_time_key_is_given_away_once_and_the_fallback_key_as_often_as_need_be() {
    let (_directory, accounts) = accounts();
    accounts.add_user("alice").unwrap();
    let token = accounts.add_token("alice").unwrap();
    let phone = accounts.caller(&token).unwrap().unwrap();
    let keys = |names: &[&str]| {
        let keys = names
            .iter()
            .map(|name| ((*name).to_owned(), (*name).into()));
        keys.collect::<serde_json::Map<_, _>>()
    };
    let add = |names: &[&str]| accounts.add_one_time_keys(&phone, &keys(names)).unwrap();
    assert_eq!(add(&["x:2", "y:1"]), Added::Kept);
    assert_eq!(add(&["x:1", "x:2"]), Added::Kept);
    let other = [("x:3".to_owned(), 3.into()), ("x:2".to_owned(), 2.into())];
    let taken = accounts.add_one_time_keys(&phone, &other.into_iter().collect());
    assert_eq!(taken.unwrap(), Added::NameTaken);
    accounts.set_fallback_keys(&phone, &keys(&["x:F"])).unwrap();
    assert_eq!(accounts.unused_fallback_algorithms(&phone).unwrap(), ["x"]);
    let claim = |algorithm| {
        let claimed = accounts.claim_key("alice", &phone.device_id, algorithm);
        claimed.unwrap().map(|(name, _)| name)
    };
    let claimed = ["x"; 4].map(claim).map(Option::unwrap);
    assert_eq!(claimed, ["x:2", "x:1", "x:F", "x:F"]);
    assert!(
        accounts
            .unused_fallback_algorithms(&phone)
            .unwrap()
            .is_empty()
    );
    assert_eq!(claim("z"), None);
    let counts = accounts.one_time_key_counts(&phone).unwrap();
    assert_eq!(counts, [("y".to_owned(), 1)].into());
    let many: Vec<String> = (0..1_000).map(|number| format!("x:{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(add(&many), Added::TooMany);
}

#[test]
fn edu_4_what_comes_from_the_inbox_is_kept_with_how_far_it_was_read() {
    use comity_core::persistence::tables::InboxId;
    let (_directory, accounts) = accounts();
    accounts.add_user("alice").unwrap();
    let [phone, laptop] = [(); 2].map(|()| {
        let token = accounts.add_token("alice").unwrap();
        accounts.caller(&token).unwrap().unwrap()
    });
    let message = |device_id: Option<&str>, text: &str| DeviceMessage {
        localpart: "alice".to_owned(),
        device_id: device_id.map(ToOwned::to_owned),
        event: text.into(),
    };
    let messages = [
        message(None, "both"),
        message(Some(&phone.device_id), "phone"),
        message(Some("NONE"), "nobody"),
    ];
    accounts.take_in(InboxId(7), &messages, None).unwrap();
    assert_eq!(accounts.heard().unwrap(), InboxId(7));
    let waiting = |of: &Caller| {
        let last = accounts.last_device_message().unwrap();
        let waiting = accounts.device_messages(of, 0, last, 10).unwrap();
        waiting
            .into_iter()
            .map(|(_, event)| event)
            .collect::<Vec<_>>()
    };
    assert_eq!(waiting(&phone), ["both", "phone"]);
    assert_eq!(waiting(&laptop), ["both"]);
    let last = accounts.last_device_message().unwrap();
    accounts.forget_device_messages(&phone, last).unwrap();
    assert!(waiting(&phone).is_empty());
    assert_eq!(accounts.last_device_message().unwrap(), last);
    for _ in 0..2 {
        let again = [message(None, "again")];
        accounts.add_device_messages(&laptop, "1", &again).unwrap();
    }
    assert_eq!(waiting(&phone), ["again"]);
}

#[test]
fn openid_1_a_token_proves_who_its_user_is_until_it_expires() {
    use std::time::SystemTime;
    let (_directory, accounts) = accounts();
    accounts.add_user("alice").unwrap();
    let token = accounts.add_openid_token("alice").unwrap();
    let now = SystemTime::now();
    let user = |token: &str, time| accounts.openid_user(token, time).unwrap();
    assert_eq!(user(&token, now).as_deref(), Some("alice"));
    assert_eq!(user("comity_other", now), None);
    assert_eq!(user(&token, now + OPENID_TOKEN_TIME * 2), None);
    assert_eq!(accounts.caller(&token).unwrap(), None);
}

/// `comity user add` writes while the server does.
#[test]
fn two_processes_write_at_once_and_neither_is_refused() {
    let (directory, server) = accounts();
    server.add_user("alice").unwrap();
    let token = server.add_token("alice").unwrap();
    let caller = server.caller(&token).unwrap().unwrap();
    let other = Accounts::open(directory.path()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                other.add_token("alice").unwrap();
            }
        });
        for number in 0..40 {
            let name = format!("signed_curve25519:{number}");
            let keys = [(name, Value::from(number))].into_iter().collect();
            server.add_one_time_keys(&caller, &keys).unwrap();
        }
    });
}
