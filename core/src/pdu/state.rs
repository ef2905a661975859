//! A room's state at one moment: a map from (event type, state key) to event id.
//!
//! [`StateMap`] is a persistent map. A clone costs nothing and shares everything; an insertion or a
//! removal copies the path to the entry and shares the rest, so that a room can keep a snapshot per
//! event; a difference skips whatever two maps share, so that it costs about what differs. It is a
//! weight-balanced search tree, whose height stays below 2.5·log₂ n whatever keys a peer chooses.

use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

use ruma_common::{EventId, OwnedEventId};
use sha2::{Digest, Sha256};

use super::unpadded_base64;

/// What a state event is the state of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// The event's type.
    pub event_type: Arc<str>,
    /// The event's state key.
    pub state_key: Arc<str>,
}

impl StateKey {
    /// The key of this type and state key.
    pub fn new(event_type: impl Into<Arc<str>>, state_key: impl Into<Arc<str>>) -> Self {
        Self {
            event_type: event_type.into(),
            state_key: state_key.into(),
        }
    }

    /// How this type and state key, which are no `StateKey` yet, compare to this one.
    fn order_of(&self, event_type: &str, state_key: &str) -> Ordering {
        (event_type, state_key).cmp(&(&*self.event_type, &*self.state_key))
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {:?})", self.event_type, self.state_key)
    }
}

/// A room's state. See the module for what it costs.
#[derive(Clone, Default)]
pub struct StateMap {
    root: Tree,
}

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

type Tree = Option<Arc<Node>>;

struct Node {
    key: StateKey,
    event_id: OwnedEventId,
    size: usize,
    left: Tree,
    right: Tree,
}

impl StateMap {
    /// The empty state, before the create event.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        size(&self.root)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The event for this type and state key.
    pub fn get(&self, event_type: &str, state_key: &str) -> Option<&EventId> {
        let mut tree = &self.root;
        while let Some(node) = tree {
            tree = match node.key.order_of(event_type, state_key) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some(&node.event_id),
            };
        }
        None
    }

    /// The event for this key.
    pub fn get_key(&self, key: &StateKey) -> Option<&EventId> {
        self.get(&key.event_type, &key.state_key)
    }

    /// Sets the event for a key.
    pub fn insert(&mut self, key: StateKey, event_id: OwnedEventId) {
        self.root = Some(inserted(&self.root, key, event_id));
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, key: &StateKey) {
        if self.get_key(key).is_some() {
            self.root = removed(&self.root, key);
        }
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            pending: Pending::start(&self.root),
        }
    }

    /// The keys whose event differs between the two states, in order.
    ///
    /// Costs about the number of differences, if one of the states was made from the other or both
    /// from a third.
    pub fn diff<'a>(&'a self, other: &'a Self) -> Vec<StateChange<'a>> {
        let (mut before, mut after) = (Pending::start(&self.root), Pending::start(&other.root));
        let mut changes = Vec::new();
        while let Some(step) = Pending::compare(&mut before, &mut after) {
            changes.extend(step);
        }
        changes
    }

    /// SHA-256 over all entries in order: equal for equal states, whatever made them.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (key, event_id) in self.iter() {
            for text in [&*key.event_type, &*key.state_key, event_id.as_str()] {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text);
            }
        }
        hasher.finalize().into()
    }

    /// The digest in unpadded base64, for people and logs.
    pub fn digest_text(&self) -> String {
        unpadded_base64::encode(&self.digest())
    }
}

impl PartialEq for StateMap {
    fn eq(&self, other: &Self) -> bool {
        let (mut before, mut after) = (Pending::start(&self.root), Pending::start(&other.root));
        std::iter::from_fn(|| Pending::compare(&mut before, &mut after)).all(|step| step.is_none())
    }
}

impl Eq for StateMap {}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of entries with the same key the last one counts.
impl FromIterator<(StateKey, OwnedEventId)> for StateMap {
    fn from_iter<I: IntoIterator<Item = (StateKey, OwnedEventId)>>(entries: I) -> Self {
        let sorted: BTreeMap<_, _> = entries.into_iter().collect();
        let count = sorted.len();
        Self {
            root: balanced(&mut sorted.into_iter(), count),
        }
    }
}

impl<'a> IntoIterator for &'a StateMap {
    type Item = (&'a StateKey, &'a EventId);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a [`StateMap`] in the order of their keys.
pub struct Iter<'a> {
    pending: Pending<'a>,
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
struct Pending<'a>(Vec<Part<'a>>);

#[derive(Clone, Copy)]
enum Part<'a> {
    Subtree(&'a Arc<Node>),
    Entry(&'a Arc<Node>),
}

impl<'a> Pending<'a> {
    fn start(tree: &'a Tree) -> Self {
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
    fn compare(before: &mut Self, after: &mut Self) -> Option<Option<StateChange<'a>>> {
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

/// A subtree may weigh at most this many times its sibling …
const MAX_WEIGHT_RATIO: usize = 3;
/// … and if it does, one rotation suffices while its inner child weighs less than this many times
/// its outer child. The pair (3, 2) keeps the tree balanced under insertion and removal (Hirai and
/// Yamamoto, "Balancing weight-balanced trees").
const SINGLE_ROTATION_RATIO: usize = 2;

fn size(tree: &Tree) -> usize {
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

fn inserted(tree: &Tree, key: StateKey, event_id: OwnedEventId) -> Arc<Node> {
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

fn removed(tree: &Tree, key: &StateKey) -> Tree {
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
fn balanced(entries: &mut impl Iterator<Item = (StateKey, OwnedEventId)>, count: usize) -> Tree {
    let before = count.checked_sub(1)? / 2;
    let left = balanced(entries, before);
    let (key, event_id) = entries.next()?;
    let right = balanced(entries, count - 1 - before);
    Some(node(key, event_id, left, right))
}
