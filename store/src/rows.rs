//! How our types and the values of columns become each other, and errors of SQLite become ours.
//!
//! While a row is read, whatever does not make sense travels as a conversion error of rusqlite, as
//! its own do, and becomes [`StoreError::Damaged`] on the way out.

use std::{error::Error, fmt::Display, sync::Arc};

use comity_core::{
    pdu::{Pdu, RoomVersion, StateKey},
    persistence::{
        queries::StoreError,
        tables::{EventState, Position, SnapshotId, StateEntry, StoredEvent, Verdict},
    },
    time::WallTime,
};
use ruma_common::OwnedEventId;
use rusqlite::{
    Error as SqlError, ErrorCode, Row,
    types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef},
};

/// A text column in the grammar of `T`.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<T> FromSql for Parsed<T>
where
    T: for<'a> TryFrom<&'a str, Error: Error + Send + Sync + 'static>,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::try_from(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// The column's text, parsed.
pub(crate) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: for<'a> TryFrom<&'a str, Error: Error + Send + Sync + 'static>,
{
    row.get(column).map(|Parsed(value)| value)
}

/// An error for what a row says and cannot be.
pub(crate) fn damaged(what: impl Display) -> SqlError {
    SqlError::FromSqlConversionFailure(0, Type::Null, what.to_string().into())
}

/// What the core gets to see of an error.
pub(crate) fn store_error(error: SqlError) -> StoreError {
    use ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        SqlError::FromSqlConversionFailure(_, _, what) => StoreError::Damaged(what.to_string()),
        SqlError::SqliteFailure(failure, _)
            if matches!(failure.code, DatabaseCorrupt | NotADatabase) =>
        {
            StoreError::Damaged(error.to_string())
        }
        SqlError::IntegralValueOutOfRange(..)
        | SqlError::InvalidColumnType(..)
        | SqlError::Utf8Error(..) => StoreError::Damaged(error.to_string()),
        other => StoreError::Failed(other.to_string()),
    }
}

/// A number for a column. SQLite has no unsigned ones: what is larger than it can hold, which only
/// a peer's idea of time can be, becomes the largest.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The column's number, which must not be negative.
pub(crate) fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| damaged(format_args!("{column} is negative: {value}")))
}

/// The column's time.
pub(crate) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<WallTime> {
    unsigned(row, column).map(WallTime)
}

/// The column `version` as a room version.
pub(crate) fn version(row: &Row<'_>) -> rusqlite::Result<RoomVersion> {
    let version: Option<String> = row.get("version")?;
    let version = version.ok_or_else(|| damaged("an event's room has no version"))?;
    RoomVersion::parse(&version)
        .ok_or_else(|| damaged(format_args!("room version {version:?} is not known")))
}

/// The columns `event_type`, `state_key` and `event_id` as an entry of a state.
pub(crate) fn state_entry(row: &Row<'_>) -> rusqlite::Result<StateEntry> {
    let event_type: String = row.get("event_type")?;
    let state_key: String = row.get("state_key")?;
    Ok(StateEntry {
        key: StateKey::new(event_type, state_key),
        event_id: parsed(row, "event_id")?,
    })
}

/// A row of `stored_events`.
pub(crate) fn stored_event(row: &Row<'_>) -> rusqlite::Result<Arc<StoredEvent>> {
    let event_id: OwnedEventId = parsed(row, "event_id")?;
    let json: String = row.get("json")?;
    let pdu = Pdu::from_stored(event_id.clone(), json, version(row)?)
        .map_err(|error| damaged(format_args!("event {event_id}: {error}")))?;
    Ok(Arc::new(StoredEvent {
        pdu: Arc::new(pdu),
        verdict: verdict(row)?,
        state: event_state(row)?,
        position: row.get::<_, Option<i64>>("position")?.map(Position),
        redacted_because: row
            .get::<_, Option<Parsed<_>>>("redacted_because")?
            .map(|Parsed(event_id)| event_id),
    }))
}

/// The columns `verdict` and `reason` of an event.
pub(crate) fn verdict_columns(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Accepted => ("accepted", None),
        Verdict::SoftFailed(reason) => ("soft_failed", Some(reason)),
        Verdict::Rejected(reason) => ("rejected", Some(reason)),
    }
}

fn verdict(row: &Row<'_>) -> rusqlite::Result<Verdict> {
    let verdict: String = row.get("verdict")?;
    match verdict.as_str() {
        "accepted" => Ok(Verdict::Accepted),
        "soft_failed" => Ok(Verdict::SoftFailed(row.get("reason")?)),
        "rejected" => Ok(Verdict::Rejected(row.get("reason")?)),
        _ => Err(damaged(format_args!("{verdict:?} is no verdict"))),
    }
}

fn event_state(row: &Row<'_>) -> rusqlite::Result<Option<EventState>> {
    if row.get::<_, Option<i64>>("state_before")?.is_none() {
        return Ok(None);
    }
    Ok(Some(EventState {
        before: SnapshotId(unsigned(row, "state_before")?),
        after: SnapshotId(unsigned(row, "state_after")?),
    }))
}
