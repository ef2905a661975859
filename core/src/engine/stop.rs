//! Why a part of a decision came to no value.

use super::{facts::Blocked, outcome::Outcome};
use crate::{messaging::command::CommandError, transport::matrix_error::MatrixError};

/// Ends a decision early, by `?`: because a fact is missing, or because the answer is no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// A fact is missing: ask again when it is there.
    Blocked,
    /// With these facts the answer is no.
    Refused(E),
}

impl<E> From<Blocked> for Stop<E> {
    fn from(_: Blocked) -> Self {
        Self::Blocked
    }
}

impl From<MatrixError> for Stop<MatrixError> {
    fn from(error: MatrixError) -> Self {
        Self::Refused(error)
    }
}

impl From<CommandError> for Stop<CommandError> {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

/// The end of a decision that answers a request: a refusal is an answer too.
pub fn for_request(decided: Result<Outcome, Stop<MatrixError>>) -> Result<Outcome, Blocked> {
    match decided {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(error)) => Ok(Outcome::respond(error.into_response())),
        Err(Stop::Blocked) => Err(Blocked),
    }
}

/// The end of a decision that carries out a command: a refusal is an answer too.
pub fn for_command(decided: Result<Outcome, Stop<CommandError>>) -> Result<Outcome, Blocked> {
    match decided {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(error)) => Ok(Outcome::complete(Err(error))),
        Err(Stop::Blocked) => Err(Blocked),
    }
}
