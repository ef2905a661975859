//! The client's side of a connection.

use bytes::Bytes;
use http::header;
use http::{Method, Request, Response, StatusCode, Version};

use super::body::IncomingBody;
use super::error::FramingError;
use super::gzip::{self, CodingError};
use super::head::{self, DeclaredLength, ResponseHead};
use super::limits::{HttpLimits, INTERIM_RESPONSES_MAX};
use super::receive_buffer::ReceiveBuffer;
use super::write::{self, Persistence};

/// A connection that we opened: one request at a time out, its response in.
///
/// Drive it so: write what [`send`](Self::send) gives; then, until
/// [`next_response`](Self::next_response) yields a response or an error, read from the socket and
/// [`receive`](Self::receive), or [`receive_eof`](Self::receive_eof) when the peer closed. Keep
/// the connection for another request only if it [`is_reusable`](Self::is_reusable).
#[derive(Debug)]
pub struct ClientConnection {
    input: ReceiveBuffer,
    peer: Peer,
    state: State,
}

/// A request cannot be sent on this connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotSend {
    /// A response is still awaited, or the connection has ended.
    #[error("the connection is not free for a request")]
    NotFree,
    /// Neither a `Host` header nor an authority in the URI.
    #[error("the request names no host")]
    NoHost,
}

/// No response can be had from this connection; close it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// The response cannot be read, or is too large.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Its body cannot be unpacked.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// The peer closed before the first byte of a response. On a connection kept from an earlier
    /// request this is how its idle timeout shows: try again on a new one.
    #[error("the connection was closed before a response came")]
    ClosedBeforeResponse,
    /// The peer closed within a response.
    #[error("the connection was closed within the response")]
    ClosedWithinResponse,
    /// Bytes came although nothing was asked.
    #[error("bytes came that answer no request")]
    Unsolicited,
    /// More 1xx responses than [`INTERIM_RESPONSES_MAX`].
    #[error("too many interim responses")]
    TooManyInterimResponses,
    /// The peer switches to a protocol that nobody asked for.
    #[error("the peer switched protocols unasked")]
    SwitchedProtocols,
}

/// Whether the peer may still send bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Open,
    Closed,
}

#[derive(Debug)]
enum State {
    Free,
    Head(Expected),
    Body {
        response: Box<Response<()>>,
        body: IncomingBody,
        persistence: Persistence,
    },
    Closed,
}

/// What is known of a response before it comes.
#[derive(Debug)]
struct Expected {
    method: Method,
    limits: HttpLimits,
    interim_left: u8,
}

impl ClientConnection {
    /// A connection just opened.
    pub fn new() -> Self {
        Self {
            input: ReceiveBuffer::default(),
            peer: Peer::Open,
            state: State::Free,
        }
    }

    /// The bytes of a request, whose response will be read within `limits`.
    ///
    /// The target goes out exactly as in the URI. `Host` is the request's header of that name,
    /// else the URI's authority; the framing headers are ours.
    ///
    /// Errors when the connection is not free or the request names no host.
    pub fn send(
        &mut self,
        request: &Request<Bytes>,
        limits: HttpLimits,
    ) -> Result<Bytes, CannotSend> {
        if !self.is_reusable() {
            return Err(CannotSend::NotFree);
        }
        let authority = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let named = request
            .headers()
            .get(header::HOST)
            .map(|host| host.as_bytes());
        let host = named.or(authority).ok_or(CannotSend::NoHost)?;
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        self.state = State::Head(Expected {
            method: request.method().clone(),
            limits,
            interim_left: INTERIM_RESPONSES_MAX,
        });
        Ok(write::request_bytes(request, target, host))
    }

    /// Takes bytes read from the socket.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.state {
            State::Free | State::Head(_) | State::Body { .. } => self.input.extend(bytes),
            State::Closed => {}
        }
    }

    /// Notes that the peer will send no more.
    pub fn receive_eof(&mut self) {
        self.peer = Peer::Closed;
    }

    /// The response, once it is complete. Interim (1xx) responses are skipped.
    ///
    /// Errors when none can be had any more; the connection is then of no further use.
    pub fn next_response(&mut self) -> Result<Option<Response<Bytes>>, BadResponse> {
        self.advance().inspect_err(|_| {
            self.input.clear();
            self.state = State::Closed;
        })
    }

    /// Whether another request can be sent: the last response is complete, both sides agreed to
    /// keep the connection, and nothing unasked has come.
    pub fn is_reusable(&self) -> bool {
        match &self.state {
            State::Free => self.peer == Peer::Open && self.input.is_empty(),
            State::Head(_) | State::Body { .. } | State::Closed => false,
        }
    }

    fn advance(&mut self) -> Result<Option<Response<Bytes>>, BadResponse> {
        while let State::Head(expected) = &mut self.state {
            match head::take(&mut self.input, expected.limits.head_bytes)? {
                None => return self.closed_early(),
                Some(bytes) => {
                    if let Some(body) = expected.begin(head::parse_response(&bytes)?)? {
                        self.state = body;
                    }
                }
            }
        }
        match &mut self.state {
            State::Free if self.input.is_empty() => Ok(None),
            State::Free => Err(BadResponse::Unsolicited),
            State::Closed | State::Head(_) => Ok(None),
            State::Body {
                response,
                body,
                persistence,
            } => {
                let at_end = body.read(&mut self.input)?
                    || (self.peer == Peer::Closed && body.ends_with_connection());
                if !at_end {
                    return self.closed_early();
                }
                let (mut head, ()) = std::mem::take(&mut **response).into_parts();
                let body = gzip::unpack(&mut head.headers, body.take(), body.bytes_max())?;
                let response = Response::from_parts(head, body);
                self.state = match persistence {
                    Persistence::KeepAlive => State::Free,
                    Persistence::Close => State::Closed,
                };
                Ok(Some(response))
            }
        }
    }

    /// An incomplete response: nothing yet, or an error if no more can come.
    fn closed_early(&self) -> Result<Option<Response<Bytes>>, BadResponse> {
        match (self.peer, &self.state) {
            (Peer::Open, _) => Ok(None),
            (Peer::Closed, State::Head(expected)) if expected.is_untouched(&self.input) => {
                Err(BadResponse::ClosedBeforeResponse)
            }
            (Peer::Closed, _) => Err(BadResponse::ClosedWithinResponse),
        }
    }
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self::new()
    }
}

impl Expected {
    /// Whether not a byte of a response has come.
    fn is_untouched(&self, input: &ReceiveBuffer) -> bool {
        self.interim_left == INTERIM_RESPONSES_MAX && input.is_empty()
    }

    /// Judges a head and says how to read on; `None` after an interim response.
    fn begin(&mut self, head: ResponseHead) -> Result<Option<State>, BadResponse> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(BadResponse::SwitchedProtocols);
        }
        if head.status.is_informational() {
            let left = self.interim_left.checked_sub(1);
            self.interim_left = left.ok_or(BadResponse::TooManyInterimResponses)?;
            return Ok(None);
        }
        let body = self.body(&head)?;
        let closes = body.ends_with_connection()
            || head.version == Version::HTTP_10
            || head::says_close(&head.headers);
        let persistence = if closes {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        };
        let mut response = Box::new(Response::new(()));
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        Ok(Some(State::Body {
            response,
            body,
            persistence,
        }))
    }

    fn body(&self, head: &ResponseHead) -> Result<IncomingBody, FramingError> {
        let bytes_max = self.limits.body_bytes;
        let length = head::declared_length(head.version, &head.headers)?;
        if self.method == Method::HEAD || write::is_bodiless(head.status) {
            return IncomingBody::with_length(0, bytes_max);
        }
        match length {
            DeclaredLength::Unstated => Ok(IncomingBody::until_close(bytes_max)),
            DeclaredLength::Bytes(length) => IncomingBody::with_length(length, bytes_max),
            DeclaredLength::Chunked => Ok(IncomingBody::chunked(bytes_max)),
        }
    }
}

#[cfg(test)]
mod tests;
