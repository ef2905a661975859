//! How long a client may take to send a request.
//!
//! A client that sends a byte now and then would hold its connection for ever (“slow loris”). So
//! a head must be complete within a fixed time, and a body must come at a fair pace: its time grows
//! only with what has come of it.

use std::time::Duration;

use super::{HttpLimits, ServerConnection, ServerPhase};
use crate::time::Monotonic;

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimits {
    /// Without a request.
    pub idle: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From the end of the head to the end of the body, beside the time for what has come of it.
    pub body: Duration,
    /// How fast a body must come, on the whole.
    pub body_bytes_per_second: u32,
}

impl Default for PaceLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(120),
            head: Duration::from_secs(20),
            body: Duration::from_secs(20),
            body_bytes_per_second: 32 * 1024,
        }
    }
}

impl PaceLimits {
    /// The longest that a body of `limits` may take.
    #[must_use]
    pub fn longest_body(&self, limits: HttpLimits) -> Duration {
        self.body + self.time_for(limits.body_bytes)
    }

    fn time_for(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let millis = bytes.saturating_mul(1000) / u64::from(self.body_bytes_per_second.max(1));
        Duration::from_millis(millis)
    }
}

/// Says by when more must come on a connection.
#[derive(Debug)]
pub struct Pace {
    limits: PaceLimits,
    part: Part,
}

/// Which part of a request is awaited, and since when.
#[derive(Clone, Copy, Debug)]
enum Part {
    Nothing,
    Head { since: Monotonic },
    Body { since: Monotonic },
}

impl Pace {
    /// For a connection just accepted.
    #[must_use]
    pub fn new(limits: PaceLimits) -> Self {
        Self {
            limits,
            part: Part::Nothing,
        }
    }

    /// By when more must come of what the connection is waiting for, or it is to be closed. Ask
    /// before each wait.
    pub fn due(&mut self, connection: &ServerConnection, now: Monotonic) -> Monotonic {
        match (connection.phase(), connection.body_received(), self.part) {
            (ServerPhase::Receiving, None, Part::Head { since }) => since.plus(self.limits.head),
            (ServerPhase::Receiving, None, Part::Nothing | Part::Body { .. }) => {
                self.part = Part::Head { since: now };
                now.plus(self.limits.head)
            }
            (ServerPhase::Receiving, Some(bytes), Part::Body { since }) => {
                since.plus(self.limits.body + self.limits.time_for(bytes))
            }
            (ServerPhase::Receiving, Some(bytes), Part::Nothing | Part::Head { .. }) => {
                self.part = Part::Body { since: now };
                now.plus(self.limits.body + self.limits.time_for(bytes))
            }
            (ServerPhase::Idle | ServerPhase::Answering | ServerPhase::Closed, _, _) => {
                self.part = Part::Nothing;
                now.plus(self.limits.idle)
            }
        }
    }

    /// Notes that a request was answered: what comes now is of the next one.
    pub fn answered(&mut self) {
        self.part = Part::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PaceLimits = PaceLimits {
        idle: Duration::from_secs(100),
        head: Duration::from_secs(10),
        body: Duration::from_secs(20),
        body_bytes_per_second: 10,
    };

    const HEAD: &[u8] = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n";

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    /// A connection that gets these bytes, and when more of it is due then.
    struct Story(ServerConnection, Pace);

    impl Story {
        fn new() -> Self {
            let connection = ServerConnection::new(HttpLimits::default());
            Self(connection, Pace::new(LIMITS))
        }

        fn after(&mut self, bytes: &[u8], seconds: u64) -> Monotonic {
            self.0.receive(bytes);
            let _ = self.0.next_request();
            self.1.due(&self.0, at(seconds))
        }
    }

    #[test]
    fn a_head_that_trickles_in_gets_no_more_time() {
        let mut story = Story::new();
        assert_eq!(story.after(b"", 0), at(100));
        assert_eq!(story.after(b"P", 50), at(60));
        assert_eq!(story.after(b"U", 55), at(60));
        assert_eq!(story.after(b"T", 59), at(60));
    }

    #[test]
    fn a_body_gets_time_for_what_has_come_of_it() {
        let mut story = Story::new();
        assert_eq!(story.after(HEAD, 5), at(25));
        assert_eq!(story.after(&[b'a'; 10], 24), at(26));
        assert_eq!(story.after(&[b'a'; 90], 24), at(35));
        assert_eq!(story.after(&[b'a'; 10], 34), at(36));
        assert_eq!(
            LIMITS.longest_body(HttpLimits {
                head_bytes: 0,
                body_bytes: 300
            }),
            Duration::from_secs(50)
        );
    }

    #[test]
    fn the_next_request_has_its_own_time_even_if_it_has_begun_to_come() {
        let mut story = Story::new();
        story.after(HEAD, 0);
        story.after(&[b'a'; 300], 10);
        story.0.receive(b"GET ");
        let _ = story.0.respond(&http::Response::new(bytes::Bytes::new()));
        story.1.answered();
        assert_eq!(story.after(b"", 12), at(22));
        assert_eq!(story.after(b"/", 15), at(22));
    }
}
