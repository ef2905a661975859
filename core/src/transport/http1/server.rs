//! The server's side of a connection.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version};

use super::body::IncomingBody;
use super::error::FramingError;
use super::gzip::{self, CodingError};
use super::head::{self, DeclaredLength, RequestHead};
use super::limits::HttpLimits;
use super::receive_buffer::ReceiveBuffer;
use super::write::{self, Persistence, ResponseBody};

/// A connection that a client opened: request bytes in, response bytes out.
///
/// Drive it so:
/// 1. Read from the socket and [`receive`](Self::receive) while [`phase`](Self::phase) is
///    [`Idle`](ServerPhase::Idle) or [`Receiving`](ServerPhase::Receiving).
/// 2. Call [`next_request`](Self::next_request). If it yields nothing, write what
///    [`take_interim_response`](Self::take_interim_response) gives and go to 1. If it yields a
///    request or an error, answer with [`respond`](Self::respond) and write the bytes.
/// 3. Go to 2, as the next request may already be here (pipelining: one request is yielded at a
///    time, so answers leave in order), until the phase is [`Closed`](ServerPhase::Closed). Then
///    close the sending side, and read and discard for a moment before closing entirely: bytes
///    still arriving on a closed socket would destroy the last answer on its way.
#[derive(Debug)]
pub struct ServerConnection {
    limits: HttpLimits,
    input: ReceiveBuffer,
    state: State,
}

/// What a server connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPhase {
    /// The first byte of a request.
    Idle,
    /// The rest of a request.
    Receiving,
    /// The answer to the request that was yielded, or to the error.
    Answering,
    /// Nothing; the connection is to be closed once all bytes are written.
    Closed,
}

/// The client's bytes are no request that this server reads. Answer it (see
/// [`MatrixError`](crate::transport::matrix_error::MatrixError), into which it converts) with
/// [`ServerConnection::respond`]; the connection then closes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The message cannot be read, or is too large.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Its body cannot be unpacked.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// Not exactly one `Host` header (none is tolerated in HTTP/1.0).
    #[error("there must be exactly one Host header")]
    Host,
    /// The target is not a path with an optional query (origin-form).
    #[error("the request target is not a path")]
    Target,
    /// An `Expect` other than `100-continue`.
    #[error("unsupported expectation")]
    Expectation,
}

/// [`ServerConnection::respond`] was called with no request waiting for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no request is waiting for an answer")]
pub struct NoRequestToAnswer;

#[derive(Debug)]
enum State {
    Head,
    Body {
        request: Box<Request<()>>,
        body: IncomingBody,
        answer: Answer,
        interim: Interim,
    },
    Answering(Answer),
    Closed,
}

/// How the answer is to be sent.
#[derive(Debug, Clone, Copy)]
struct Answer {
    body: ResponseBody,
    persistence: Persistence,
    packing: Packing,
}

/// Whether an answer may have the gzip coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Accepted,
    NotAccepted,
}

/// Whether the client waits for `100 Continue` before it sends the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interim {
    Due,
    NotDue,
}

impl ServerConnection {
    /// A connection just accepted.
    pub fn new(limits: HttpLimits) -> Self {
        Self {
            limits,
            input: ReceiveBuffer::default(),
            state: State::Head,
        }
    }

    /// Takes bytes read from the socket. They are kept until they are needed, so read only in the
    /// phases [`Idle`](ServerPhase::Idle) and [`Receiving`](ServerPhase::Receiving); after the
    /// connection has closed they are dropped.
    pub fn receive(&mut self, bytes: &[u8]) {
        match &self.state {
            State::Head
            | State::Body { .. }
            | State::Answering(Answer {
                persistence: Persistence::KeepAlive,
                ..
            }) => {
                self.input.extend(bytes);
            }
            State::Answering(Answer {
                persistence: Persistence::Close,
                ..
            })
            | State::Closed => {}
        }
    }

    /// The next complete request, if it has come and the one before is answered.
    ///
    /// Its URI is the request target exactly as sent, as request signatures cover it raw.
    /// Errors when the client's bytes are no acceptable request; the error too must be answered
    /// with [`respond`](Self::respond).
    pub fn next_request(&mut self) -> Result<Option<Request<Bytes>>, BadRequest> {
        self.advance().inspect_err(|_| {
            self.input.clear();
            self.state = State::Answering(Answer {
                body: ResponseBody::Sent,
                persistence: Persistence::Close,
                packing: Packing::NotAccepted,
            });
        })
    }

    /// Bytes to write before waiting for more of the request: `100 Continue`, once, if the client
    /// asked for it and has not sent any of the body.
    pub fn take_interim_response(&mut self) -> Option<Bytes> {
        match &mut self.state {
            State::Body {
                interim: interim @ Interim::Due,
                ..
            } => {
                *interim = Interim::NotDue;
                Some(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"))
            }
            State::Body { .. } | State::Head | State::Answering(_) | State::Closed => None,
        }
    }

    /// The bytes that answer the request last yielded. A `Connection: close` among the response's
    /// headers closes the connection; its framing headers are replaced by `Content-Length`.
    ///
    /// Errors when no request is waiting for an answer.
    pub fn respond(&mut self, response: &Response<Bytes>) -> Result<Bytes, NoRequestToAnswer> {
        let State::Answering(mut answer) = self.state else {
            return Err(NoRequestToAnswer);
        };
        if head::says_close(response.headers()) {
            answer.persistence = Persistence::Close;
        }
        self.state = match answer.persistence {
            Persistence::KeepAlive => State::Head,
            Persistence::Close => State::Closed,
        };
        let packed = match answer.packing {
            Packing::Accepted => gzip::pack(response),
            Packing::NotAccepted => None,
        };
        Ok(write::response_bytes(
            packed.as_ref().unwrap_or(response),
            answer.body,
            answer.persistence,
        ))
    }

    /// What the connection is waiting for: which deadline applies, whether to read, whether to
    /// close.
    pub fn phase(&self) -> ServerPhase {
        match &self.state {
            State::Head if self.input.is_empty() => ServerPhase::Idle,
            State::Head | State::Body { .. } => ServerPhase::Receiving,
            State::Answering(_) => ServerPhase::Answering,
            State::Closed => ServerPhase::Closed,
        }
    }

    /// How many bytes of a body have come; `None` while no body is being received.
    pub fn body_received(&self) -> Option<usize> {
        match &self.state {
            State::Body { body, .. } => Some(body.len()),
            State::Head | State::Answering(_) | State::Closed => None,
        }
    }

    fn advance(&mut self) -> Result<Option<Request<Bytes>>, BadRequest> {
        if let State::Head = self.state {
            self.input.skip_empty_lines();
            match head::take(&mut self.input, self.limits.head_bytes)? {
                None => return Ok(None),
                Some(bytes) => self.state = begin(head::parse_request(&bytes)?, &self.limits)?,
            }
        }
        let State::Body {
            request,
            body,
            answer,
            interim,
        } = &mut self.state
        else {
            return Ok(None);
        };
        if !self.input.is_empty() {
            *interim = Interim::NotDue;
        }
        if !body.read(&mut self.input)? {
            return Ok(None);
        }
        let (mut head, ()) = std::mem::take(&mut **request).into_parts();
        let body = gzip::unpack(&mut head.headers, body.take(), body.bytes_max())?;
        let request = Request::from_parts(head, body);
        self.state = State::Answering(*answer);
        Ok(Some(request))
    }
}

/// Judges a request's head and says how to read on.
fn begin(head: RequestHead, limits: &HttpLimits) -> Result<State, BadRequest> {
    check_host(head.version, &head.headers)?;
    let uri = origin_form(head.target)?;
    let length = head::declared_length(head.version, &head.headers)?;
    let interim = expectation(head.version, &head.headers, length)?;
    let body = match length {
        DeclaredLength::Unstated => IncomingBody::with_length(0, limits.body_bytes)?,
        DeclaredLength::Bytes(length) => IncomingBody::with_length(length, limits.body_bytes)?,
        DeclaredLength::Chunked => IncomingBody::chunked(limits.body_bytes),
    };
    let answer = Answer {
        body: if head.method == Method::HEAD {
            ResponseBody::Withheld
        } else {
            ResponseBody::Sent
        },
        persistence: if head.version == Version::HTTP_10 || head::says_close(&head.headers) {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        },
        packing: match gzip::is_accepted(&head.headers) {
            true => Packing::Accepted,
            false => Packing::NotAccepted,
        },
    };
    let mut request = Box::new(Request::new(()));
    *request.method_mut() = head.method;
    *request.uri_mut() = uri;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    Ok(State::Body {
        request,
        body,
        answer,
        interim,
    })
}

fn check_host(version: Version, headers: &HeaderMap) -> Result<(), BadRequest> {
    match (headers.get_all(header::HOST).iter().count(), version) {
        (1, _) | (0, Version::HTTP_10) => Ok(()),
        (_, _) => Err(BadRequest::Host),
    }
}

/// The target as a URI that gives back the same bytes. A fragment has no place in a target, and
/// the URI type would drop it silently.
fn origin_form(target: Bytes) -> Result<Uri, BadRequest> {
    if !target.starts_with(b"/") {
        return Err(BadRequest::Target);
    }
    let path = PathAndQuery::from_maybe_shared(target.clone()).map_err(|_| BadRequest::Target)?;
    if path.as_str().as_bytes() != target {
        return Err(BadRequest::Target);
    }
    Ok(Uri::from(path))
}

fn expectation(
    version: Version,
    headers: &HeaderMap,
    length: DeclaredLength,
) -> Result<Interim, BadRequest> {
    if version == Version::HTTP_10 || !headers.contains_key(header::EXPECT) {
        return Ok(Interim::NotDue);
    }
    let continues = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(header::EXPECT).iter().all(continues) {
        return Err(BadRequest::Expectation);
    }
    match length {
        DeclaredLength::Unstated | DeclaredLength::Bytes(0) => Ok(Interim::NotDue),
        DeclaredLength::Bytes(_) | DeclaredLength::Chunked => Ok(Interim::Due),
    }
}

#[cfg(test)]
mod tests;
