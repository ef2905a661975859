//! What comes from other servers and is no event: their keys, and the transactions we answered.

use comity_core::{
    persistence::tables::{PublishedKeysRecord, ServerKeyRecord},
    time::WallTime,
};
use ruma_common::{ServerName, TransactionId};
use rusqlite::{Connection, params};

use super::{
    names,
    statement::{execute, one_row, rows},
};
use crate::rows::{parsed, signed, time};

/// All keys held of a server, sorted by key id.
pub(super) fn server_keys(
    database: &Connection,
    server: &ServerName,
) -> rusqlite::Result<Vec<ServerKeyRecord>> {
    const SELECT: &str = "
        SELECT key_id, public, valid_until, retired FROM server_keys
        WHERE server = (SELECT server FROM servers WHERE name = ?1) ORDER BY key_id";
    rows(database, SELECT, (server.as_str(),), |row| {
        Ok(ServerKeyRecord {
            server: server.to_owned(),
            key_id: parsed(row, "key_id")?,
            public: row.get("public")?,
            valid_until: time(row, "valid_until")?,
            retired: row.get("retired")?,
        })
    })
}

/// Keeps keys. The same key keeps its larger validity, and once retired it stays so, in whatever
/// order old and new word of it arrives. Another key with the same id takes its place.
pub(super) fn keep_keys(database: &Connection, keys: &[ServerKeyRecord]) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO server_keys (server, key_id, public, valid_until, retired)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (server, key_id) DO UPDATE SET
            public = excluded.public,
            valid_until = iif(public = excluded.public,
                max(valid_until, excluded.valid_until), excluded.valid_until),
            retired = excluded.retired OR (retired AND public = excluded.public)";
    for key in keys {
        let parameters = params![
            names::server(database, &key.server)?,
            key.key_id.as_str(),
            key.public,
            signed(key.valid_until.0),
            key.retired,
        ];
        execute(database, INSERT, parameters)?;
    }
    Ok(())
}

/// The object in which a server published its keys last.
pub(super) fn published(
    database: &Connection,
    server: &ServerName,
) -> rusqlite::Result<Option<PublishedKeysRecord>> {
    const SELECT: &str = "
        SELECT json, fetched, valid_until FROM published_keys
        WHERE server = (SELECT server FROM servers WHERE name = ?1)";
    one_row(database, SELECT, (server.as_str(),), |row| {
        Ok(PublishedKeysRecord {
            server: server.to_owned(),
            json: row.get("json")?,
            fetched: time(row, "fetched")?,
            valid_until: time(row, "valid_until")?,
        })
    })
}

/// Keeps such an object in place of the one before.
pub(super) fn keep_published_keys(
    database: &Connection,
    record: &PublishedKeysRecord,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT OR REPLACE INTO published_keys (server, json, fetched, valid_until)
        VALUES (?1, ?2, ?3, ?4)";
    let parameters = params![
        names::server(database, &record.server)?,
        record.json,
        signed(record.fetched.0),
        signed(record.valid_until.0),
    ];
    execute(database, INSERT, parameters)?;
    Ok(())
}

/// The response that was given to a transaction.
pub(super) fn response(
    database: &Connection,
    origin: &ServerName,
    transaction_id: &TransactionId,
) -> rusqlite::Result<Option<Vec<u8>>> {
    const SELECT: &str = "
        SELECT response FROM received_transactions
        WHERE server = (SELECT server FROM servers WHERE name = ?1) AND transaction_id = ?2";
    one_row(
        database,
        SELECT,
        (origin.as_str(), transaction_id.as_str()),
        |row| row.get(0),
    )
}

/// Keeps the response to a transaction. The first one stays.
pub(super) fn keep_response(
    database: &Connection,
    origin: &ServerName,
    transaction_id: &TransactionId,
    response: &[u8],
    received_at: WallTime,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT OR IGNORE INTO received_transactions (server, transaction_id, response, received_at)
        VALUES (?1, ?2, ?3, ?4)";
    let server = names::server(database, origin)?;
    let parameters = (
        server,
        transaction_id.as_str(),
        response,
        signed(received_at.0),
    );
    execute(database, INSERT, parameters).map(drop)
}

/// Forgets the responses to transactions received before a time; of each server all for which
/// `of_each` are as new; and all that, with those as new, are more than `bytes`.
pub(super) fn forget_responses(
    database: &Connection,
    received_before: WallTime,
    of_each: u64,
    bytes: u64,
) -> rusqlite::Result<()> {
    const OLD: &str = "DELETE FROM received_transactions WHERE received_at < ?1";
    const TOO_MANY: &str = "
        DELETE FROM received_transactions WHERE (server, transaction_id) IN (
            SELECT server, transaction_id FROM (
                SELECT server, transaction_id,
                    count(*) OVER (PARTITION BY server ORDER BY received_at DESC) AS as_new,
                    sum(length(response)) OVER (ORDER BY received_at DESC) AS bytes_as_new
                FROM received_transactions
            )
            WHERE as_new > ?1 OR bytes_as_new > ?2
        )";
    execute(database, OLD, (signed(received_before.0),))?;
    execute(database, TOO_MANY, (signed(of_each), signed(bytes))).map(drop)
}
