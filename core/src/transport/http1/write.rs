//! Writing heads and bodies.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request, Response, StatusCode};

/// Whether the connection lives on after the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    KeepAlive,
    Close,
}

/// Whether a response's body goes on the wire; a response to HEAD only tells its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseBody {
    Sent,
    Withheld,
}

/// The bytes of a response.
pub(super) fn response_bytes(
    response: &Response<Bytes>,
    body: ResponseBody,
    persistence: Persistence,
) -> Bytes {
    let (status, content) = (response.status(), response.body());
    let mut out = BytesMut::with_capacity(content.len().saturating_add(256));
    put_all(&mut out, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" "]);
    put_all(
        &mut out,
        &[
            status.canonical_reason().unwrap_or_default().as_bytes(),
            b"\r\n",
        ],
    );
    put_headers(&mut out, response.headers(), &FRAMING_HEADERS);
    if persistence == Persistence::Close {
        out.put_slice(b"connection: close\r\n");
    }
    if !is_bodiless(status) {
        put_content_length(&mut out, content.len());
    }
    out.put_slice(b"\r\n");
    if body == ResponseBody::Sent && !is_bodiless(status) {
        out.put_slice(content);
    }
    out.freeze()
}

/// The bytes of a request for `target` on `host`.
pub(super) fn request_bytes(request: &Request<Bytes>, target: &str, host: &[u8]) -> Bytes {
    let content = request.body();
    let mut out = BytesMut::with_capacity(content.len().saturating_add(512));
    put_all(
        &mut out,
        &[
            request.method().as_str().as_bytes(),
            b" ",
            target.as_bytes(),
        ],
    );
    put_all(&mut out, &[b" HTTP/1.1\r\nhost: ", host, b"\r\n"]);
    let skipped = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ];
    put_headers(&mut out, request.headers(), &skipped);
    if !content.is_empty() || expects_content(request.method()) {
        put_content_length(&mut out, content.len());
    }
    out.put_slice(b"\r\n");
    out.put_slice(content);
    out.freeze()
}

/// Whether a response of this status never has a body.
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// The headers that this module alone decides.
const FRAMING_HEADERS: [HeaderName; 3] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// Methods whose lack of a body has to be said (RFC 9110, 8.6).
fn expects_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn put_headers(out: &mut BytesMut, headers: &HeaderMap, skipped: &[HeaderName]) {
    for (name, value) in headers.iter().filter(|(name, _)| !skipped.contains(name)) {
        put_all(
            out,
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"],
        );
    }
}

fn put_content_length(out: &mut BytesMut, length: usize) {
    put_all(
        out,
        &[b"content-length: ", length.to_string().as_bytes(), b"\r\n"],
    );
}

fn put_all(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.put_slice(part);
    }
}
