//! Running one statement. All are prepared once and kept.

use rusqlite::{Connection, OptionalExtension, Params, Row};

/// Runs a statement that changes rows, and says how many it changed.
pub(super) fn execute(
    database: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<usize> {
    database.prepare_cached(sql)?.execute(parameters)
}

/// All rows of an answer.
pub(super) fn rows<T>(
    database: &Connection,
    sql: &str,
    parameters: impl Params,
    read_row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    database
        .prepare_cached(sql)?
        .query_map(parameters, read_row)?
        .collect()
}

/// The first row of an answer.
pub(super) fn one_row<T>(
    database: &Connection,
    sql: &str,
    parameters: impl Params,
    read_row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    database
        .prepare_cached(sql)?
        .query_row(parameters, read_row)
        .optional()
}
