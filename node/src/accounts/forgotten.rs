//! Rooms that users have left and want to hear no more of.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Accounts, AccountsError};

impl Accounts {
    /// Notes that a user forgets a room as they left it at a position in the order of events; what
    /// happens between them and the room later they do hear of.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_room(
        &self,
        localpart: &str,
        room_id: &str,
        position: i64,
    ) -> Result<(), AccountsError> {
        let sql = "INSERT OR REPLACE INTO forgotten (localpart, room_id, position) \
                   VALUES (?, ?, ?)";
        self.connection()
            .execute(sql, params![localpart, room_id, position])?;
        Ok(())
    }

    /// The rooms that a user has forgotten, and as of where.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forgotten_rooms(&self, localpart: &str) -> Result<BTreeMap<String, i64>, AccountsError> {
        let connection = self.connection();
        let sql = "SELECT room_id, position FROM forgotten WHERE localpart = ?";
        let mut statement = connection.prepare_cached(sql)?;
        let rooms = statement.query_map([localpart], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rooms.collect::<Result<_, _>>()?)
    }
}
