//! The names of the simulated world: each server is where its name says, and nobody delegates.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use comity_core::{
    Call,
    transport::names::{Found, Lookup, Records},
};
use http::{Response, StatusCode};

/// The name of the identity server, which signs only what is so.
pub(super) const IDENTITY_SERVER: &str = "id.example";

/// What is known of a name. The network delivers by name, so all have the same address.
pub(super) fn look_up(lookup: &Lookup) -> Found {
    let records = match lookup {
        Lookup::Addresses(_) => Records::Addresses(vec![Ipv4Addr::new(1, 1, 1, 1).into()]),
        Lookup::Services(_) => Records::Services(Vec::new()),
    };
    Found {
        records,
        good_for: Duration::from_secs(60 * 60),
    }
}

/// Whether a call asks to whom a server delegates.
pub(super) fn is_delegation(call: &Call) -> bool {
    call.request.uri().path() == "/.well-known/matrix/server"
}

/// The answer that it delegates to nobody.
pub(super) fn no_delegation() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
