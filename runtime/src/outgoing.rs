//! What every way of sending our requests has in common.

use std::io;

use comity_core::{
    action::Call,
    input::CallError,
    transport::{
        http1::{BadResponse, CannotSend, HttpLimits},
        server_address::{Host, ServerAddress},
    },
};
use rustls::pki_types::ServerName;

/// Whom the certificate must be for.
///
/// Errors when the name is none that a certificate can hold.
pub fn certified_name(address: &ServerAddress) -> Result<ServerName<'static>, CallError> {
    match &address.tls_name {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|error| CallError::Tls(format!("{name}: {error}"))),
    }
}

/// How large the response to a call may be.
#[must_use]
pub fn response_limits(call: &Call) -> HttpLimits {
    HttpLimits {
        body_bytes: call.response_limit,
        ..HttpLimits::default()
    }
}

/// What a failed read, write or handshake is to the core.
#[must_use]
pub fn io_failed(error: &io::Error) -> CallError {
    let is_tls = error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>());
    match error.kind() {
        io::ErrorKind::TimedOut => CallError::TimedOut,
        _ if is_tls => CallError::Tls(error.to_string()),
        _ => CallError::Connect(error.to_string()),
    }
}

/// What a request that could not be sent is to the core.
#[must_use]
pub fn not_sent(error: CannotSend) -> CallError {
    CallError::Connect(error.to_string())
}

/// What a response that cannot be read is to the core.
#[must_use]
pub fn bad_response(error: BadResponse) -> CallError {
    match error {
        BadResponse::ClosedBeforeResponse | BadResponse::ClosedWithinResponse => {
            CallError::Connect(error.to_string())
        }
        BadResponse::Framing(_)
        | BadResponse::Coding(_)
        | BadResponse::Unsolicited
        | BadResponse::TooManyInterimResponses
        | BadResponse::SwitchedProtocols => CallError::BadResponse(error.to_string()),
    }
}
