//! Walking through the entries of state maps: of one in order, and of two side by side.

use std::{cmp::Ordering, sync::Arc};

use ruma_common::EventId;

use super::{
    Entry,
    rows::{Row, Rows},
    tree::{Node, Tree},
};

/// One entry whose event is not the same in two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange<'a> {
    /// The entry.
    pub key: Entry<'a>,
    /// Its event in the first state, if any.
    pub before: Option<&'a EventId>,
    /// Its event in the second state, if any.
    pub after: Option<&'a EventId>,
}

/// The entries of a [`super::StateMap`] in order.
pub struct Iter<'a> {
    pub(super) pending: Pending<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Entry<'a>, &'a EventId);

    fn next(&mut self) -> Option<Self::Item> {
        let [event_type, state_key, event_id] = self.pending.next_row()?;
        Some(((event_type, state_key), as_event_id(event_id)?))
    }
}

/// What was put in as an event id.
pub(super) fn as_event_id(text: &str) -> Option<&EventId> {
    text.try_into().ok()
}

/// What an in-order walk has still to visit, the next part last.
pub(super) struct Pending<'a>(Vec<Part<'a>>);

#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Subtree(&'a Arc<Node>),
    /// The entries of a leaf from one on, of which there is at least that one.
    Entries(&'a Rows<3>, usize),
}

impl<'a> Pending<'a> {
    pub fn start(tree: &'a Tree) -> Self {
        Self(tree.iter().map(Part::Subtree).collect())
    }

    /// The next entry, which is then past.
    pub fn next_row(&mut self) -> Option<Row<'a, 3>> {
        loop {
            match self.0.last().copied()? {
                Part::Subtree(node) => self.expand(node),
                Part::Entries(rows, index) => {
                    self.advance();
                    return Some(rows.get(index));
                }
            }
        }
    }

    /// Replaces the subtree on top by its parts.
    fn expand(&mut self, node: &'a Node) {
        self.0.pop();
        match node {
            Node::Leaf(rows) => self.0.push(Part::Entries(rows, 0)),
            Node::Inner { children, .. } => {
                self.0.extend(children.iter().rev().map(Part::Subtree));
            }
        }
    }

    /// Goes past the entry on top.
    fn advance(&mut self) {
        if let Some(Part::Entries(rows, index)) = self.0.last_mut() {
            *index += 1;
            if *index >= rows.len() {
                self.0.pop();
            }
        }
    }

    /// One step of two walks side by side; `None` when both are done.
    ///
    /// Two subtrees that are one and the same are skipped. Of two that are not, the larger is taken
    /// apart, so that a shared subtree is met by both walks even where it has moved.
    pub fn compare(before: &mut Self, after: &mut Self) -> Option<Option<StateChange<'a>>> {
        use Part::{Entries, Subtree};
        match (before.0.last().copied(), after.0.last().copied()) {
            (None, None) => return None,
            (Some(Subtree(b)), Some(Subtree(a))) if Arc::ptr_eq(b, a) => {
                before.0.pop();
                after.0.pop();
            }
            (Some(Subtree(b)), Some(Subtree(a))) if b.size() < a.size() => after.expand(a),
            (Some(Subtree(b)), _) => before.expand(b),
            (_, Some(Subtree(a))) => after.expand(a),
            (b @ (None | Some(Entries(..))), a @ (None | Some(Entries(..)))) => {
                let (b, a) = (b.and_then(Part::entry), a.and_then(Part::entry));
                return Some(Self::compare_entries(before, after, b, a));
            }
        }
        Some(None)
    }

    fn compare_entries(
        before: &mut Self,
        after: &mut Self,
        b: Option<Row<'a, 3>>,
        a: Option<Row<'a, 3>>,
    ) -> Option<StateChange<'a>> {
        let key = |row: Row<'a, 3>| (row[0], row[1]);
        let order = match (b, a) {
            (Some(b), Some(a)) => key(b).cmp(&key(a)),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let (b, a) = (b.filter(|_| order.is_le()), a.filter(|_| order.is_ge()));
        if b.is_some() {
            before.advance();
        }
        if a.is_some() {
            after.advance();
        }
        let event_id = |[_, _, event_id]: Row<'a, 3>| event_id;
        if b.map(event_id) == a.map(event_id) {
            return None;
        }
        let event_id = |row| as_event_id(event_id(row));
        let (before, after) = (b.and_then(event_id), a.and_then(event_id));
        let key = key(b.or(a)?);
        Some(StateChange { key, before, after })
    }
}

impl<'a> Part<'a> {
    fn entry(self) -> Option<Row<'a, 3>> {
        match self {
            Self::Subtree(_) => None,
            Self::Entries(rows, index) => Some(rows.get(index)),
        }
    }
}
