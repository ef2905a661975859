//! How failures of the layers below look to a client.

use std::time::Duration;

use comity_core::{
    messaging::command::CommandError,
    transport::{
        matrix_error::{ErrorCode, MatrixError},
        remote_response::RemoteError,
    },
};
use http::StatusCode;

use crate::accounts::AccountsError;

/// How long a client should wait when there is too much going on.
const BUSY_WAIT: Duration = Duration::from_secs(1);

pub(super) fn from_command(error: CommandError) -> MatrixError {
    let text = error.to_string();
    match error {
        CommandError::Forbidden(_) => MatrixError::new(ErrorCode::Forbidden, text),
        CommandError::NotFound(_) => MatrixError::new(ErrorCode::NotFound, text),
        CommandError::Invalid(_) => MatrixError::new(ErrorCode::BadJson, text),
        CommandError::UnsupportedRoomVersion(_) => {
            MatrixError::new(ErrorCode::UnsupportedRoomVersion, text)
        }
        CommandError::Unreachable(_) => {
            MatrixError::new(ErrorCode::Unknown, text).with_status(StatusCode::BAD_GATEWAY)
        }
        CommandError::NotLetIn(not_let_in) => match not_let_in.last_word() {
            Some(RemoteError::Refused {
                status, errcode, ..
            }) => refused(*status, errcode, &text),
            _ => MatrixError::new(ErrorCode::Unknown, text).with_status(StatusCode::BAD_GATEWAY),
        },
        CommandError::Refused {
            status,
            errcode,
            error,
            ..
        } => refused(status, &errcode, &error),
        CommandError::RoomInPart(_) => MatrixError::new(ErrorCode::UnableDueToPartialState, text)
            .with_status(StatusCode::SERVICE_UNAVAILABLE),
        CommandError::Busy(_) => MatrixError::limit_exceeded(text, BUSY_WAIT),
        CommandError::Stopped(_) => {
            MatrixError::new(ErrorCode::Unknown, text).with_status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Another server's refusal is the client's; its failure is a bad gateway.
fn refused(status: u16, errcode: &str, error: &str) -> MatrixError {
    let known = ErrorCode::ALL.iter().find(|code| code.as_str() == errcode);
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(StatusCode::is_client_error);
    MatrixError::new(known.copied().unwrap_or(ErrorCode::Unknown), error)
        .with_status(status.unwrap_or(StatusCode::BAD_GATEWAY))
}

pub(super) fn from_accounts(error: AccountsError) -> MatrixError {
    tracing::error!(%error, "the node's store failed");
    MatrixError::new(ErrorCode::Unknown, error.to_string())
}

/// The runtime answered something that does not belong to what was asked: a bug.
pub(super) fn unexpected_reply() -> MatrixError {
    tracing::error!("a reply does not belong to its command");
    MatrixError::new(ErrorCode::Unknown, "internal error")
}

pub(super) fn forbidden(text: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Forbidden, text)
}

pub(super) fn not_found(text: &str) -> MatrixError {
    MatrixError::new(ErrorCode::NotFound, text)
}

pub(super) fn bad_json(text: impl Into<String>) -> MatrixError {
    MatrixError::new(ErrorCode::BadJson, text)
}

pub(super) fn invalid(text: impl Into<String>) -> MatrixError {
    MatrixError::new(ErrorCode::InvalidParam, text)
}
