//! What answers a simulated server's queries.

use comity_core::persistence::queries::{Answer, Query, Read, StoreError};
use comity_store::Store;

use super::model::Model;

/// Which database a simulated server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatabaseKind {
    /// The real store: SQLite, in memory.
    #[default]
    Sqlite,
    /// The model of it, which is faster.
    Model,
    /// Both, and every answer of the one is compared with the other's.
    Compared,
}

/// A database. It outlives the crashes of its server.
#[derive(Debug)]
pub enum Database {
    /// The real store.
    Sqlite(Box<Store>),
    /// The model of it.
    Model(Box<Model>),
    /// Both.
    Compared(Box<Store>, Box<Model>),
}

impl Database {
    /// An empty database.
    pub fn new(kind: DatabaseKind) -> Self {
        let sqlite = || Box::new(Store::in_memory().expect("SQLite opens a database in memory"));
        match kind {
            DatabaseKind::Sqlite => Self::Sqlite(sqlite()),
            DatabaseKind::Model => Self::Model(Box::default()),
            DatabaseKind::Compared => Self::Compared(sqlite(), Box::default()),
        }
    }

    /// Executes one query.
    ///
    /// # Panics
    /// If two databases answer it differently.
    pub fn run(&mut self, query: &Query) -> Result<Answer, StoreError> {
        match self {
            Self::Sqlite(store) => store.run(query),
            Self::Model(model) => model.run(query),
            Self::Compared(store, model) => {
                let (answer, expected) = (store.run(query), model.run(query));
                assert_eq!(
                    as_a_set(query, comparable(answer.clone())),
                    as_a_set(query, comparable(expected)),
                    "SQLite, left, and the model answer {query:?} differently"
                );
                answer
            }
        }
    }
}

/// Errors differ in words.
fn comparable(answer: Result<Answer, StoreError>) -> Result<Answer, StoreError> {
    answer.map_err(|error| match error {
        StoreError::Failed(_) => StoreError::Failed(String::new()),
        StoreError::Damaged(_) => StoreError::Damaged(String::new()),
    })
}

/// One answer comes in any order, and another does where a position is taken twice.
fn as_a_set(query: &Query, mut answer: Result<Answer, StoreError>) -> Result<Answer, StoreError> {
    if let (Query::Read(Read::Events(_)), Ok(Answer::Events(events))) = (query, &mut answer) {
        events.sort_by(|one, other| one.pdu.event_id().cmp(other.pdu.event_id()));
    }
    if let Ok(Answer::EventsAfter(part)) = &mut answer {
        part.events
            .sort_by_key(|event| (event.position, event.pdu.event_id().to_owned()));
    }
    answer
}
