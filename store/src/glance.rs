//! Reading a database that another process may be writing to.

use std::path::Path;

use comity_core::persistence::queries::{Answer, Read, StoreError};
use rusqlite::{Connection, OpenFlags};

use crate::{OpenError, opening, queries, rows};

/// A database as it was at one moment, to read from.
///
/// It changes nothing and keeps nobody from writing. While it lives, the write-ahead log of a
/// running server cannot be folded into the database, so it should not live long.
#[derive(Debug)]
pub struct Glance {
    connection: Connection,
}

impl Glance {
    /// Looks at the database at `path`, which must be there and of the present schema.
    pub fn at(path: &Path) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        opening::prepare_to_read(&connection)?;
        Ok(Self { connection })
    }

    /// Answers a question. Questions that change something, as [`Read::Boot`] does, fail.
    pub fn read(&self, read: &Read) -> Result<Answer, StoreError> {
        queries::read(&self.connection, read).map_err(rows::store_error)
    }
}
