//! Access tokens, the devices that hold them, and what each device sent.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Accounts, AccountsError, writing};
use crate::random;

/// The bytes of randomness in an access token.
const TOKEN_BYTES: usize = 32;

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The local part of the user id.
    pub localpart: String,
    /// The device; each token has one of its own.
    pub device_id: String,
}

impl Accounts {
    /// A new access token, and device, for a user that exists.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub fn add_token(&self, localpart: &str) -> Result<String, AccountsError> {
        let token = new_token()?;
        let device_id = random::name::<10>()?.to_uppercase();
        let sql = "INSERT INTO tokens (digest, localpart, device_id) VALUES (?, ?, ?)";
        self.connection()
            .execute(sql, params![digest(&token), localpart, device_id])?;
        Ok(token)
    }

    /// Who holds a token; `None` if nobody does.
    ///
    /// # Errors
    /// When the database fails.
    pub fn caller(&self, token: &str) -> Result<Option<Caller>, AccountsError> {
        let sql = "SELECT localpart, device_id FROM tokens WHERE digest = ?";
        let caller = self
            .connection()
            .query_row(sql, params![digest(token)], |row| {
                Ok(Caller {
                    localpart: row.get(0)?,
                    device_id: row.get(1)?,
                })
            });
        Ok(caller.optional()?)
    }

    /// Forgets a device: its token, its keys and what waits for it; tells whether it had keys.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_device(&self, device: &Caller) -> Result<bool, AccountsError> {
        let connection = self.connection();
        let transaction = writing(&connection)?;
        let mut had_keys = false;
        for table in [
            "tokens",
            "device_keys",
            "one_time_keys",
            "fallback_keys",
            "to_device",
        ] {
            let sql = format!("DELETE FROM {table} WHERE localpart = ? AND device_id = ?");
            let removed = transaction.execute(&sql, [&device.localpart, &device.device_id])?;
            had_keys |= table == "device_keys" && removed > 0;
        }
        transaction.commit()?;
        Ok(had_keys)
    }

    /// Remembers which transaction of a device an event came from.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_sent(
        &self,
        caller: &Caller,
        transaction_id: &str,
        event_id: &str,
    ) -> Result<(), AccountsError> {
        let sql = "INSERT OR IGNORE INTO sent (event_id, localpart, device_id, transaction_id) \
                   VALUES (?, ?, ?, ?)";
        let Caller {
            localpart,
            device_id,
        } = caller;
        self.connection()
            .execute(sql, params![event_id, localpart, device_id, transaction_id])?;
        Ok(())
    }

    /// The transaction of this device that an event came from, if it did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn transaction_of(
        &self,
        caller: &Caller,
        event_id: &str,
    ) -> Result<Option<String>, AccountsError> {
        let sql = "SELECT transaction_id FROM sent \
                   WHERE event_id = ? AND localpart = ? AND device_id = ?";
        let parameters = params![event_id, caller.localpart, caller.device_id];
        let transaction_id = self
            .connection()
            .query_row(sql, parameters, |row| row.get(0));
        Ok(transaction_id.optional()?)
    }
}

pub(super) fn new_token() -> Result<String, AccountsError> {
    let random = random::bytes::<TOKEN_BYTES>()?;
    Ok(format!("comity_{}", URL_SAFE_NO_PAD.encode(random)))
}

pub(super) fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
