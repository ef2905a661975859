//! A persistent B+ tree, as functions from trees to trees.
//!
//! All leaves are equally deep. A node that is full is split into halves, which is the only way in
//! which a tree grows: its height is at most log₁₆ of the number of insertions, whatever keys they
//! have. Nodes do not merge when entries are removed; states hardly ever lose any.
//!
//! Recursion is as deep as a tree is high.

use std::sync::Arc;

use super::{
    Entry,
    rows::{Row, Rows},
};

/// How many entries a leaf has at most, and how many children any other node.
pub(super) const MAX: usize = 32;
/// How many they get when a tree is made at once, so that there is room for some more.
const FILLED: usize = 24;

/// A tree, or nothing.
pub(super) type Tree = Option<Arc<Node>>;

/// Some entries in order; never none.
pub(super) enum Node {
    /// Type, state key and event id of each entry.
    Leaf(Rows<3>),
    /// Subtrees.
    Inner {
        /// Type and state key of the first entry of each child.
        firsts: Rows<2>,
        children: Box<[Arc<Node>]>,
        /// How many entries there are in all.
        size: usize,
    },
}

/// A node, or two where one would be too large.
struct Grown(Arc<Node>, Option<Arc<Node>>);

pub(super) fn size(tree: &Tree) -> usize {
    tree.as_ref().map_or(0, |node| node.size())
}

/// Where a key is or belongs among rows that begin with keys.
fn search<const COLUMNS: usize>(rows: &Rows<COLUMNS>, key: Entry<'_>) -> Result<usize, usize> {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low.midpoint(high);
        match key_of(&rows.get(middle)).cmp(&key) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Ok(middle),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

pub(super) fn key_of<'a, const COLUMNS: usize>(row: &Row<'a, COLUMNS>) -> Entry<'a> {
    let mut texts = row.iter().copied();
    (
        texts.next().unwrap_or_default(),
        texts.next().unwrap_or_default(),
    )
}

impl Node {
    pub fn size(&self) -> usize {
        match self {
            Self::Leaf(rows) => rows.len(),
            Self::Inner { size, .. } => *size,
        }
    }

    fn inner(firsts: Rows<2>, children: Box<[Arc<Self>]>) -> Arc<Self> {
        let size = children.iter().map(|child| child.size()).sum();
        Arc::new(Self::Inner {
            firsts,
            children,
            size,
        })
    }

    pub fn first(&self) -> Row<'_, 2> {
        match self {
            Self::Leaf(rows) => key_of(&rows.get(0)).into(),
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
            } => children.get(child_for(firsts, key))?.get(key),
        }
    }

    fn inserted(&self, entry: Row<'_, 3>) -> Grown {
        let key = key_of(&entry);
        match self {
            Self::Leaf(rows) => {
                let range = match search(rows, key) {
                    Ok(index) => index..index + 1,
                    Err(index) => index..index,
                };
                leaves(rows.splice(range, [entry].into_iter()))
            }
            Self::Inner {
                firsts, children, ..
            } => {
                let index = child_for(firsts, key);
                match children.get(index).map(|child| child.inserted(entry)) {
                    Some(grown) => inners(firsts, children, index, &grown),
                    None => leaves([entry].into_iter()),
                }
            }
        }
    }

    /// `None` if nothing is left.
    fn removed(&self, key: Entry<'_>) -> Tree {
        match self {
            Self::Leaf(rows) => {
                let index = search(rows, key).ok()?;
                let rest = Rows::pack(rows.splice(index..index + 1, [].into_iter()));
                (rest.len() > 0).then(|| Arc::new(Self::Leaf(rest)))
            }
            Self::Inner {
                firsts, children, ..
            } => {
                let index = child_for(firsts, key);
                let child = children.get(index)?.removed(key);
                let first = child.iter().map(|child| child.first());
                let firsts = Rows::pack(firsts.splice(index..index + 1, first));
                let children = spliced(children, index, child.as_slice());
                (!children.is_empty()).then(|| Self::inner(firsts, children))
            }
        }
    }
}

/// The child in which a key is or belongs.
fn child_for(firsts: &Rows<2>, key: Entry<'_>) -> usize {
    match search(firsts, key) {
        Ok(index) => index,
        Err(index) => index.saturating_sub(1),
    }
}

/// The children with others in place of one.
fn spliced(children: &[Arc<Node>], index: usize, by: &[Arc<Node>]) -> Box<[Arc<Node>]> {
    let (before, after) = (children.iter().take(index), children.iter().skip(index + 1));
    before.chain(by).chain(after).cloned().collect()
}

fn leaves<'a>(rows: impl Iterator<Item = Row<'a, 3>> + Clone) -> Grown {
    let leaf = |rows| Arc::new(Node::Leaf(rows));
    let count = rows.clone().count();
    if count <= MAX {
        return Grown(leaf(Rows::pack(rows)), None);
    }
    let half = count / 2;
    let lower = Rows::pack(rows.clone().take(half));
    Grown(leaf(lower), Some(leaf(Rows::pack(rows.skip(half)))))
}

/// The node with these children, of which one has grown.
fn inners(firsts: &Rows<2>, children: &[Arc<Node>], index: usize, grown: &Grown) -> Grown {
    let by: Vec<_> = [Some(&grown.0), grown.1.as_ref()]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let children = spliced(children, index, &by);
    let firsts = firsts.splice(index..index + 1, by.iter().map(|child| child.first()));
    if children.len() <= MAX {
        return Grown(Node::inner(Rows::pack(firsts), children), None);
    }
    let half = children.len() / 2;
    let (lower, upper) = children.split_at_checked(half).unwrap_or_default();
    let lower = Node::inner(Rows::pack(firsts.clone().take(half)), lower.into());
    Grown(
        lower,
        Some(Node::inner(Rows::pack(firsts.skip(half)), upper.into())),
    )
}

pub(super) fn inserted(tree: &Tree, key: Entry<'_>, event_id: &str) -> Arc<Node> {
    let entry = [key.0, key.1, event_id];
    let grown = match tree {
        None => leaves([entry].into_iter()),
        Some(root) => root.inserted(entry),
    };
    match grown {
        Grown(root, None) => root,
        Grown(lower, Some(upper)) => parent(&[lower, upper]),
    }
}

pub(super) fn removed(tree: &Tree, key: Entry<'_>) -> Tree {
    let mut root = tree.as_ref()?.removed(key)?;
    while let Node::Inner { children, .. } = &*root
        && let [only] = &**children
    {
        root = only.clone();
    }
    Some(root)
}

fn parent(children: &[Arc<Node>]) -> Arc<Node> {
    let firsts = Rows::pack(children.iter().map(|child| child.first()));
    Node::inner(firsts, children.into())
}

/// The tree of these entries, which are in order and no two for one key.
pub(super) fn balanced(entries: &[Row<'_, 3>]) -> Tree {
    let leaf = |entries: &[Row<'_, 3>]| Arc::new(Node::Leaf(Rows::pack(entries.iter().copied())));
    let mut level: Vec<_> = entries.chunks(FILLED).map(leaf).collect();
    while level.len() > 1 {
        level = level.chunks(FILLED).map(parent).collect();
    }
    level.pop()
}
