//! Walking through the entries of state maps: of one in order, and of two side by side.

use std::{cmp::Ordering, sync::Arc};

use ruma_common::EventId;

use super::{
    StateKey,
    tree::{Node, Tree},
};

/// One key whose event is not the same in two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange<'a> {
    /// The key.
    pub key: &'a StateKey,
    /// Its event in the first state, if any.
    pub before: Option<&'a EventId>,
    /// Its event in the second state, if any.
    pub after: Option<&'a EventId>,
}

/// The entries of a [`super::StateMap`] in the order of their keys.
pub struct Iter<'a> {
    pub(super) pending: Pending<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a StateKey, &'a EventId);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(Part::Subtree(node)) = self.pending.0.last() {
            self.pending.expand(node);
        }
        match self.pending.0.pop()? {
            Part::Entry(node) | Part::Subtree(node) => Some((&node.key, &node.event_id)),
        }
    }
}

/// What an in-order walk has still to visit, the next part last.
pub(super) struct Pending<'a>(Vec<Part<'a>>);

#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Subtree(&'a Arc<Node>),
    Entry(&'a Arc<Node>),
}

impl<'a> Pending<'a> {
    pub fn start(tree: &'a Tree) -> Self {
        Self(tree.iter().map(Part::Subtree).collect())
    }

    /// Replaces the subtree on top by its parts.
    fn expand(&mut self, node: &'a Arc<Node>) {
        self.0.pop();
        self.0.extend(node.right.iter().map(Part::Subtree));
        self.0.push(Part::Entry(node));
        self.0.extend(node.left.iter().map(Part::Subtree));
    }

    /// One step of two walks side by side; `None` when both are done.
    ///
    /// Two subtrees that are one and the same are skipped. Of two that are not, the larger is taken
    /// apart, so that a shared subtree is met by both walks even where rotations moved it.
    pub fn compare(before: &mut Self, after: &mut Self) -> Option<Option<StateChange<'a>>> {
        use Part::{Entry, Subtree};
        match (before.0.last().copied(), after.0.last().copied()) {
            (None, None) => return None,
            (Some(Subtree(b)), Some(Subtree(a))) if Arc::ptr_eq(b, a) => {
                before.0.pop();
                after.0.pop();
            }
            (Some(Subtree(b)), Some(Subtree(a))) if b.size < a.size => after.expand(a),
            (Some(Subtree(b)), _) => before.expand(b),
            (_, Some(Subtree(a))) => after.expand(a),
            (b @ (None | Some(Entry(_))), a @ (None | Some(Entry(_)))) => {
                let (b, a) = (b.map(Part::node), a.map(Part::node));
                return Some(Self::compare_entries(before, after, b, a));
            }
        }
        Some(None)
    }

    fn compare_entries(
        before: &mut Self,
        after: &mut Self,
        b: Option<&'a Arc<Node>>,
        a: Option<&'a Arc<Node>>,
    ) -> Option<StateChange<'a>> {
        let order = match (b, a) {
            (Some(b), Some(a)) => b.key.cmp(&a.key),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let (b, a) = (b.filter(|_| order.is_le()), a.filter(|_| order.is_ge()));
        if b.is_some() {
            before.0.pop();
        }
        if a.is_some() {
            after.0.pop();
        }
        let (before, after) = (b.map(|node| &*node.event_id), a.map(|node| &*node.event_id));
        let key = &b.or(a)?.key;
        (before != after).then_some(StateChange { key, before, after })
    }
}

impl<'a> Part<'a> {
    fn node(self) -> &'a Arc<Node> {
        match self {
            Self::Subtree(node) | Self::Entry(node) => node,
        }
    }
}
