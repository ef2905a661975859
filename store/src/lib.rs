//! Executes the core's typed queries on one SQLite database.
//!
//! **Contract.** Queries are executed one at a time, in the order in which they are given. A batch
//! is atomic, and its answer means that it is on the disk. A read sees every batch given before it,
//! and its answer is not given before those are durable. Whatever a query or a row holds, the
//! answer is at worst an error, never a panic.
//!
//! A [`Store`] runs queries on the caller's thread; a [`StoreThread`] gives it a thread of its own
//! and lets batches that wait at the same time share one transaction of the database, and so one
//! wait for the disk. A [`Glance`] looks at a database, also at one that another process is using.
//!
//! | file | holds |
//! |---|---|
//! | `tables` | the schema and its migrations |
//! | `opening` | whether a database is ours, and of which schema |
//! | `queries` | every SQL statement: one function for each kind of read and write |
//! | `rows` | how our types and the values of columns become each other |
//! | `glance` | reading beside another process |
//! | `thread` | the thread and its queue |

mod glance;
mod opening;
mod queries;
mod rows;
mod tables;
mod thread;

use std::{fs::OpenOptions, io, path::Path};

use comity_core::persistence::queries::{Answer, Query, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use crate::{glance::Glance, thread::StoreThread};

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    statistics: Statistics,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Reads executed.
    pub reads: u64,
    /// Batches executed, failed ones included.
    pub commits: u64,
    /// Transactions of the database that carried these batches to the disk.
    pub transactions: u64,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created or opened for writing.
    #[error("cannot open the database file: {0}")]
    File(#[from] io::Error),
    /// The file is no database, is damaged, or is in use.
    #[error("cannot open the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file is a database of another program.
    #[error("the database is not one of Comity's")]
    Foreign,
    /// An older Comity has made the schema, and this is only to read.
    #[error(
        "the database has schema version {found}: start the server once, to bring it to {known}"
    )]
    Older {
        /// The version of the database.
        found: usize,
        /// The version that this program reads.
        known: usize,
    },
    /// A newer Comity has changed the schema.
    #[error("the database has schema version {found}, but this program knows none after {known}")]
    Newer {
        /// The version of the database.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
}

impl Store {
    /// Opens the database at `path`, and creates it, readable by its owner only, if there is none.
    /// A database of an older version is migrated.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        create_private(path)?;
        Self::prepare(Connection::open(path)?)
    }

    /// A database that ends with this value.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, OpenError> {
        opening::prepare(&mut connection)?;
        Ok(Self {
            connection,
            statistics: Statistics::default(),
        })
    }

    /// Executes one query. After an error of a commit nothing of its batch is there.
    pub fn run(&mut self, query: &Query) -> Result<Answer, StoreError> {
        let Query::Read(read) = query else {
            let mut answers = self.run_group(std::slice::from_ref(query));
            let no_answer = || Err(StoreError::Failed("no answer".to_owned()));
            return answers.pop().unwrap_or_else(no_answer);
        };
        self.statistics.reads += 1;
        queries::read(&self.connection, read).map_err(rows::store_error)
    }

    /// Executes queries, the batches among them in one transaction, and answers each in order.
    ///
    /// A batch that fails takes all that come after it with it, since they were made believing in
    /// it. If the transaction fails as a whole, all queries have failed, the reads too, since they
    /// may have seen what is gone.
    pub fn run_group(&mut self, queries: &[Query]) -> Vec<Result<Answer, StoreError>> {
        self.count(queries);
        self.try_group(queries).unwrap_or_else(|error| {
            let error = rows::store_error(error);
            tracing::error!(%error, queries = queries.len(), "a transaction of the store failed");
            vec![Err(error); queries.len()]
        })
    }

    /// What this store has done.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Closes the database, which folds the write-ahead log into it. A store that is dropped
    /// instead does the same, but keeps quiet about errors.
    pub fn close(self) -> Result<(), StoreError> {
        self.connection
            .close()
            .map_err(|(_, error)| rows::store_error(error))
    }

    fn count(&mut self, queries: &[Query]) {
        for query in queries {
            match query {
                Query::Read(_) => self.statistics.reads += 1,
                Query::Commit(_) => self.statistics.commits += 1,
            }
        }
        self.statistics.transactions += 1;
    }

    fn try_group(
        &mut self,
        queries: &[Query],
    ) -> rusqlite::Result<Vec<Result<Answer, StoreError>>> {
        let behavior = TransactionBehavior::Immediate;
        let mut group = self.connection.transaction_with_behavior(behavior)?;
        let mut answers = Vec::with_capacity(queries.len());
        for query in queries {
            match run_within(&mut group, query) {
                // After an error such as a full disk, SQLite may have rolled all of it back.
                Err(error) if group.is_autocommit() => return Err(error),
                answer => answers.push(answer.map_err(rows::store_error)),
            }
            if matches!((query, answers.last()), (Query::Commit(_), Some(Err(_)))) {
                break;
            }
        }
        group.commit()?;
        if let Some(Err(error)) = answers.last().cloned() {
            answers.resize(queries.len(), Err(error));
        }
        Ok(answers)
    }
}

fn run_within(group: &mut Transaction<'_>, query: &Query) -> rusqlite::Result<Answer> {
    match query {
        Query::Read(read) => queries::read(group, read),
        Query::Commit(batch) => {
            let savepoint = group.savepoint()?;
            for write in &batch.writes {
                queries::write(&savepoint, write)?;
            }
            savepoint.commit()?;
            Ok(Answer::Committed)
        }
    }
}

/// The log and the shared memory beside the database take over the mode of the database itself.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
