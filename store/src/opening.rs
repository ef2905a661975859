//! Opening a database: whether it is ours, and bringing it to the present schema.

use std::cmp::Ordering;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    OpenError,
    tables::{APPLICATION_ID, MIGRATIONS, SETTINGS},
};

/// Makes a connection ready for use, and its database one of the present schema.
pub(crate) fn prepare(connection: &mut Connection) -> Result<(), OpenError> {
    refuse_foreign(connection)?;
    connection.execute_batch(SETTINGS)?;
    connection.set_prepared_statement_cache_capacity(128);
    migrate(connection)
}

/// Makes a connection ready to read what is there at this moment, whatever is written meanwhile.
pub(crate) fn prepare_to_read(connection: &Connection) -> Result<(), OpenError> {
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 5000; BEGIN")?;
    refuse_foreign(connection)?;
    let (found, known) = (version(connection)?, MIGRATIONS.len());
    match found.cmp(&known) {
        Ordering::Less => Err(OpenError::Older { found, known }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenError::Newer { found, known }),
    }
}

fn refuse_foreign(connection: &Connection) -> Result<(), OpenError> {
    let application_id: i64 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match application_id == APPLICATION_ID || tables == 0 {
        true => Ok(()),
        false => Err(OpenError::Foreign),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&step)?;
    if found > MIGRATIONS.len() {
        return Err(OpenError::Newer {
            found,
            known: MIGRATIONS.len(),
        });
    }
    for migration in MIGRATIONS.iter().skip(found) {
        step.execute_batch(migration)?;
    }
    step.pragma_update(None, "application_id", APPLICATION_ID)?;
    step.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(step.commit()?)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}
