//! The output-commit rule: nothing leaves before what caused it is on disk.

use std::collections::VecDeque;

use super::departures::Departure;
use crate::input::QueryId;

/// Departures that wait for batches to become durable, in order.
#[derive(Debug, Default)]
pub(super) struct Commits {
    waiting: VecDeque<Commit>,
}

#[derive(Debug)]
struct Commit {
    query: QueryId,
    held: Vec<Departure>,
}

impl Commits {
    /// Notes that a batch was given to the store; `held` leaves when it is durable.
    pub(super) fn submit(&mut self, query: QueryId, held: Vec<Departure>) {
        self.waiting.push_back(Commit { query, held });
    }

    /// Departures that write nothing themselves but may speak of what earlier batches wrote: they
    /// leave after those. Returns them if nothing is being written.
    pub(super) fn hold(&mut self, departures: Vec<Departure>) -> Vec<Departure> {
        match self.waiting.back_mut() {
            Some(commit) => {
                commit.held.extend(departures);
                Vec::new()
            }
            None => departures,
        }
    }

    /// The store acknowledged a batch, and with it all before: what may leave now.
    pub(super) fn acknowledge(&mut self, query: QueryId) -> Vec<Departure> {
        let mut released = Vec::new();
        while let Some(commit) = self.waiting.pop_front_if(|commit| commit.query <= query) {
            released.extend(commit.held);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;

    fn halt(text: &str) -> Departure {
        Action::Halt(text.to_owned()).into()
    }

    #[test]
    fn what_writes_nothing_leaves_at_once_only_when_nothing_is_being_written() {
        let mut commits = Commits::default();
        assert_eq!(commits.hold(vec![halt("a")]).len(), 1);
        commits.submit(QueryId(7), vec![halt("b")]);
        assert_eq!(commits.hold(vec![halt("c")]).len(), 0);
        assert_eq!(commits.acknowledge(QueryId(6)).len(), 0);
        assert_eq!(commits.acknowledge(QueryId(7)).len(), 2);
    }
}
