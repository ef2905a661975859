//! A persistent B+ tree, as functions from trees to trees.
//!
//! All leaves are equally deep. A node that gets too large is split into equal parts, which is the
//! only way in which a tree grows: its height is at most log₁₆ of the number of insertions,
//! whatever keys they have. Nodes do not merge when entries are removed; states hardly ever lose
//! any.
//!
//! Recursion is as deep as a tree is high.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Entry,
    rows::{Row, Rows},
};

/// How many entries a leaf has at most, and how many children any other node.
pub(super) const MAX: usize = 32;

/// A tree, or nothing.
pub(super) type Tree = Option<Arc<Node>>;

/// Some entries in order; never none.
pub(super) enum Node {
    /// Type, state key and event id of each entry.
    Leaf(Rows<3>),
    /// Subtrees.
    Inner {
        /// For each child a key that is not greater than its first, and greater than all before it.
        firsts: Rows<2>,
        children: Box<[Arc<Node>]>,
        /// How many entries there are in all.
        size: usize,
    },
}

/// What becomes of an entry: its new event id, or `None` if it goes.
pub(super) type Change<'a> = (Entry<'a>, Option<&'a str>);

/// A subtree with a key as in [`Node::Inner`].
type Child<'a> = (Row<'a, 2>, Arc<Node>);

pub(super) fn size(tree: &Tree) -> usize {
    tree.as_ref().map_or(0, |node| node.size())
}

/// The tree after some changes, which are in order and no two for one key.
pub(super) fn changed(tree: &Tree, changes: &[Change<'_>]) -> Tree {
    let mut level = match tree {
        Some(root) => root.changed(changes),
        None => leaves(&merged(&[], changes)),
    };
    while level.len() > 1 {
        let children: Vec<_> = level
            .iter()
            .map(|node| (node.first(), node.clone()))
            .collect();
        level = inners(&children);
    }
    let mut root = level.pop()?;
    while let Node::Inner { children, .. } = &*root
        && let [only] = &**children
    {
        root = only.clone();
    }
    Some(root)
}

impl Node {
    pub fn size(&self) -> usize {
        match self {
            Self::Leaf(rows) => rows.len(),
            Self::Inner { size, .. } => *size,
        }
    }

    pub fn first(&self) -> Row<'_, 2> {
        match self {
            Self::Leaf(rows) => key_of(rows.get(0)).into(),
            Self::Inner { firsts, .. } => firsts.get(0),
        }
    }

    /// The event id for a key.
    pub fn get(&self, key: Entry<'_>) -> Option<&str> {
        match self {
            Self::Leaf(rows) => {
                let [_, _, event_id] = rows.get(search(rows, key).ok()?);
                Some(event_id)
            }
            Self::Inner {
                firsts, children, ..
            } => {
                let after = search(firsts, key).map_or_else(|index| index, |index| index + 1);
                children.get(after.checked_sub(1)?)?.get(key)
            }
        }
    }

    /// This node after some changes, as many nodes as it takes, perhaps none.
    fn changed(&self, mut changes: &[Change<'_>]) -> Vec<Arc<Self>> {
        let (firsts, children) = match self {
            Self::Leaf(rows) => {
                let rows: Vec<_> = rows.iter().collect();
                return leaves(&merged(&rows, changes));
            }
            Self::Inner {
                firsts, children, ..
            } => (firsts, children),
        };
        let mut grown = Vec::with_capacity(children.len());
        for (index, child) in children.iter().enumerate() {
            let is_last = index + 1 == children.len();
            let next = key_of(firsts.get(index + 1));
            let end = changes.partition_point(|(key, _)| is_last || *key < next);
            let (own, rest) = changes.split_at_checked(end).unwrap_or_default();
            changes = rest;
            match own {
                [] => grown.push((Some(firsts.get(index)), child.clone())),
                own => grown.extend(child.changed(own).into_iter().map(|node| (None, node))),
            }
        }
        let children = grown.iter().map(|(first, node)| {
            let first = first.unwrap_or_else(|| node.first());
            (first, node.clone())
        });
        inners(&children.collect::<Vec<_>>())
    }
}

/// Where a key is or belongs among rows that begin with keys.
fn search<const COLUMNS: usize>(rows: &Rows<COLUMNS>, key: Entry<'_>) -> Result<usize, usize> {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low.midpoint(high);
        match key_of(rows.get(middle)).cmp(&key) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

pub(super) fn key_of<const COLUMNS: usize>(row: Row<'_, COLUMNS>) -> Entry<'_> {
    let mut texts = row.into_iter();
    (
        texts.next().unwrap_or_default(),
        texts.next().unwrap_or_default(),
    )
}

/// Entries after some changes; both are in order.
fn merged<'a>(rows: &[Row<'a, 3>], changes: &[Change<'a>]) -> Vec<Row<'a, 3>> {
    let mut merged = Vec::with_capacity(rows.len() + changes.len());
    let mut rows = rows.iter().copied().peekable();
    for (key, event_id) in changes {
        while let Some(row) = rows.next_if(|row| key_of(*row) < *key) {
            merged.push(row);
        }
        rows.next_if(|row| key_of(*row) == *key);
        merged.extend(event_id.map(|event_id| [key.0, key.1, event_id]));
    }
    merged.extend(rows);
    merged
}

fn leaves(rows: &[Row<'_, 3>]) -> Vec<Arc<Node>> {
    let leaf = |rows| Arc::new(Node::Leaf(Rows::pack(rows)));
    parts(rows).map(leaf).collect()
}

fn inners(children: &[Child<'_>]) -> Vec<Arc<Node>> {
    let inner = |children: &[Child<'_>]| {
        let firsts: Vec<_> = children.iter().map(|(first, _)| *first).collect();
        Arc::new(Node::Inner {
            firsts: Rows::pack(&firsts),
            size: children.iter().map(|(_, node)| node.size()).sum(),
            children: children.iter().map(|(_, node)| node.clone()).collect(),
        })
    };
    parts(children).map(inner).collect()
}

/// As few equal parts as it takes for none to be too large.
fn parts<T>(items: &[T]) -> std::slice::Chunks<'_, T> {
    let count = items.len().div_ceil(MAX).max(1);
    items.chunks(items.len().div_ceil(count).max(1))
}
