//! The passwords that users log in with.
//!
//! **Invariants.** A password is kept as an Argon2id hash only, in PHC string format: with a salt of
//! its own and what it was hashed with. While one is hashed, which is slow on purpose, the database
//! is free for others.

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash};
use rusqlite::{OptionalExtension, params};

use super::{Accounts, AccountsError};
use crate::random;

/// The bytes of randomness in a salt.
const SALT_BYTES: usize = 16;

impl Accounts {
    /// Sets the password of a user; tells whether there is such a user.
    ///
    /// # Errors
    /// When the database fails, there is no randomness or the password cannot be hashed.
    pub fn set_password(&self, localpart: &str, password: &str) -> Result<bool, AccountsError> {
        let salt = random::bytes::<SALT_BYTES>()?;
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
        let sql = "UPDATE users SET password = ? WHERE localpart = ?";
        let row = params![hash.to_string(), localpart];
        Ok(self.connection().execute(sql, row)? > 0)
    }

    /// Whether this is the password of a user. No text is that of a user without one.
    ///
    /// # Errors
    /// When the database fails or what it holds is no hash.
    pub fn is_password(&self, localpart: &str, password: &str) -> Result<bool, AccountsError> {
        let sql = "SELECT password FROM users WHERE localpart = ?";
        let hash: Option<Option<String>> = self
            .connection()
            .query_row(sql, [localpart], |row| row.get(0))
            .optional()?;
        let Some(hash) = hash.flatten() else {
            return Ok(false);
        };
        match Argon2::default().verify_password(password.as_bytes(), hash.as_str()) {
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            verified => Ok(verified.map(|()| true)?),
        }
    }
}
