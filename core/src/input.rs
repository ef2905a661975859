//! What goes into the core.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    engine::compute::ComputationResult,
    messaging::{command::Command, notice::Told},
    persistence::queries::{Answer, StoreError},
    transport::names::{Found, LookupError},
};

/// Names a request that another server sent us; chosen by the runtime, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// Names a request that we send; chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Names a question to the domain name system; chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LookupId(pub u64);

/// Names a query; chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId(pub u64);

/// Names a computation; chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ComputationId(pub u64);

/// Names a command; chosen by the runtime, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u64);

/// Names a question to the application; chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuestionId(pub u64);

/// Something that happened outside and that the core must know.
#[derive(Debug)]
pub enum Input {
    /// A whole HTTP request arrived. Its target must be exactly what was on the wire, because
    /// the request's signature covers it.
    Request(RequestId, http::Request<Bytes>),
    /// A request of ours was answered, or was not.
    Response(CallId, Result<http::Response<Bytes>, CallError>),
    /// A name was looked up, or could not be.
    Found(LookupId, Result<Found, LookupError>),
    /// The store answered.
    Answer(QueryId, Result<Answer, StoreError>),
    /// A computation is done.
    Computed(ComputationId, ComputationResult),
    /// The application wants something.
    Command(CommandId, Command),
    /// The application answered a question.
    Told(QuestionId, Told),
    /// Nothing but time has passed.
    Tick,
}

impl Input {
    /// What happened, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request(..) => "request",
            Self::Response(..) => "response",
            Self::Found(..) => "found",
            Self::Answer(..) => "answer",
            Self::Computed(..) => "computed",
            Self::Command(..) => "command",
            Self::Told(..) => "told",
            Self::Tick => "tick",
        }
    }
}

/// Why a request of ours got no HTTP response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CallError {
    /// It cannot be found out where the server is.
    #[error("cannot find the server: {0}")]
    Resolve(String),
    /// No connection, or it broke before an answer came.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The certificate or the TLS handshake was not acceptable.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// What came back was no acceptable HTTP.
    #[error("bad response: {0}")]
    BadResponse(String),
    /// The deadline passed first.
    #[error("timed out")]
    TimedOut,
}
