//! The schema of `node.db`, version by version.

use rusqlite::Connection;

use super::AccountsError;

/// Step `n` leads from version `n` to `n + 1`. Steps are only ever added.
const STEPS: &[&str] = &["
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
"];

/// Brings the file to the newest version.
pub(super) fn migrate(connection: &Connection) -> Result<(), AccountsError> {
    let transaction = connection.unchecked_transaction()?;
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
