//! Filters: stored ones, and what of a filter we heed.

use comity_core::{messaging::command::Content, transport::matrix_error::MatrixError};
use ruma_common::OwnedUserId;
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, bad_json, forbidden, invalid, not_found},
    request::Request,
    session::Session,
};

/// What of a filter we heed. The rest may only make answers smaller, and is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// How many events of a timeline to give at most.
    pub(super) timeline_limit: Option<u32>,
    /// Whether rooms that were left are part of a first `sync`.
    pub(super) include_leave: bool,
}

impl Filter {
    fn read(filter: &Value) -> Self {
        let limit = filter
            .pointer("/room/timeline/limit")
            .and_then(Value::as_u64);
        let include_leave = filter
            .pointer("/room/include_leave")
            .and_then(Value::as_bool);
        Self {
            timeline_limit: limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            include_leave: include_leave.unwrap_or_default(),
        }
    }
}

pub(super) fn store(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    let filter = Value::Object(request.object()?).to_string();
    let localpart = &session.caller.localpart;
    let id = session
        .api
        .accounts
        .add_filter(localpart, &filter)
        .map_err(errors::from_accounts)?;
    Ok(json!({ "filter_id": id.to_string() }))
}

pub(super) fn show(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    Ok(Value::Object(session.stored_filter(request.parameter(1))?))
}

fn must_be_own(session: &Session<'_>, request: &Request<'_>) -> Result<(), MatrixError> {
    match request.id::<OwnedUserId>(0)? == session.user_id {
        true => Ok(()),
        false => Err(forbidden("filters are private to their user")),
    }
}

impl Session<'_> {
    /// The filter that a query names by its id or holds itself.
    pub(super) fn filter(&self, request: &Request<'_>) -> Result<Filter, MatrixError> {
        let Some(text) = request.query("filter") else {
            return Ok(Filter::default());
        };
        let filter = match text.starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| bad_json(error.to_string()))?,
            false => Value::Object(self.stored_filter(text)?),
        };
        Ok(Filter::read(&filter))
    }

    fn stored_filter(&self, id: &str) -> Result<Content, MatrixError> {
        let id = id.parse().map_err(|_| invalid("there is no such filter"))?;
        let filter = self.api.accounts.filter(&self.caller.localpart, id);
        let filter = filter.map_err(errors::from_accounts)?;
        let filter = filter.ok_or_else(|| not_found("there is no such filter"))?;
        serde_json::from_str(&filter).map_err(|error| bad_json(error.to_string()))
    }
}
