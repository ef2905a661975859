//! The rooms in this server's directory.

use ruma_common::{OwnedRoomId, RoomId};

use super::{Accounts, AccountsError};

impl Accounts {
    /// Puts a room into the directory, or takes it out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn publish(&self, room_id: &RoomId, is_public: bool) -> Result<(), AccountsError> {
        let sql = match is_public {
            true => "INSERT OR IGNORE INTO published (room_id) VALUES (?)",
            false => "DELETE FROM published WHERE room_id = ?",
        };
        self.connection().execute(sql, [room_id.as_str()])?;
        Ok(())
    }

    /// The rooms in the directory.
    ///
    /// # Errors
    /// When the database fails.
    pub fn published(&self) -> Result<Vec<OwnedRoomId>, AccountsError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT room_id FROM published ORDER BY room_id")?;
        let rooms = statement.query_map([], |row| row.get::<_, String>(0))?;
        let rooms: Vec<String> = rooms.collect::<Result<_, _>>()?;
        Ok(rooms
            .into_iter()
            .filter_map(|room_id| room_id.try_into().ok())
            .collect())
    }
}
