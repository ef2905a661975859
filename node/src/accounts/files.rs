//! The files that users have uploaded.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{OptionalExtension, params};

use super::{Accounts, AccountsError};
use crate::random;

/// How many random bytes make up the id of a file.
const ID_BYTES: usize = 18;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is said to be.
    pub content_type: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// What is in it.
    pub content: Vec<u8>,
}

impl Accounts {
    /// Keeps a file of a user; gives the id by which whoever has it finds the file.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub fn add_file(&self, localpart: &str, file: &File) -> Result<String, AccountsError> {
        let media_id = BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<ID_BYTES>()?);
        let sql = "INSERT INTO files (media_id, localpart, content_type, name, content)
            VALUES (?, ?, ?, ?, ?)";
        let File {
            content_type,
            name,
            content,
        } = file;
        let values = params![media_id, localpart, content_type, name, content];
        self.connection().execute(sql, values)?;
        Ok(media_id)
    }

    /// A file.
    ///
    /// # Errors
    /// When the database fails.
    pub fn file(&self, media_id: &str) -> Result<Option<File>, AccountsError> {
        let sql = "SELECT content_type, name, content FROM files WHERE media_id = ?";
        let file = self.connection().query_row(sql, [media_id], |row| {
            Ok(File {
                content_type: row.get(0)?,
                name: row.get(1)?,
                content: row.get(2)?,
            })
        });
        Ok(file.optional()?)
    }
}
