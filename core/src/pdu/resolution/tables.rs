//! What is noted of the events of a [`Graph`] and of the entries they are for, by their numbers.

use super::{
    EventLookup,
    graph::{Graph, Node},
    numbers::Number,
};

/// Something noted about each event or entry; the default where nothing was.
pub(super) struct Table<T>(Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Default> Table<T> {
    /// An empty table that need not grow for so many.
    pub fn with_room_for(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub fn get(&self, of: impl Into<Number>) -> T {
        self.0.get(of.into().index()).copied().unwrap_or_default()
    }

    /// Notes a value and answers what was noted before.
    pub fn set(&mut self, of: impl Into<Number>, value: T) -> T {
        let index = of.into().index();
        if self.0.len() <= index {
            self.0.resize_with(index + 1, T::default);
        }
        let entry = self.0.get_mut(index);
        entry.map_or_else(T::default, |entry| std::mem::replace(entry, value))
    }
}

impl<T: Copy> Table<T> {
    /// What is noted, in the order of the numbers, as far as there is something.
    pub fn iter(&self) -> impl Iterator<Item = T> + Clone {
        self.0.iter().copied()
    }
}

/// A set of events in the order in which they were put in.
#[derive(Default)]
pub(super) struct NodeSet<'a> {
    is_in: Table<bool>,
    nodes: Vec<Node<'a>>,
}

impl<'a> NodeSet<'a> {
    /// Whether it was new.
    pub fn insert(&mut self, node: Node<'a>) -> bool {
        let is_new = !self.is_in.set(node, true);
        if is_new {
            self.nodes.push(node);
        }
        is_new
    }

    pub fn contains(&self, node: Node<'_>) -> bool {
        self.is_in.get(node)
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Node<'a>> {
        self.nodes.iter().copied()
    }

    pub fn retain(&mut self, keep: impl Fn(Node<'a>) -> bool) {
        *self = self.iter().filter(|node| keep(*node)).collect();
    }
}

impl<'a> FromIterator<Node<'a>> for NodeSet<'a> {
    fn from_iter<I: IntoIterator<Item = Node<'a>>>(nodes: I) -> Self {
        let mut set = Self::default();
        nodes.into_iter().for_each(|node| {
            set.insert(node);
        });
        set
    }
}

/// Which events of some set name an event among their auth events.
#[derive(Default)]
pub(super) struct Citations<'a> {
    /// For each event, the last of those that name it, as a position in `citing` from 1 on.
    last: Table<usize>,
    /// An event that names another one, and where the one before it stands that names the same.
    citing: Vec<(Node<'a>, usize)>,
}

impl<'a> Citations<'a> {
    pub fn among<L: EventLookup>(all: &NodeSet<'a>, graph: &mut Graph<'a, L>) -> Self {
        let mut citations = Self::default();
        for citing in all.iter() {
            for cited in graph.auth_events(citing) {
                let this = citations.citing.len() + 1;
                let before = citations.last.set(*cited, this);
                citations.citing.push((citing, before));
            }
        }
        citations
    }

    /// The events that name this one, as often as they do.
    pub fn of(&self, cited: Node<'a>) -> impl Iterator<Item = Node<'a>> {
        let mut next = self.last.get(cited);
        std::iter::from_fn(move || {
            let (citing, before) = *self.citing.get(next.checked_sub(1)?)?;
            next = before;
            Some(citing)
        })
    }
}
