//! A persistent weight-balanced search tree, as functions from trees to trees.
//!
//! Recursion is as deep as a tree is high.

use std::{cmp::Ordering, sync::Arc};

use ruma_common::OwnedEventId;

use super::StateKey;

/// A tree, or nothing.
pub(super) type Tree = Option<Arc<Node>>;

/// An entry with the entries before and after it.
pub(super) struct Node {
    pub key: StateKey,
    pub event_id: OwnedEventId,
    pub size: usize,
    pub left: Tree,
    pub right: Tree,
}

/// A subtree may weigh at most this many times its sibling …
const MAX_WEIGHT_RATIO: usize = 3;
/// … and if it does, one rotation suffices while its inner child weighs less than this many times
/// its outer child. The pair (3, 2) keeps the tree balanced under insertion and removal (Hirai and
/// Yamamoto, "Balancing weight-balanced trees").
const SINGLE_ROTATION_RATIO: usize = 2;

pub(super) fn size(tree: &Tree) -> usize {
    tree.as_ref().map_or(0, |node| node.size)
}

fn weight(tree: &Tree) -> usize {
    size(tree) + 1
}

fn node(key: StateKey, event_id: OwnedEventId, left: Tree, right: Tree) -> Arc<Node> {
    let size = size(&left) + size(&right) + 1;
    Arc::new(Node {
        key,
        event_id,
        size,
        left,
        right,
    })
}

impl Node {
    /// This entry with other subtrees, which may be out of balance by one insertion or removal.
    fn with_children(&self, left: Tree, right: Tree) -> Arc<Node> {
        let (left_weight, right_weight) = (weight(&left), weight(&right));
        match (&left, &right) {
            (_, Some(right)) if right_weight > MAX_WEIGHT_RATIO * left_weight => {
                self.rotated_left(left.clone(), right)
            }
            (Some(left), _) if left_weight > MAX_WEIGHT_RATIO * right_weight => {
                self.rotated_right(left, right.clone())
            }
            _ => self.joined(left, right),
        }
    }

    fn joined(&self, left: Tree, right: Tree) -> Arc<Node> {
        node(self.key.clone(), self.event_id.clone(), left, right)
    }

    fn rotated_left(&self, left: Tree, right: &Node) -> Arc<Node> {
        match &right.left {
            Some(inner) if weight(&right.left) >= SINGLE_ROTATION_RATIO * weight(&right.right) => {
                let new_left = self.joined(left, inner.left.clone());
                let new_right = right.joined(inner.right.clone(), right.right.clone());
                inner.joined(Some(new_left), Some(new_right))
            }
            inner => {
                let new_left = self.joined(left, inner.clone());
                right.joined(Some(new_left), right.right.clone())
            }
        }
    }

    fn rotated_right(&self, left: &Node, right: Tree) -> Arc<Node> {
        match &left.right {
            Some(inner) if weight(&left.right) >= SINGLE_ROTATION_RATIO * weight(&left.left) => {
                let new_left = left.joined(left.left.clone(), inner.left.clone());
                let new_right = self.joined(inner.right.clone(), right);
                inner.joined(Some(new_left), Some(new_right))
            }
            inner => {
                let new_right = self.joined(inner.clone(), right);
                left.joined(left.left.clone(), Some(new_right))
            }
        }
    }
}

pub(super) fn inserted(tree: &Tree, key: StateKey, event_id: OwnedEventId) -> Arc<Node> {
    let Some(root) = tree else {
        return node(key, event_id, None, None);
    };
    match key.cmp(&root.key) {
        Ordering::Less => {
            let left = inserted(&root.left, key, event_id);
            root.with_children(Some(left), root.right.clone())
        }
        Ordering::Greater => {
            let right = inserted(&root.right, key, event_id);
            root.with_children(root.left.clone(), Some(right))
        }
        Ordering::Equal => node(key, event_id, root.left.clone(), root.right.clone()),
    }
}

pub(super) fn removed(tree: &Tree, key: &StateKey) -> Tree {
    let root = tree.as_ref()?;
    match key.cmp(&root.key) {
        Ordering::Less => Some(root.with_children(removed(&root.left, key), root.right.clone())),
        Ordering::Greater => Some(root.with_children(root.left.clone(), removed(&root.right, key))),
        Ordering::Equal => match (&root.left, &root.right) {
            (left, None) => left.clone(),
            (left, Some(right)) => {
                let (first, rest) = without_first(right);
                Some(first.with_children(left.clone(), rest))
            }
        },
    }
}

/// The first entry of a subtree, and the subtree without it.
fn without_first(root: &Arc<Node>) -> (&Arc<Node>, Tree) {
    match &root.left {
        None => (root, root.right.clone()),
        Some(left) => {
            let (first, rest) = without_first(left);
            (first, Some(root.with_children(rest, root.right.clone())))
        }
    }
}

/// The tree of the next `count` entries.
pub(super) fn balanced(
    entries: &mut impl Iterator<Item = (StateKey, OwnedEventId)>,
    count: usize,
) -> Tree {
    let before = count.checked_sub(1)? / 2;
    let left = balanced(entries, before);
    let (key, event_id) = entries.next()?;
    let right = balanced(entries, count - 1 - before);
    Some(node(key, event_id, left, right))
}
