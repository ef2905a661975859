//! Whose turn it is: only so many destinations are served at once, in the order in which they had
//! something to send.
//!
//! Those that failed last time stand in a line of their own with fewer places. However many of them
//! there are and however long each keeps us waiting, the others lose no place to them.

use std::collections::VecDeque;

use ruma_common::OwnedServerName;

/// How many destinations that answered last time are served at once.
pub const LIVING_AT_ONCE: usize = 256;

/// How many destinations that failed last time are tried at once.
pub const PROBES_AT_ONCE: usize = 32;

/// In which line a destination stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It answered last time, or has just shown that it is alive.
    Living,
    /// It failed last time.
    Probe,
}

/// Both lines.
#[derive(Debug)]
pub(super) struct Lines {
    living: Line,
    probes: Line,
}

#[derive(Debug)]
struct Line {
    waiting: VecDeque<OwnedServerName>,
    served: usize,
    at_once: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            living: Line::of(LIVING_AT_ONCE),
            probes: Line::of(PROBES_AT_ONCE),
        }
    }
}

impl Lines {
    /// Joins a line at its end.
    pub(super) fn join(&mut self, turn: Turn, name: OwnedServerName) {
        self.line(turn).waiting.push_back(name);
    }

    /// Takes the next destination whose turn has come; its place is free again after
    /// [`Lines::leave`].
    pub(super) fn next(&mut self) -> Option<(Turn, OwnedServerName)> {
        let living = self.living.next().map(|name| (Turn::Living, name));
        living.or_else(|| self.probes.next().map(|name| (Turn::Probe, name)))
    }

    /// A destination's turn is over.
    pub(super) fn leave(&mut self, turn: Turn) {
        let line = self.line(turn);
        line.served = line.served.saturating_sub(1);
    }

    /// How many stand in line.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.living.waiting.len() + self.probes.waiting.len()
    }

    fn line(&mut self, turn: Turn) -> &mut Line {
        match turn {
            Turn::Living => &mut self.living,
            Turn::Probe => &mut self.probes,
        }
    }
}

impl Line {
    fn of(at_once: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            served: 0,
            at_once,
        }
    }

    fn next(&mut self) -> Option<OwnedServerName> {
        if self.served >= self.at_once {
            return None;
        }
        let name = self.waiting.pop_front()?;
        self.served += 1;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> OwnedServerName {
        format!("s{number}").try_into().unwrap()
    }

    #[test]
    fn those_that_fail_take_no_place_from_the_others_and_turns_go_round() {
        let mut lines = Lines::default();
        for number in 0..10_000 {
            lines.join(Turn::Probe, name(number));
        }
        for _ in 0..PROBES_AT_ONCE {
            assert!(matches!(lines.next(), Some((Turn::Probe, _))));
        }
        assert_eq!(lines.next(), None);
        for number in 0..LIVING_AT_ONCE + 1 {
            lines.join(Turn::Living, name(number));
        }
        for number in 0..LIVING_AT_ONCE {
            assert_eq!(lines.next(), Some((Turn::Living, name(number))));
        }
        assert_eq!(lines.next(), None);
        lines.leave(Turn::Living);
        lines.join(Turn::Living, name(0));
        assert_eq!(lines.next(), Some((Turn::Living, name(LIVING_AT_ONCE))));
    }
}
