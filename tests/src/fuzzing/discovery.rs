//! What is found out about where servers are.

use bytes::Bytes;
use comity_core::{
    Call,
    input::CallError,
    messaging::command::Command,
    transport::{
        dns,
        http1::{ClientConnection, HttpLimits},
        names::Records,
    },
};
use http::Response;

use super::actors::{setup, truthful};

/// The pages that stand for `/.well-known/matrix/server` and where it leads to, as the bytes of
/// HTTP responses with zero bytes between them.
///
/// Wherever they lead, it is to a bounded number of pages, and over HTTPS to no private address.
pub fn well_known(bytes: &[u8]) {
    const PAGES_MAX: usize = 20;
    let mut server = setup().server();
    let mut pages = bytes.split(|byte| *byte == 0);
    let mut fetched = 0;
    let mut outside = |call: &Call| {
        for address in &call.address.addresses {
            let std::net::IpAddr::V4(ip) = address.ip() else {
                continue;
            };
            assert!(!ip.is_private() && !ip.is_loopback() && !ip.is_link_local());
        }
        if call.request.uri().path().starts_with("/_matrix/") {
            return truthful(call);
        }
        fetched += 1;
        page(call, pages.next().unwrap_or_default())
    };
    let alias = "#a:b.example".try_into().expect("an alias");
    let found = server.command(Command::ResolveAlias(alias), &mut outside);
    assert!(found.is_err(), "nobody has it");
    assert!(fetched <= PAGES_MAX, "{fetched} pages");
}

/// What a runtime makes of the bytes of a response.
fn page(call: &Call, bytes: &[u8]) -> Result<Response<Bytes>, CallError> {
    let bad = |error: &dyn std::fmt::Display| CallError::BadResponse(error.to_string());
    let mut connection = ClientConnection::new();
    let limits = HttpLimits {
        body_bytes: call.response_limit,
        ..HttpLimits::default()
    };
    connection
        .send(&call.request, limits)
        .map_err(|error| bad(&error))?;
    connection.receive(bytes);
    connection.receive_eof();
    let response = connection.next_response().map_err(|error| bad(&error))?;
    response.ok_or_else(|| bad(&"cut"))
}

/// A name server's answer. The first byte says how much of the question precedes it.
pub fn dns(bytes: &[u8]) {
    const NAME: &str = "_matrix-fed._tcp.a.example";
    const ID: u16 = 0x1234;
    let Some((copied, bytes)) = bytes.split_first() else {
        return;
    };
    let question = dns::question(ID, NAME).expect("a name");
    let copied = usize::from(*copied).min(question.len());
    let answer = [question.get(..copied).unwrap_or_default(), bytes].concat();
    for id in [ID, ID + 1] {
        let Ok(found) = dns::answer(id, NAME, &answer) else {
            continue;
        };
        assert!(
            answer.starts_with(&id.to_be_bytes()),
            "it answers another question"
        );
        let Records::Services(services) = found.records else {
            panic!("services were asked for");
        };
        assert!(services.len() <= 64);
        assert!(services.iter().all(|service| service.target.len() <= 255));
    }
}
