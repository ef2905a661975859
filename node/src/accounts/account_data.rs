//! What clients keep with their user's account, for all rooms or for one.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::{Accounts, AccountsError, writing};

/// A part of a user's account data that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountDatum {
    /// The room that it is for, if it is for one.
    pub room_id: Option<String>,
    /// As clients get it: an event with its type and content.
    pub event: Value,
}

impl Accounts {
    /// Keeps something of a user under a type, for a room or for all, in place of what was there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_account_data(
        &self,
        localpart: &str,
        room_id: Option<&str>,
        data_type: &str,
        content: &Value,
    ) -> Result<(), AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        let room_id = room_id.unwrap_or_default();
        let sql = "DELETE FROM account_data WHERE localpart = ? AND room_id = ? AND type = ?";
        transaction.execute(sql, [localpart, room_id, data_type])?;
        let sql = "INSERT INTO account_data (localpart, room_id, type, content) \
                   VALUES (?, ?, ?, ?)";
        let row = params![localpart, room_id, data_type, content.to_string()];
        transaction.execute(sql, row)?;
        Ok(transaction.commit()?)
    }

    /// What a user keeps under a type.
    ///
    /// # Errors
    /// When the database fails.
    pub fn account_data(
        &self,
        localpart: &str,
        room_id: Option<&str>,
        data_type: &str,
    ) -> Result<Option<Value>, AccountsError> {
        let sql = "SELECT content FROM account_data \
                   WHERE localpart = ? AND room_id = ? AND type = ?";
        let named = [localpart, room_id.unwrap_or_default(), data_type];
        let connection = self.connection();
        let content = connection.query_row(sql, named, |row| super::json(row, 0));
        Ok(content.optional()?)
    }

    /// The number of the last change of all; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_account_data(&self) -> Result<i64, AccountsError> {
        self.last_number("account_data")
    }

    /// What of a user's data changed after one number, up to another.
    ///
    /// # Errors
    /// When the database fails.
    pub fn account_data_changes(
        &self,
        localpart: &str,
        after: i64,
        through: i64,
    ) -> Result<Vec<AccountDatum>, AccountsError> {
        let sql = "SELECT room_id, type, content FROM account_data \
                   WHERE localpart = ? AND number > ? AND number <= ? ORDER BY number";
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        let changes = statement.query_map(params![localpart, after, through], |row| {
            let (room_id, data_type): (String, String) = (row.get(0)?, row.get(1)?);
            let content = super::json(row, 2)?;
            Ok(AccountDatum {
                room_id: Some(room_id).filter(|room_id| !room_id.is_empty()),
                event: json!({ "type": data_type, "content": content }),
            })
        })?;
        Ok(changes.collect::<Result<_, _>>()?)
    }
}
