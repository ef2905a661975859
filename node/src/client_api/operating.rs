//! What only the server's operators may do. It is in no specification, so it has a name of its own.

use comity_core::{
    messaging::command::{Command, Reply},
    transport::matrix_error::MatrixError,
};
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, bad_json, forbidden},
    request::{Request, parse_id},
    session::Session,
};

/// Where `retry` is, below the usual prefix.
pub const RETRY: &str = "org.comity/retry";

/// Where `status` is, below the usual prefix.
pub const STATUS: &str = "org.comity/status";

/// How the server stands: [`comity_core::messaging::status::Status`] as JSON.
pub(super) fn status(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    must_operate(session)?;
    match session.command(Command::Status)? {
        Reply::Status(status) => Ok(json!(status)),
        _ => Err(errors::unexpected_reply()),
    }
}

/// Tries again at once the server that the body names as `destination`, or every server, if it was
/// to be left alone for a while. Answers how many were, as `retrying`.
pub(super) fn retry(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_operate(session)?;
    let destination = match request.object()?.get("destination") {
        Some(Value::String(name)) => Some(parse_id(name)?),
        Some(_) => return Err(bad_json("destination is no string")),
        None => None,
    };
    match session.command(Command::Retry(destination))? {
        Reply::Retrying(count) => Ok(json!({ "retrying": count })),
        _ => Err(errors::unexpected_reply()),
    }
}

fn must_operate(session: &Session<'_>) -> Result<(), MatrixError> {
    match session.api.operators.contains(&session.caller.localpart) {
        true => Ok(()),
        false => Err(forbidden("this is for the operators of the server")),
    }
}
