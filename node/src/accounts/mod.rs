//! What the node knows that is no business of federation: users, passwords, tokens, aliases,
//! filters, devices and what is said to them, receipts, files.
//!
//! It is a small SQLite file of its own, `node.db`, beside the federation's database. One
//! connection, used from any thread behind one mutex; other processes (`comity user add`) may
//! write to the file at the same time.
//!
//! **Invariants.** Access tokens are kept as SHA-256 digests only, passwords as Argon2id hashes only.
//! An alias stands for one room.

mod account_data;
mod aliases;
mod device_keys;
mod devices;
mod files;
mod filters;
mod forgotten;
mod migrations;
mod one_time_keys;
mod openid;
mod passwords;
mod published;
mod receipts;
mod to_device;
mod users;

use std::{
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, types::Type};
use serde_json::Value;

use crate::new_file;

pub use account_data::AccountDatum;
pub use aliases::Alias;
pub use device_keys::DeviceChange;
pub use devices::{Caller, Device, Login};
pub use files::File;
pub use one_time_keys::Added;
pub use openid::OPENID_TOKEN_TIME;
pub use receipts::Receipt;
pub use to_device::DeviceMessage;
pub use users::{PROFILE_FIELDS, Profile};

/// The file's name within the database directory.
pub const DATABASE_FILE: &str = "node.db";

/// How long to wait for another process that is writing.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// The node's own store.
#[derive(Debug)]
pub struct Accounts {
    connection: Mutex<Connection>,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// SQLite refused.
    #[error("the node's database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Its directory cannot be made.
    #[error("the database directory cannot be made: {0}")]
    Directory(#[from] io::Error),
    /// There is no randomness to make a token of.
    #[error("the system has no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// A password cannot be hashed or compared.
    #[error("the password cannot be hashed: {0}")]
    Password(#[from] argon2::password_hash::Error),
    /// The file was written by a newer program.
    #[error("the node's database has schema version {0}, which this program does not know")]
    TooNew(i64),
}

impl Accounts {
    /// Opens the store in a directory, making both if need be.
    ///
    /// # Errors
    /// When the directory or the file cannot be made or opened, or are of a newer version.
    pub fn open(directory: &Path) -> Result<Self, AccountsError> {
        new_file::private_directory(directory)?;
        let connection = Connection::open(directory.join(DATABASE_FILE))?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        migrations::migrate(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The last number that a table which counts ever gave; 0 before the first.
    fn last_number(&self, table: &str) -> Result<i64, AccountsError> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
        let last = self.connection().query_row(sql, [table], |row| row.get(0));
        Ok(last.optional()?.unwrap_or_default())
    }

    /// Each use is one statement or one transaction, so a panic elsewhere leaves nothing half done.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that writes, from its first moment on: one that turned from reading to writing while
/// another process, such as `comity user add`, had written would be refused without any waiting.
fn writing(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// A column that holds JSON.
fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

#[cfg(test)]
mod tests;
