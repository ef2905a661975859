//! In which order, and when, the addresses of a server are tried (“happy eyeballs”, RFC 8305).
//!
//! An address that does not answer must not hold up one that does. So the next address is tried
//! after a moment, or as soon as one has failed, while earlier attempts go on; the first that
//! succeeds wins, and the others are dropped.

use core::net::SocketAddr;
use std::{collections::VecDeque, time::Duration};

use crate::time::Monotonic;

/// How long an attempt goes on alone before the next address is tried as well (RFC 8305, 8).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long an attempt may take.
pub const ATTEMPT_TIME_OUT: Duration = Duration::from_secs(10);

/// At most so many attempts are under way at once.
pub const ATTEMPTS_AT_ONCE: usize = 4;

/// The attempts to connect to one server.
#[derive(Debug)]
pub struct ConnectionAttempts {
    untried: VecDeque<SocketAddr>,
    under_way: usize,
    /// When the next address may be tried though none has failed.
    next: Monotonic,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// Begin to connect to this address, and ask again.
    Connect(SocketAddr),
    /// Wait until an attempt ends, but no longer than until this moment; then ask again.
    Wait(Option<Monotonic>),
    /// Nothing is under way, and nothing is left to try.
    Exhausted,
}

impl ConnectionAttempts {
    /// None yet. IPv6 and IPv4 take turns, the family of the first address first; within a family
    /// the order stays.
    #[must_use]
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
        let is_first = |address: &&SocketAddr| address.is_ipv6() == first_is_v6;
        let mut first = addresses.iter().filter(is_first);
        let mut second = addresses.iter().filter(|address| !is_first(address));
        let mut untried = VecDeque::new();
        loop {
            let pair = (first.next(), second.next());
            untried.extend(pair.0.into_iter().chain(pair.1).copied());
            if pair == (None, None) {
                break;
            }
        }
        Self {
            untried,
            under_way: 0,
            next: Monotonic::default(),
        }
    }

    /// What to do next.
    pub fn next(&mut self, now: Monotonic) -> NextAttempt {
        let may_begin = self.under_way == 0 || now >= self.next;
        if may_begin
            && self.under_way < ATTEMPTS_AT_ONCE
            && let Some(address) = self.untried.pop_front()
        {
            self.under_way += 1;
            self.next = now.plus(ATTEMPT_DELAY);
            return NextAttempt::Connect(address);
        }
        let is_more = !self.untried.is_empty() && self.under_way < ATTEMPTS_AT_ONCE;
        match self.under_way {
            0 => NextAttempt::Exhausted,
            _ => NextAttempt::Wait(is_more.then_some(self.next)),
        }
    }

    /// Notes that an attempt failed: the next address may be tried at once.
    pub fn failed(&mut self, now: Monotonic) {
        self.under_way = self.under_way.saturating_sub(1);
        self.next = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Monotonic {
        Monotonic(Duration::from_millis(milliseconds))
    }

    fn attempts(addresses: &[&str]) -> ConnectionAttempts {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        ConnectionAttempts::new(&addresses)
    }

    fn connect(address: &str) -> NextAttempt {
        NextAttempt::Connect(address.parse().unwrap())
    }

    #[test]
    fn both_families_take_turns() {
        let mut attempts = attempts(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        for address in order {
            assert_eq!(attempts.next(at(0)), connect(address));
            attempts.failed(at(0));
        }
        assert_eq!(attempts.next(at(0)), NextAttempt::Exhausted);
    }

    #[test]
    fn a_silent_address_is_given_a_moment_and_no_more() {
        let mut attempts = attempts(&["1.1.1.1:1", "2.2.2.2:1"]);
        assert_eq!(attempts.next(at(0)), connect("1.1.1.1:1"));
        assert_eq!(attempts.next(at(0)), NextAttempt::Wait(Some(at(250))));
        assert_eq!(attempts.next(at(250)), connect("2.2.2.2:1"));
        assert_eq!(attempts.next(at(250)), NextAttempt::Wait(None));
        attempts.failed(at(300));
        assert_eq!(attempts.next(at(300)), NextAttempt::Wait(None));
        attempts.failed(at(310));
        assert_eq!(attempts.next(at(310)), NextAttempt::Exhausted);
    }

    #[test]
    fn a_failure_makes_the_next_address_tried_at_once() {
        let mut attempts = attempts(&["1.1.1.1:1", "2.2.2.2:1"]);
        attempts.next(at(0));
        attempts.failed(at(10));
        assert_eq!(attempts.next(at(10)), connect("2.2.2.2:1"));
    }

    #[test]
    fn only_a_few_attempts_are_under_way_at_once() {
        let addresses: Vec<_> = (1..9).map(|n| format!("1.1.1.{n}:1")).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let mut attempts = attempts(&addresses);
        for time in [0, 250, 500, 750] {
            assert!(matches!(attempts.next(at(time)), NextAttempt::Connect(_)));
        }
        assert_eq!(attempts.next(at(5000)), NextAttempt::Wait(None));
        attempts.failed(at(5000));
        assert!(matches!(attempts.next(at(5000)), NextAttempt::Connect(_)));
    }
}
