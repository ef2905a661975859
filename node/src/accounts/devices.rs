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

/// A device that a user is logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id, which only its user's other devices do not have.
    pub device_id: String,
    /// What its user calls it.
    pub display_name: Option<String>,
}

/// What a device got that logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The device's access token.
    pub token: String,
    /// The device.
    pub device_id: String,
}

impl Accounts {
    /// A new access token, and device, for a user that exists.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub fn add_token(&self, localpart: &str) -> Result<String, AccountsError> {
        Ok(self.log_in(localpart, None, None)?.token)
    }

    /// A new access token for a device of a user that exists: for the device of this id, whose token
    /// of before is good no longer, or for a new one. A display name is for a new device only.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub fn log_in(
        &self,
        localpart: &str,
        device_id: Option<&str>,
        display_name: Option<&str>,
    ) -> Result<Login, AccountsError> {
        let token = new_token()?;
        let device_id = match device_id {
            Some(device_id) => device_id.to_owned(),
            None => random::name::<10>()?.to_uppercase(),
        };
        let sql = "INSERT INTO tokens (digest, localpart, device_id, display_name) \
                   VALUES (?, ?, ?, ?) \
                   ON CONFLICT (localpart, device_id) DO UPDATE SET digest = excluded.digest";
        let row = params![digest(&token), localpart, device_id, display_name];
        self.connection().execute(sql, row)?;
        Ok(Login { token, device_id })
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

    /// The devices of a user with their names, by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub fn devices(&self, localpart: &str) -> Result<Vec<Device>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT device_id, display_name FROM tokens WHERE localpart = ? \
                   ORDER BY device_id";
        let mut statement = connection.prepare_cached(sql)?;
        let devices = statement.query_map([localpart], |row| {
            Ok(Device {
                device_id: row.get(0)?,
                display_name: row.get(1)?,
            })
        })?;
        Ok(devices.collect::<Result<_, _>>()?)
    }

    /// Sets what a device is called; tells whether there is such a device.
    ///
    /// # Errors
    /// When the database fails.
    pub fn rename_device(&self, device: &Caller, name: &str) -> Result<bool, AccountsError> {
        let sql = "UPDATE tokens SET display_name = ? WHERE localpart = ? AND device_id = ?";
        let row = params![name, device.localpart, device.device_id];
        Ok(self.connection().execute(sql, row)? > 0)
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
