//! Messages to the devices of our users, until the devices have them.
//!
//! What other servers send comes from the federation's inbox in order, and is kept together with how
//! far that was read, so that a crash neither loses nor repeats any of it.

use comity_core::persistence::tables::InboxId;
use ruma_common::OwnedUserId;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{Accounts, AccountsError, Caller, device_keys::change_devices, writing};

/// How many messages wait for one device; beyond them the oldest are dropped.
pub const WAITING_MAX: i64 = 10_000;

/// A message to devices of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceMessage {
    /// The local part of the user's id.
    pub localpart: String,
    /// Which device; `None` for all of them.
    pub device_id: Option<String>,
    /// The event: its `type`, `sender` and `content`.
    pub event: Value,
}

impl Accounts {
    /// Keeps messages of one of our own users, unless they came before in the same transaction of
    /// the same device.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_device_messages(
        &self,
        from: &Caller,
        transaction_id: &str,
        messages: &[DeviceMessage],
    ) -> Result<(), AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        let sql = "INSERT OR IGNORE INTO sent_to_devices (localpart, device_id, transaction_id) \
                   VALUES (?, ?, ?)";
        let row = params![from.localpart, from.device_id, transaction_id];
        if transaction.execute(sql, row)? == 0 {
            return Ok(());
        }
        for message in messages {
            keep(&transaction, message)?;
        }
        Ok(transaction.commit()?)
    }

    /// Takes in what another server sent up to a place in the inbox: messages, and whose devices
    /// changed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_in(
        &self,
        through: InboxId,
        messages: &[DeviceMessage],
        changed: Option<&OwnedUserId>,
    ) -> Result<(), AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        for message in messages {
            keep(&transaction, message)?;
        }
        if let Some(user_id) = changed {
            change_devices(&transaction, user_id, false)?;
        }
        let through = i64::try_from(through.0).unwrap_or(i64::MAX);
        transaction.execute("UPDATE inbox SET heard = ?", [through])?;
        Ok(transaction.commit()?)
    }

    /// How far the inbox was taken in.
    ///
    /// # Errors
    /// When the database fails.
    pub fn heard(&self) -> Result<InboxId, AccountsError> {
        let sql = "SELECT heard FROM inbox";
        let heard: i64 = self.connection().query_row(sql, [], |row| row.get(0))?;
        Ok(InboxId(u64::try_from(heard).unwrap_or_default()))
    }

    /// The number of the last message of all; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_device_message(&self) -> Result<i64, AccountsError> {
        self.last_number("to_device")
    }

    /// The oldest messages of a device after one number, up to another, with their numbers.
    ///
    /// # Errors
    /// When the database fails.
    pub fn device_messages(
        &self,
        of: &Caller,
        after: i64,
        through: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Value)>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT number, event FROM to_device WHERE localpart = ? AND device_id = ? \
                   AND number > ? AND number <= ? ORDER BY number LIMIT ?";
        let mut statement = connection.prepare_cached(sql)?;
        let parameters = params![of.localpart, of.device_id, after, through, limit];
        let messages =
            statement.query_map(parameters, |row| Ok((row.get(0)?, super::json(row, 1)?)))?;
        Ok(messages.collect::<Result<_, _>>()?)
    }

    /// Forgets the messages of a device up to a number: it has them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_device_messages(&self, of: &Caller, through: i64) -> Result<(), AccountsError> {
        let sql = "DELETE FROM to_device WHERE localpart = ? AND device_id = ? AND number <= ?";
        self.connection()
            .execute(sql, params![of.localpart, of.device_id, through])?;
        Ok(())
    }
}

fn keep(connection: &Connection, message: &DeviceMessage) -> Result<(), AccountsError> {
    let sql = "INSERT INTO to_device (localpart, device_id, event) \
               SELECT localpart, device_id, ?3 FROM tokens \
               WHERE localpart = ?1 AND (?2 IS NULL OR device_id = ?2)";
    let row = params![
        message.localpart,
        message.device_id,
        message.event.to_string()
    ];
    connection.execute(sql, row)?;
    let sql = "DELETE FROM to_device WHERE localpart = ?1 AND (?2 IS NULL OR device_id = ?2) \
               AND number <= (SELECT number FROM to_device AS newer \
               WHERE newer.localpart = to_device.localpart \
               AND newer.device_id = to_device.device_id \
               ORDER BY number DESC LIMIT 1 OFFSET ?3)";
    let excess = params![message.localpart, message.device_id, WAITING_MAX];
    connection.execute(sql, excess)?;
    Ok(())
}
