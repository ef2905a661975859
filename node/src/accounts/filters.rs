//! The filters that clients have stored.

use rusqlite::{OptionalExtension, params};

use super::{Accounts, AccountsError};

impl Accounts {
    /// Stores a filter, given as JSON, and gives its id; the same filter keeps its id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_filter(&self, localpart: &str, filter: &str) -> Result<i64, AccountsError> {
        let connection = self.connection();
        let row = params![localpart, filter];
        connection.execute(
            "INSERT OR IGNORE INTO filters (localpart, filter) VALUES (?, ?)",
            row,
        )?;
        let sql = "SELECT id FROM filters WHERE localpart = ? AND filter = ?";
        Ok(connection.query_row(sql, row, |row| row.get(0))?)
    }

    /// A filter of a user, as JSON.
    ///
    /// # Errors
    /// When the database fails.
    pub fn filter(&self, localpart: &str, id: i64) -> Result<Option<String>, AccountsError> {
        let sql = "SELECT filter FROM filters WHERE localpart = ? AND id = ?";
        let filter = self
            .connection()
            .query_row(sql, params![localpart, id], |row| row.get(0));
        Ok(filter.optional()?)
    }
}
