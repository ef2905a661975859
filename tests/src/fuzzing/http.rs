//! Both sides of an HTTP connection.
//!
//! The first byte says in what pieces the rest arrives. However it is cut, the same messages and
//! the same errors must come out.

use bytes::Bytes;
use comity_core::transport::http1::{
    BadRequest, BadResponse, ClientConnection, HttpLimits, ServerConnection, ServerPhase,
};
use http::{Method, Request, Response};

/// Small enough that random bytes reach them.
const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 600,
    body_bytes: 300,
};

/// More messages than fit into the input of any run.
const MESSAGES_MAX: usize = 10_000;

/// A client's bytes.
pub fn http_server(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = requests(bytes, bytes.len());
    for size in [1, usize::from(*size)] {
        let pieces = requests(bytes, size);
        assert_eq!(
            format!("{pieces:?}"),
            format!("{whole:?}"),
            "in pieces of {size}"
        );
    }
    for request in whole.iter().flatten() {
        assert!(request.body().len() <= LIMITS.body_bytes);
    }
}

/// A server's bytes, in answer to a GET or a HEAD.
pub fn http_client(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    for method in [Method::GET, Method::HEAD] {
        let whole = response(&method, bytes, bytes.len());
        for size in [1, usize::from(*size)] {
            let pieces = response(&method, bytes, size);
            assert_eq!(
                format!("{pieces:?}"),
                format!("{whole:?}"),
                "in pieces of {size}"
            );
        }
        if let Ok(Some(response)) = whole {
            assert!(response.body().len() <= LIMITS.body_bytes);
        }
    }
}

/// Everything that a server makes of these bytes, answering each request at once.
fn requests(bytes: &[u8], size: usize) -> Vec<Result<Request<Bytes>, BadRequest>> {
    let mut connection = ServerConnection::new(LIMITS);
    let mut found = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        connection.receive(piece);
        loop {
            match connection.next_request() {
                Ok(None) => break,
                Ok(Some(request)) => found.push(Ok(request)),
                Err(error) => found.push(Err(error)),
            }
            assert!(found.len() < MESSAGES_MAX, "requests without end");
            assert_eq!(connection.phase(), ServerPhase::Answering);
            let answer = connection.respond(&Response::new(Bytes::new()));
            assert!(answer.is_ok(), "a request that cannot be answered");
        }
    }
    if found.last().is_some_and(Result::is_err) {
        assert_eq!(connection.phase(), ServerPhase::Closed);
    }
    found
}

/// What a client makes of these bytes, after which the server closes.
fn response(
    method: &Method,
    bytes: &[u8],
    size: usize,
) -> Result<Option<Response<Bytes>>, BadResponse> {
    let mut connection = ClientConnection::new();
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method.clone();
    request
        .headers_mut()
        .insert("host", http::HeaderValue::from_static("a.example"));
    assert!(connection.send(&request, LIMITS).is_ok());
    for piece in bytes.chunks(size.max(1)) {
        connection.receive(piece);
        if let Some(response) = connection.next_response()? {
            return Ok(Some(response));
        }
    }
    connection.receive_eof();
    connection.next_response()
}
