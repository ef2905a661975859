//! Requests that a remote makes, signed before the clock starts.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::input::CallId;
use comity_core::keys::OwnKeys;
use comity_core::pdu::Pdu;
use comity_core::transport::client::sign;
use comity_core::transport::remote_request::{Endpoint, RemoteRequest};
use http::{HeaderValue, Request, header};
use ruma_common::{OwnedEventId, OwnedServerName};

use super::clock;
use crate::homeservers::failure::Failure;

/// How many events a transaction may have (server-server API, "Transactions").
pub const EVENTS_MAX: usize = 50;

/// A transaction, ready to be sent.
pub struct Transaction {
    /// The request.
    pub request: Request<Bytes>,
    /// The last event in it.
    pub last: OwnedEventId,
}

/// Puts events into transactions, as many into each as may be.
pub fn pack(
    own: &OwnKeys,
    destination: &OwnedServerName,
    events: &[Arc<Pdu>],
) -> Result<Vec<Transaction>, Failure> {
    let pack_one = |(number, events): (usize, &[Arc<Pdu>])| {
        let last = events.last().map(|event| event.event_id().to_owned());
        let name = last.as_ref().map_or("", |last| last.as_str());
        let endpoint = Endpoint::SendTransaction {
            transaction_id: format!("{number}{name}").into(),
            body: body(own, events).into(),
        };
        let request = request(own, destination, endpoint)?;
        Ok(last.map(|last| Transaction { request, last }))
    };
    let packed = events.chunks(EVENTS_MAX).enumerate().map(pack_one);
    packed.filter_map(Result::transpose).collect()
}

/// Signs any request.
pub fn request(
    own: &OwnKeys,
    destination: &OwnedServerName,
    endpoint: Endpoint,
) -> Result<Request<Bytes>, Failure> {
    let request = RemoteRequest {
        destination: destination.clone(),
        endpoint,
    };
    let host = HeaderValue::from_str(destination.as_str())
        .map_err(Failure::while_doing("naming the server under test"))?;
    let signed = sign(own, CallId(0), &request, clock::now())
        .map_err(Failure::while_doing("signing a request"))?;
    let mut request = signed.request;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

fn body(own: &OwnKeys, events: &[Arc<Pdu>]) -> String {
    let events: Vec<&str> = events.iter().map(|event| event.json()).collect();
    format!(
        r#"{{"edus":[],"origin":"{}","origin_server_ts":{},"pdus":[{}]}}"#,
        own.server_name(),
        clock::now().wall.0,
        events.join(",")
    )
}
