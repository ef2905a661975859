//! Both sides of an HTTP connection, beside another implementation of the same framing.
//!
//! **Promise.** Whatever message we take, `hyper` takes too, in the same place, with the same head
//! and the same body: two readers of one connection, such as we and a proxy before us, never see
//! different messages. We may refuse what `hyper` takes; that is how smuggling is prevented.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use comity_core::transport::http1::{ClientConnection, HttpLimits, ServerConnection};
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;

/// More bytes than any input has, so that only framing refuses a message.
const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 100_000,
    body_bytes: 100_000,
};

/// How often a future is asked before it is taken to wait for more than it will get.
const POLLS_MAX: usize = 10_000;

/// A client's bytes, and then a server's: the first byte says which.
pub fn http_beside_hyper(bytes: &[u8]) {
    // Unpacking, which `hyper` leaves to others, is not what is compared.
    let codings = bytes.to_ascii_lowercase();
    if codings.windows(16).any(|word| word == b"content-encoding") {
        return;
    }
    match bytes.split_first() {
        Some((side, bytes)) if side % 2 == 0 => compare_requests(bytes),
        Some((_, bytes)) => compare_responses(bytes),
        None => {}
    }
}

/// What both sides of a comparison saw of a message.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    start: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Seen {
    fn request(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            start: format!("{} {} {:?}", head.method, head.uri, head.version),
            headers: headers(&head.headers),
            body,
        }
    }

    fn response(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            start: format!("{} {:?}", head.status, head.version),
            headers: headers(&head.headers),
            body,
        }
    }
}

fn headers(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let pairs = map.iter();
    let mut pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    // Of one name the order counts, and a stable sort keeps it.
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}

fn compare_requests(bytes: &[u8]) {
    let ours = our_requests(bytes);
    if ours.is_empty() {
        return;
    }
    let theirs = their_requests(bytes);
    for (place, request) in ours.iter().enumerate() {
        assert_eq!(
            Some(request),
            theirs.get(place),
            "request {place} of {:?}",
            Bytes::copy_from_slice(bytes)
        );
    }
}

/// The requests that we take before we refuse one, or one opens a tunnel, which is no message.
fn our_requests(bytes: &[u8]) -> Vec<Seen> {
    let mut connection = ServerConnection::new(LIMITS);
    connection.receive(bytes);
    let mut seen = Vec::new();
    while let Ok(Some(request)) = connection.next_request() {
        if request.method() == Method::CONNECT {
            break;
        }
        seen.push(Seen::request(request));
        if connection.respond(&Response::new(Bytes::new())).is_err() {
            break;
        }
    }
    seen
}

fn their_requests(bytes: &[u8]) -> Vec<Seen> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = Seen::request(Request::from_parts(head, body));
            if let Ok(mut seen) = seen.lock() {
                seen.push(request);
            }
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(Script::client(bytes), service);
    let _ = finish(connection);
    let mut seen = seen.lock().expect("nothing panicked");
    std::mem::take(&mut *seen)
}

fn compare_responses(bytes: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        if let Some(ours) = our_response(&method, bytes) {
            assert_eq!(
                Some(ours),
                their_response(&method, bytes),
                "to {method}: {:?}",
                Bytes::copy_from_slice(bytes)
            );
        }
    }
}

/// The response that we take from a server that then closes. If it says more than that, `hyper`
/// may throw away the response too, while we only give up the connection.
fn our_response(method: &Method, bytes: &[u8]) -> Option<Seen> {
    let mut connection = ClientConnection::new();
    connection.send(&question(method), LIMITS).ok()?;
    connection.receive(bytes);
    connection.receive_eof();
    let response = connection.next_response().ok()?;
    connection.next_response().ok()?;
    response.map(Seen::response)
}

fn their_response(method: &Method, bytes: &[u8]) -> Option<Seen> {
    let handshake = hyper::client::conn::http1::handshake(Script::server(bytes));
    let (mut sender, connection) = finish(handshake)?.ok()?;
    let answer = Box::pin(async move {
        let question = question(method).map(|_| Empty::<Bytes>::new());
        let (head, body) = sender.send_request(question).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::from_parts(head, body))
    });
    let answer = finish(Beside {
        answer,
        connection: Box::pin(connection),
        has_ended: false,
    })?;
    answer.ok().map(Seen::response)
}

fn question(method: &Method) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method.clone();
    let host = header::HeaderValue::from_static("a.example");
    request.headers_mut().insert(header::HOST, host);
    request
}

/// An answer, and the connection on which it comes and which has to be driven too.
struct Beside<A, C> {
    answer: Pin<Box<A>>,
    connection: Pin<Box<C>>,
    has_ended: bool,
}

impl<A: Future, C: Future> Future for Beside<A, C> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.answer.as_mut().poll(context);
        if answer.is_pending() && !self.has_ended {
            self.has_ended = self.connection.as_mut().poll(context).is_ready();
        }
        answer
    }
}

/// What a future comes to, if it comes to anything without waiting.
fn finish<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..POLLS_MAX).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// A peer that says all it has to say at once, closes, and reads whatever comes.
struct Script {
    says: std::io::Cursor<Vec<u8>>,
    /// A server says nothing before it was asked.
    waits: bool,
}

impl Script {
    fn client(bytes: &[u8]) -> Self {
        Self {
            says: std::io::Cursor::new(bytes.to_vec()),
            waits: false,
        }
    }

    fn server(bytes: &[u8]) -> Self {
        Self {
            waits: true,
            ..Self::client(bytes)
        }
    }
}

impl Read for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        let mut piece = vec![0; buffer.remaining()];
        let count = std::io::Read::read(&mut self.says, &mut piece)?;
        buffer.put_slice(&piece[..count]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.waits = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
