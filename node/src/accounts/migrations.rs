//! The schema of `node.db`, version by version.

use rusqlite::Connection;

use super::{AccountsError, writing};

/// Step `n` leads from version `n` to `n + 1`. Steps are only ever added.
const STEPS: &[&str] = &[
    "
    CREATE TABLE users (
        localpart TEXT PRIMARY KEY,
        displayname TEXT,
        avatar_url TEXT
    ) STRICT;
    CREATE TABLE tokens (
        digest BLOB PRIMARY KEY,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        device_id TEXT NOT NULL
    ) STRICT;
    CREATE TABLE aliases (
        alias TEXT PRIMARY KEY,
        room_id TEXT NOT NULL,
        creator TEXT NOT NULL
    ) STRICT;
    CREATE TABLE filters (
        id INTEGER PRIMARY KEY,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        filter TEXT NOT NULL,
        UNIQUE (localpart, filter)
    ) STRICT;
    CREATE TABLE sent (
        event_id TEXT PRIMARY KEY,
        localpart TEXT NOT NULL,
        device_id TEXT NOT NULL,
        transaction_id TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE device_keys (
        localpart TEXT NOT NULL REFERENCES users (localpart),
        device_id TEXT NOT NULL,
        keys TEXT NOT NULL,
        PRIMARY KEY (localpart, device_id)
    ) STRICT;
    CREATE TABLE one_time_keys (
        age INTEGER PRIMARY KEY AUTOINCREMENT,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        device_id TEXT NOT NULL,
        algorithm TEXT NOT NULL,
        name TEXT NOT NULL,
        key TEXT NOT NULL,
        UNIQUE (localpart, device_id, name)
    ) STRICT;
    CREATE TABLE fallback_keys (
        localpart TEXT NOT NULL REFERENCES users (localpart),
        device_id TEXT NOT NULL,
        algorithm TEXT NOT NULL,
        name TEXT NOT NULL,
        key TEXT NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (localpart, device_id, algorithm)
    ) STRICT;
    CREATE TABLE cross_signing_keys (
        localpart TEXT NOT NULL REFERENCES users (localpart),
        usage TEXT NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (localpart, usage)
    ) STRICT;
    CREATE TABLE signatures (
        signer TEXT NOT NULL REFERENCES users (localpart),
        user_id TEXT NOT NULL,
        key_name TEXT NOT NULL,
        signatures TEXT NOT NULL,
        PRIMARY KEY (signer, user_id, key_name)
    ) STRICT;
    CREATE TABLE device_changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL UNIQUE,
        announced INTEGER
    ) STRICT;
    CREATE TABLE to_device (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        localpart TEXT NOT NULL,
        device_id TEXT NOT NULL,
        event TEXT NOT NULL
    ) STRICT;
    CREATE INDEX to_device_of ON to_device (localpart, device_id, number);
    CREATE TABLE sent_to_devices (
        localpart TEXT NOT NULL,
        device_id TEXT NOT NULL,
        transaction_id TEXT NOT NULL,
        PRIMARY KEY (localpart, device_id, transaction_id)
    ) STRICT;
    CREATE TABLE inbox (heard INTEGER NOT NULL) STRICT;
    INSERT INTO inbox (heard) VALUES (0);
    CREATE TABLE receipts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        room_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        receipt_type TEXT NOT NULL,
        thread_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        ts INTEGER NOT NULL,
        UNIQUE (room_id, user_id, receipt_type, thread_id)
    ) STRICT;
    CREATE INDEX receipts_in ON receipts (room_id, number);
",
    "
    CREATE TABLE published (room_id TEXT PRIMARY KEY) STRICT;
",
    "
    CREATE TABLE openid_tokens (
        digest BLOB PRIMARY KEY,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        expires INTEGER NOT NULL -- in seconds since 1970
    ) STRICT;
",
    "
    CREATE TABLE files (
        media_id TEXT PRIMARY KEY,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        content_type TEXT,
        name TEXT,
        content BLOB NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE account_data (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        localpart TEXT NOT NULL REFERENCES users (localpart),
        room_id TEXT NOT NULL, -- empty: for all
        type TEXT NOT NULL,
        content TEXT NOT NULL,
        UNIQUE (localpart, room_id, type)
    ) STRICT;
",
    "
    ALTER TABLE users ADD COLUMN password TEXT; -- an Argon2id hash in PHC string format
    ALTER TABLE tokens ADD COLUMN display_name TEXT;
    CREATE UNIQUE INDEX token_of ON tokens (localpart, device_id);
",
    "
    CREATE TABLE forgotten (
        localpart TEXT NOT NULL REFERENCES users (localpart),
        room_id TEXT NOT NULL,
        position INTEGER NOT NULL, -- in the order of events, of the departure
        PRIMARY KEY (localpart, room_id)
    ) STRICT;
",
];

/// Brings the file to the newest version.
pub(super) fn migrate(connection: &Connection) -> Result<(), AccountsError> {
    let transaction = writing(connection)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version)
        .ok()
        .filter(|done| *done <= STEPS.len());
    let done = done.ok_or(AccountsError::TooNew(version))?;
    for (version, step) in (1_i64..).zip(STEPS).skip(done) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    Ok(transaction.commit()?)
}
