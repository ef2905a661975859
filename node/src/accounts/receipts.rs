//! How far users have read in rooms.

use rusqlite::{Connection, params};

use super::{Accounts, AccountsError, writing};

/// How many receipts of one user in one room are kept: one of each kind and thread, the newest.
const OF_EACH_MAX: i64 = 50;

/// How far a user has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The room.
    pub room_id: String,
    /// Who.
    pub user_id: String,
    /// Its type, such as `m.read`.
    pub receipt_type: String,
    /// Of which thread, if it is of one.
    pub thread_id: Option<String>,
    /// The last event that was read.
    pub event_id: String,
    /// When, in milliseconds since 1970.
    pub ts: i64,
}

impl Accounts {
    /// Keeps a receipt in place of the last one about the same.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_receipt(&self, receipt: &Receipt) -> Result<(), AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        replace(&transaction, receipt)?;
        Ok(transaction.commit()?)
    }

    /// The number of the last receipt of all; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_receipt(&self) -> Result<i64, AccountsError> {
        self.last_number("receipts")
    }

    /// The receipts of a room that came after one number, up to another.
    ///
    /// # Errors
    /// When the database fails.
    pub fn receipts(
        &self,
        room_id: &str,
        after: i64,
        through: i64,
    ) -> Result<Vec<Receipt>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT user_id, receipt_type, thread_id, event_id, ts FROM receipts \
                   WHERE room_id = ? AND number > ? AND number <= ? ORDER BY number";
        let mut statement = connection.prepare_cached(sql)?;
        let receipts = statement.query_map(params![room_id, after, through], |row| {
            let thread_id: String = row.get(2)?;
            Ok(Receipt {
                room_id: room_id.to_owned(),
                user_id: row.get(0)?,
                receipt_type: row.get(1)?,
                thread_id: (!thread_id.is_empty()).then_some(thread_id),
                event_id: row.get(3)?,
                ts: row.get(4)?,
            })
        })?;
        Ok(receipts.collect::<Result<_, _>>()?)
    }
}

fn replace(connection: &Connection, receipt: &Receipt) -> Result<(), AccountsError> {
    let Receipt {
        room_id,
        user_id,
        receipt_type,
        event_id,
        ts,
        ..
    } = receipt;
    let thread_id = receipt.thread_id.as_deref().unwrap_or_default();
    let sql = "DELETE FROM receipts WHERE room_id = ? AND user_id = ? AND receipt_type = ? \
               AND thread_id = ?";
    connection.execute(sql, [room_id, user_id, receipt_type, thread_id])?;
    let sql = "INSERT INTO receipts (room_id, user_id, receipt_type, thread_id, event_id, ts) \
               VALUES (?, ?, ?, ?, ?, ?)";
    let row = params![room_id, user_id, receipt_type, thread_id, event_id, ts];
    connection.execute(sql, row)?;
    let sql = "DELETE FROM receipts WHERE room_id = ?1 AND user_id = ?2 AND number <= \
               (SELECT number FROM receipts WHERE room_id = ?1 AND user_id = ?2 \
               ORDER BY number DESC LIMIT 1 OFFSET ?3)";
    connection.execute(sql, params![room_id, user_id, OF_EACH_MAX])?;
    Ok(())
}
