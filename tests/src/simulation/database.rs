//! What answers a simulated server's queries.

use comity_core::persistence::queries::{Answer, Query, StoreError};
use comity_store::Store;

/// Which database a simulated server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatabaseKind {
    /// The real store: SQLite, in memory.
    #[default]
    Sqlite,
}

/// A database. It outlives the crashes of its server.
#[derive(Debug)]
pub enum Database {
    /// The real store.
    Sqlite(Box<Store>),
}

impl Database {
    /// An empty database.
    pub fn new(kind: DatabaseKind) -> Self {
        let sqlite = || Box::new(Store::in_memory().expect("SQLite opens a database in memory"));
        match kind {
            DatabaseKind::Sqlite => Self::Sqlite(sqlite()),
        }
    }

    /// Executes one query.
    pub fn run(&mut self, query: &Query) -> Result<Answer, StoreError> {
        match self {
            Self::Sqlite(store) => store.run(query),
        }
    }
}
