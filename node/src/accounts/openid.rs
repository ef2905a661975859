//! Tokens by which users prove to others who they are, and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{OptionalExtension, params};

use super::{
    Accounts, AccountsError,
    devices::{digest, new_token},
};

/// How long such a token is good.
pub const OPENID_TOKEN_TIME: Duration = Duration::from_secs(60 * 60);

impl Accounts {
    /// A new token of a user; those that have expired are forgotten.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub fn add_openid_token(&self, localpart: &str) -> Result<String, AccountsError> {
        let token = new_token()?;
        let now = seconds(SystemTime::now());
        let expires = seconds(SystemTime::now() + OPENID_TOKEN_TIME);
        let connection = self.connection();
        connection.execute("DELETE FROM openid_tokens WHERE expires <= ?", [now])?;
        let sql = "INSERT INTO openid_tokens (digest, localpart, expires) VALUES (?, ?, ?)";
        connection.execute(sql, params![digest(&token), localpart, expires])?;
        Ok(token)
    }

    /// Who got a token, as a local part; `None` if nobody did or it has expired at this time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn openid_user(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<Option<String>, AccountsError> {
        let sql = "SELECT localpart FROM openid_tokens WHERE digest = ? AND expires > ?";
        let parameters = params![digest(token), seconds(now)];
        let localpart = self
            .connection()
            .query_row(sql, parameters, |row| row.get(0));
        Ok(localpart.optional()?)
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
