//! A connection from another server, without its IO.

use std::time::{Duration, Instant};

use bytes::Bytes;
use comity_core::transport::{
    http1::{Pace, ServerConnection, ServerPhase},
    matrix_error::MatrixError,
};
use http::{Request, Response, StatusCode, header};

use crate::{Clock, ConnectionLimits, Place};

/// How long a connection is still read from after [`Step::Close`].
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a refusal of what is too much (429) is held back: whoever asks again at once, as a flood
/// does, would otherwise keep us busy with refusing.
const REFUSAL_HELD_BACK: Duration = Duration::from_secs(1);

/// How many bytes are worth reading at once.
pub const READ_BYTES: usize = 16 * 1024;

/// Says what to do next on a connection, with the deadline that applies.
///
/// Do what [`Incoming::next_step`] says until that is [`Step::Close`]. A wait that reaches its
/// deadline ends the connection.
#[derive(Debug)]
pub struct Incoming {
    http: ServerConnection,
    limits: ConnectionLimits,
    place: Place,
    /// What is to be written before anything else.
    unsent: Option<Bytes>,
    /// Until when that has to wait.
    held_back: Option<Instant>,
    clock: Clock,
    pace: Pace,
    peer_closed: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read from the connection by this moment and [`Incoming::receive`] it.
    Read(Instant),
    /// Do nothing until this moment.
    Pause(Instant),
    /// Write all of this by this moment.
    Write(Bytes, Instant),
    /// Answer this with [`Incoming::respond`].
    Answer(Box<Request<Bytes>>),
    /// Send nothing more; read and drop what still comes, until the peer closes or for [`LINGER`],
    /// because bytes that arrive at a closed socket would destroy the last answer on its way.
    Close,
}

impl Incoming {
    /// A connection just accepted, its TLS handshake done.
    #[must_use]
    pub fn new(limits: ConnectionLimits, place: Place) -> Self {
        let http = ServerConnection::new(limits.http);
        Self {
            http,
            limits,
            place,
            unsent: None,
            held_back: None,
            clock: Clock::start(),
            pace: Pace::new(limits.pace),
            peer_closed: false,
        }
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Step {
        if let Some(until) = self.held_back.take() {
            return Step::Pause(until);
        }
        if let Some(bytes) = self.unsent.take() {
            return Step::Write(bytes, Instant::now() + self.limits.response);
        }
        match self.http.next_request() {
            Ok(Some(request)) => {
                self.place.note_busy();
                Step::Answer(request.into())
            }
            Ok(None) => self.wait(),
            Err(bad) => {
                tracing::debug!(%bad, "refused a request");
                self.respond(MatrixError::from(bad).into_response());
                self.next_step()
            }
        }
    }

    /// Takes what was read; nothing means that the peer has closed.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.peer_closed = bytes.is_empty();
        self.http.receive(bytes);
    }

    /// Takes the answer to the request that was handed out last.
    pub fn respond(&mut self, mut response: Response<Bytes>) {
        self.pace.answered();
        if response.status() == StatusCode::TOO_MANY_REQUESTS && !self.place.is_stopping() {
            self.held_back = Some(Instant::now() + REFUSAL_HELD_BACK);
        }
        if self.place.is_stopping() {
            let close = header::HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        match self.http.respond(&response) {
            Ok(bytes) => self.unsent = Some(bytes),
            Err(error) => tracing::error!(%error, "an answer to nothing"),
        }
    }

    fn wait(&mut self) -> Step {
        if self.peer_closed {
            return Step::Close;
        }
        let may_wait = match self.http.phase() {
            ServerPhase::Idle => self.place.note_idle(),
            ServerPhase::Receiving => true,
            ServerPhase::Answering | ServerPhase::Closed => false,
        };
        if !may_wait {
            return Step::Close;
        }
        let due = self.pace.due(&self.http, self.clock.now().monotonic);
        let due = self.clock.instant(due);
        match self.http.take_interim_response() {
            Some(interim) => Step::Write(interim, due),
            None => Step::Read(due),
        }
    }
}
