//! Keys that are good for beginning one conversation each.
//!
//! **Invariants.** A one-time key is given away once: it is gone from the disk before anybody gets
//! it. When a device has none left it gives its fallback key, as often as need be.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::{Accounts, AccountsError, Caller, writing};

/// How many one-time keys of a device are kept.
pub const ONE_TIME_KEYS_MAX: usize = 1_000;

/// What came of new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// They are kept.
    Kept,
    /// One of them has the name of another key; none is kept.
    NameTaken,
    /// The device would have too many; none is kept.
    TooMany,
}

impl Accounts {
    /// Adds one-time keys of a device, by name: the algorithm, a colon, and an id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_one_time_keys(
        &self,
        of: &Caller,
        keys: &Map<String, Value>,
    ) -> Result<Added, AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        for (name, key) in keys {
            let known = one_time_key(&transaction, of, name)?;
            match known {
                Some(known) if known == *key => {}
                Some(_) => return Ok(Added::NameTaken),
                None => insert_one_time_key(&transaction, of, name, key)?,
            }
        }
        let sql = "SELECT count(*) FROM one_time_keys WHERE localpart = ? AND device_id = ?";
        let count: i64 =
            transaction.query_row(sql, params![of.localpart, of.device_id], |row| row.get(0))?;
        if usize::try_from(count).unwrap_or(usize::MAX) > ONE_TIME_KEYS_MAX {
            return Ok(Added::TooMany);
        }
        transaction.commit()?;
        Ok(Added::Kept)
    }

    /// Sets the fallback keys of a device, one for each algorithm.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_fallback_keys(
        &self,
        of: &Caller,
        keys: &Map<String, Value>,
    ) -> Result<(), AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        let sql = "INSERT OR REPLACE INTO fallback_keys \
                   (localpart, device_id, algorithm, name, key, used) VALUES (?, ?, ?, ?, ?, 0)";
        for (name, key) in keys {
            let row = params![
                of.localpart,
                of.device_id,
                algorithm(name),
                name,
                key.to_string()
            ];
            transaction.execute(sql, row)?;
        }
        Ok(transaction.commit()?)
    }

    /// How many one-time keys of each algorithm a device has left.
    ///
    /// # Errors
    /// When the database fails.
    pub fn one_time_key_counts(&self, of: &Caller) -> Result<BTreeMap<String, i64>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT algorithm, count(*) FROM one_time_keys \
                   WHERE localpart = ? AND device_id = ? GROUP BY algorithm";
        let mut statement = connection.prepare_cached(sql)?;
        let counts = statement.query_map([&of.localpart, &of.device_id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(counts.collect::<Result<_, _>>()?)
    }

    /// The algorithms of the fallback keys of a device that nobody was given yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unused_fallback_algorithms(&self, of: &Caller) -> Result<Vec<String>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT algorithm FROM fallback_keys \
                   WHERE localpart = ? AND device_id = ? AND NOT used ORDER BY algorithm";
        let mut statement = connection.prepare_cached(sql)?;
        let algorithms = statement.query_map([&of.localpart, &of.device_id], |row| row.get(0))?;
        Ok(algorithms.collect::<Result<_, _>>()?)
    }

    /// Gives one key of a device away, with its name: the one-time key that was added first, or the
    /// fallback key; `None` if there is neither.
    ///
    /// # Errors
    /// When the database fails.
    pub fn claim_key(
        &self,
        localpart: &str,
        device_id: &str,
        algorithm: &str,
    ) -> Result<Option<(String, Value)>, AccountsError> {
        let connection = self.connection();
        let device = [localpart, device_id, algorithm];
        let sql = "DELETE FROM one_time_keys WHERE age = (SELECT min(age) FROM one_time_keys \
                   WHERE localpart = ? AND device_id = ? AND algorithm = ?) RETURNING name, key";
        let named = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, super::json(row, 1)?));
        if let Some(key) = connection.query_row(sql, device, named).optional()? {
            return Ok(Some(key));
        }
        let sql = "UPDATE fallback_keys SET used = 1 \
                   WHERE localpart = ? AND device_id = ? AND algorithm = ? RETURNING name, key";
        Ok(connection.query_row(sql, device, named).optional()?)
    }
}

fn one_time_key(
    connection: &Connection,
    of: &Caller,
    name: &str,
) -> Result<Option<Value>, AccountsError> {
    let sql = "SELECT key FROM one_time_keys WHERE localpart = ? AND device_id = ? AND name = ?";
    let row = params![of.localpart, of.device_id, name];
    Ok(connection
        .query_row(sql, row, |row| super::json(row, 0))
        .optional()?)
}

fn insert_one_time_key(
    connection: &Connection,
    of: &Caller,
    name: &str,
    key: &Value,
) -> Result<(), AccountsError> {
    let sql = "INSERT INTO one_time_keys (localpart, device_id, algorithm, name, key) \
               VALUES (?, ?, ?, ?, ?)";
    let row = params![
        of.localpart,
        of.device_id,
        algorithm(name),
        name,
        key.to_string()
    ];
    connection.execute(sql, row)?;
    Ok(())
}

fn algorithm(name: &str) -> &str {
    name.split_once(':')
        .map_or(name, |(algorithm, _)| algorithm)
}
