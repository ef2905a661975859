//! The keys of users and their devices, and when they changed last.

use ruma_common::{OwnedUserId, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{Accounts, AccountsError, Caller, writing};

/// That something about a user's devices changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceChange {
    /// Its number among all changes.
    pub number: i64,
    /// The last one before it of the same user that other servers were told the number of.
    pub announced_before: Option<i64>,
}

impl Accounts {
    /// Sets the keys of a device; tells whether they are other than before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_device_keys(&self, of: &Caller, keys: &Value) -> Result<bool, AccountsError> {
        let sql = "INSERT INTO device_keys (localpart, device_id, keys) VALUES (?, ?, ?) \
                   ON CONFLICT DO UPDATE SET keys = excluded.keys WHERE keys != excluded.keys";
        let row = params![of.localpart, of.device_id, keys.to_string()];
        Ok(self.connection().execute(sql, row)? > 0)
    }

    /// The keys of a user's devices, by device.
    ///
    /// # Errors
    /// When the database fails.
    pub fn device_keys(&self, localpart: &str) -> Result<Vec<(String, Value)>, AccountsError> {
        let sql = "SELECT device_id, keys FROM device_keys WHERE localpart = ? ORDER BY device_id";
        named_keys(&self.connection(), sql, localpart)
    }

    /// Sets the key of a user for one usage: `master`, `self_signing` or `user_signing`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_cross_signing_key(
        &self,
        localpart: &str,
        usage: &str,
        key: &Value,
    ) -> Result<(), AccountsError> {
        let sql = "INSERT INTO cross_signing_keys (localpart, usage, key) VALUES (?, ?, ?) \
                   ON CONFLICT DO UPDATE SET key = excluded.key";
        self.connection()
            .execute(sql, params![localpart, usage, key.to_string()])?;
        Ok(())
    }

    /// A user's keys, by usage.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cross_signing_keys(
        &self,
        localpart: &str,
    ) -> Result<Vec<(String, Value)>, AccountsError> {
        let sql = "SELECT usage, key FROM cross_signing_keys WHERE localpart = ? ORDER BY usage";
        named_keys(&self.connection(), sql, localpart)
    }

    /// Keeps what a user signed of somebody else's key, which nobody but this user gets to see.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_signatures(
        &self,
        signer: &str,
        of: &UserId,
        key_name: &str,
        signatures: &Value,
    ) -> Result<(), AccountsError> {
        let sql = "INSERT INTO signatures (signer, user_id, key_name, signatures) \
                   VALUES (?, ?, ?, ?) \
                   ON CONFLICT DO UPDATE SET signatures = excluded.signatures";
        let row = params![signer, of.as_str(), key_name, signatures.to_string()];
        self.connection().execute(sql, row)?;
        Ok(())
    }

    /// What a user signed of another's keys, by the name of the key.
    ///
    /// # Errors
    /// When the database fails.
    pub fn signatures(
        &self,
        signer: &str,
        of: &UserId,
    ) -> Result<Vec<(String, Value)>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT key_name, signatures FROM signatures WHERE signer = ? AND user_id = ?";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([signer, of.as_str()], named_key)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes that something about a user's devices changed; `announced` if other servers will be
    /// told the number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_device_change(
        &self,
        user_id: &UserId,
        announced: bool,
    ) -> Result<DeviceChange, AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        let change = change_devices(&transaction, user_id, announced)?;
        transaction.commit()?;
        Ok(change)
    }

    /// The number of the last change that other servers were told of a user; 0 without any.
    ///
    /// # Errors
    /// When the database fails.
    pub fn announced(&self, user_id: &UserId) -> Result<i64, AccountsError> {
        Ok(announced(&self.connection(), user_id)?.unwrap_or_default())
    }

    /// The number of the last change of all; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_device_change(&self) -> Result<i64, AccountsError> {
        self.last_number("device_changes")
    }

    /// The users whose devices changed after one number, up to another.
    ///
    /// # Errors
    /// When the database fails.
    pub fn device_changes(
        &self,
        after: i64,
        through: i64,
    ) -> Result<Vec<OwnedUserId>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT user_id FROM device_changes WHERE number > ? AND number <= ? \
                   ORDER BY number";
        let mut statement = connection.prepare_cached(sql)?;
        let users = statement.query_map([after, through], |row| row.get::<_, String>(0))?;
        let users: Vec<String> = users.collect::<Result<_, _>>()?;
        Ok(users
            .into_iter()
            .filter_map(|user_id| user_id.try_into().ok())
            .collect())
    }
}

/// Of each user only the last change is kept: its number says that there was one since any
/// earlier number.
pub(super) fn change_devices(
    connection: &Connection,
    user_id: &UserId,
    announce: bool,
) -> Result<DeviceChange, AccountsError> {
    let announced_before = announced(connection, user_id)?;
    let user = user_id.as_str();
    connection.execute("DELETE FROM device_changes WHERE user_id = ?", [user])?;
    let sql = "INSERT INTO device_changes (user_id, announced) VALUES (?, ?)";
    connection.execute(sql, params![user, announced_before])?;
    let number = connection.last_insert_rowid();
    if announce {
        let sql = "UPDATE device_changes SET announced = number WHERE number = ?";
        connection.execute(sql, [number])?;
    }
    Ok(DeviceChange {
        number,
        announced_before,
    })
}

fn announced(connection: &Connection, user_id: &UserId) -> Result<Option<i64>, AccountsError> {
    let sql = "SELECT announced FROM device_changes WHERE user_id = ?";
    let announced = connection.query_row(sql, [user_id.as_str()], |row| row.get(0));
    Ok(announced.optional()?.flatten())
}

fn named_keys(
    connection: &Connection,
    sql: &str,
    localpart: &str,
) -> Result<Vec<(String, Value)>, AccountsError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([localpart], named_key)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn named_key(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Value)> {
    Ok((row.get(0)?, super::json(row, 1)?))
}
