//! Local users and their profiles.

use rusqlite::{OptionalExtension, params};

use super::{Accounts, AccountsError};

/// The fields that a profile may have.
pub const PROFILE_FIELDS: [&str; 2] = ["displayname", "avatar_url"];

/// The public profile of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The name to show.
    pub displayname: Option<String>,
    /// The picture to show, an `mxc:` URI.
    pub avatar_url: Option<String>,
}

impl Profile {
    /// The fields that are set, with their names.
    pub fn fields(self) -> impl Iterator<Item = (String, String)> {
        let values = [self.displayname, self.avatar_url];
        PROFILE_FIELDS
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
    }
}

impl Accounts {
    /// Creates a user unless there is one; tells whether it is new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_user(&self, localpart: &str) -> Result<bool, AccountsError> {
        let sql = "INSERT OR IGNORE INTO users (localpart) VALUES (?)";
        Ok(self.connection().execute(sql, [localpart])? > 0)
    }

    /// The profile of a user; `None` if there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn profile(&self, localpart: &str) -> Result<Option<Profile>, AccountsError> {
        let sql = "SELECT displayname, avatar_url FROM users WHERE localpart = ?";
        let profile = self.connection().query_row(sql, [localpart], |row| {
            Ok(Profile {
                displayname: row.get(0)?,
                avatar_url: row.get(1)?,
            })
        });
        Ok(profile.optional()?)
    }

    /// Sets or, with `None`, clears one of [`PROFILE_FIELDS`]; other names change nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_profile_field(
        &self,
        localpart: &str,
        field: &str,
        value: Option<&str>,
    ) -> Result<(), AccountsError> {
        let sql = match field {
            "displayname" => "UPDATE users SET displayname = ? WHERE localpart = ?",
            "avatar_url" => "UPDATE users SET avatar_url = ? WHERE localpart = ?",
            _ => return Ok(()),
        };
        self.connection().execute(sql, params![value, localpart])?;
        Ok(())
    }
}
