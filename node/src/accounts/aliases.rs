//! The aliases of this server.

use ruma_common::{OwnedRoomId, RoomAliasId, RoomId, UserId};
use rusqlite::{OptionalExtension, params};

use super::{Accounts, AccountsError};

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who made it.
    pub creator: String,
}

impl Accounts {
    /// Makes an alias unless it is taken; tells whether it was free.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_alias(
        &self,
        alias: &RoomAliasId,
        room_id: &RoomId,
        creator: &UserId,
    ) -> Result<bool, AccountsError> {
        let sql = "INSERT OR IGNORE INTO aliases (alias, room_id, creator) VALUES (?, ?, ?)";
        let row = params![alias.as_str(), room_id.as_str(), creator.as_str()];
        Ok(self.connection().execute(sql, row)? > 0)
    }

    /// What an alias stands for, if it does for anything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn alias(&self, alias: &RoomAliasId) -> Result<Option<Alias>, AccountsError> {
        let sql = "SELECT room_id, creator FROM aliases WHERE alias = ?";
        let found: Option<(String, String)> = self
            .connection()
            .query_row(sql, [alias.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.and_then(|(room_id, creator)| {
            Some(Alias {
                room_id: RoomId::parse(&room_id).ok()?,
                creator,
            })
        }))
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_alias(&self, alias: &RoomAliasId) -> Result<(), AccountsError> {
        let sql = "DELETE FROM aliases WHERE alias = ?";
        self.connection().execute(sql, [alias.as_str()])?;
        Ok(())
    }
}
