//! What comes from other servers and is no event: their keys, and the transactions we answered.

use comity_core::{
    persistence::tables::{PublishedKeysRecord, ServerKeyRecord},
    time::WallTime,
};
use ruma_common::{OwnedServerName, ServerName, TransactionId};

use super::tables::{ReceivedRow, Tables, kept};

/// All keys held of a server, sorted by key id.
pub(super) fn server_keys(tables: &Tables, server: &ServerName) -> Vec<ServerKeyRecord> {
    let keys = tables.server_keys.iter();
    let theirs = keys.filter(|((of, _), _)| of == server);
    theirs.map(|(_, key)| key.clone()).collect()
}

/// Keeps keys. The same key keeps its larger validity, and once retired it stays so, in whatever
/// order old and new word of it arrives. Another key with the same id takes its place.
pub(super) fn keep_keys(tables: &mut Tables, keys: &[ServerKeyRecord]) {
    for key in keys {
        let name = (key.server.clone(), key.key_id.clone());
        let mut row = key.clone();
        row.valid_until = kept(row.valid_until);
        if let Some(known) = tables.server_keys.get(&name)
            && known.public == key.public
        {
            row.valid_until = row.valid_until.max(known.valid_until);
            row.retired |= known.retired;
        }
        tables.server_keys.set(name, row);
    }
}

/// Keeps the object in which a server published its keys in place of the one before.
pub(super) fn keep_published_keys(tables: &mut Tables, record: &PublishedKeysRecord) {
    let mut row = record.clone();
    row.fetched = kept(row.fetched);
    row.valid_until = kept(row.valid_until);
    tables.published_keys.set(record.server.clone(), row);
}

/// The response that was given to a transaction.
pub(super) fn response(
    tables: &Tables,
    origin: &ServerName,
    transaction_id: &TransactionId,
) -> Option<Vec<u8>> {
    let name = (origin.to_owned(), transaction_id.to_owned());
    tables.received.get(&name).map(|row| row.response.clone())
}

/// Keeps the response to a transaction. The first one stays.
pub(super) fn keep_response(
    tables: &mut Tables,
    origin: &ServerName,
    transaction_id: &TransactionId,
    response: &[u8],
    received_at: WallTime,
) {
    let name = (origin.to_owned(), transaction_id.to_owned());
    if !tables.received.has(&name) {
        let row = ReceivedRow {
            response: response.to_vec(),
            received_at: kept(received_at),
        };
        tables.received.set(name, row);
    }
}

/// Forgets the responses to transactions received before a time; of each server all for which
/// `of_each` are as new; and all that, with those as new, are more than `bytes`.
pub(super) fn forget_responses(
    tables: &mut Tables,
    received_before: WallTime,
    of_each: u64,
    bytes: u64,
) {
    tables
        .received
        .retain(|_, row| row.received_at >= kept(received_before));
    let rows: Vec<_> = tables.received.iter().collect();
    let stays = |((server, _), row): (&(OwnedServerName, _), &ReceivedRow)| {
        let as_new = || {
            rows.iter()
                .filter(|(_, other)| other.received_at >= row.received_at)
        };
        let of_server = as_new().filter(|((other, _), _)| other == server);
        let bytes_as_new: u64 = as_new().map(|(_, other)| other.response.len() as u64).sum();
        of_server.count() as u64 <= of_each && bytes_as_new <= bytes
    };
    let gone: Vec<_> = rows
        .iter()
        .filter(|row| !stays(**row))
        .map(|(key, _)| (*key).clone())
        .collect();
    gone.iter().for_each(|key| tables.received.remove(key));
}
