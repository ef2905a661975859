//! Why a scenario failed, in words that name the request or the expectation.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Everything that can end a scenario early.
#[derive(Debug, Error)]
pub enum Failure {
    /// No HTTP answer: refused, cut off or too late.
    #[error("{request}: no answer: {reason}")]
    Unreachable {
        /// Its method and URL.
        request: String,
        /// What the client says.
        reason: String,
    },
    /// The server answered with a status other than 2xx.
    #[error("{request}: answered {status}: {body}")]
    Refused {
        /// Its method and URL.
        request: String,
        /// The status.
        status: u16,
        /// The Matrix error, or whatever was there instead.
        body: Value,
    },
    /// What should have become true did not, in the time allowed.
    #[error("not within {waited:?}: {expectation}; {instead}")]
    NeverHappened {
        /// What should have become true.
        expectation: String,
        /// How long it had.
        waited: Duration,
        /// How it was in the end.
        instead: String,
    },
    /// Something is true that must not be.
    #[error("{0}")]
    Wrong(String),
    /// A file, a certificate, a process: a scenario's own surroundings.
    #[error("{doing}: {reason}")]
    Surroundings {
        /// What was attempted.
        doing: String,
        /// Why it failed.
        reason: String,
    },
}

impl Failure {
    /// For `map_err`: names what the scenario itself was doing when it could not go on.
    pub fn while_doing<E: std::fmt::Display>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::Surroundings {
            doing,
            reason: error.to_string(),
        }
    }

    /// Whether a server that is being restarted explains this, so that trying again makes sense.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::NeverHappened { .. } | Self::Wrong(_) | Self::Surroundings { .. } => false,
        }
    }
}

/// Fails with `complaint` unless `holds`.
pub fn demand(holds: bool, complaint: impl Into<String>) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Wrong(complaint.into()))
    }
}

/// Fails unless `result` is a refusal with HTTP status `expected`.
pub fn demand_refusal<T>(
    result: Result<T, Failure>,
    expected: u16,
    attempt: &str,
) -> Result<(), Failure> {
    match result {
        Err(Failure::Refused { status, .. }) if status == expected => Ok(()),
        Err(other) => Err(Failure::Wrong(format!(
            "{attempt}: wanted {expected}, but {other}"
        ))),
        Ok(_) => Err(Failure::Wrong(format!(
            "{attempt} was allowed, wanted {expected}"
        ))),
    }
}
