//! The events that a resolution looks at, each with a number: from the first look on an event is a
//! [`Node`], what is noted of events is a [`Table`], and no id is compared any more.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use ruma_common::{EventId, OwnedEventId, RoomId};

use super::{EventLookup, MissingEvents, numbers::Numbers};
use crate::pdu::{
    Pdu,
    event_type::{CREATE, JOIN_RULES, POWER_LEVELS},
    hash::create_event_id_of_room,
};

/// An event at hand.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    number: usize,
    pub event: &'a Arc<Pdu>,
    pub kind: Kind,
    /// Whether the event was rejected on receipt.
    pub rejected: bool,
}

impl<'a> Node<'a> {
    pub fn event_id(self) -> &'a EventId {
        self.event.event_id()
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

/// The entry of a state that an event is for, as far as a room has only one of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    PowerLevels,
    JoinRules,
    Other,
}

impl Kind {
    pub fn of(event_type: &str, state_key: Option<&str>) -> Self {
        match (event_type, state_key) {
            (CREATE, Some("")) => Self::Create,
            (POWER_LEVELS, Some("")) => Self::PowerLevels,
            (JOIN_RULES, Some("")) => Self::JoinRules,
            _ => Self::Other,
        }
    }
}

/// The events met so far, their auth events, and the ids of those that turned out to be missing.
pub(super) struct Graph<'a, L> {
    pub lookup: &'a L,
    numbers: Numbers<&'a EventId>,
    nodes: Vec<Node<'a>>,
    /// Of each event, where its auth events stand in `auth_events`, once somebody asked.
    auth_ranges: Table<Option<(usize, usize)>>,
    auth_events: Vec<Node<'a>>,
    missing: BTreeSet<OwnedEventId>,
    /// The room that was last asked for, and its create event.
    room: Option<(&'a RoomId, Option<Node<'a>>)>,
}

impl<'a, L: EventLookup> Graph<'a, L> {
    pub fn new(lookup: &'a L) -> Self {
        Self {
            lookup,
            numbers: Numbers::default(),
            nodes: Vec::new(),
            auth_ranges: Table::default(),
            auth_events: Vec::new(),
            missing: BTreeSet::new(),
            room: None,
        }
    }

    /// The event, if it is at hand; if not, this is noted.
    pub fn get(&mut self, event_id: &EventId) -> Option<Node<'a>> {
        if let Some(number) = self.numbers.find(event_id) {
            return self.nodes.get(number).copied();
        }
        let Some(event) = self.lookup.get(event_id) else {
            self.missing.insert(event_id.to_owned());
            return None;
        };
        let node = Node {
            number: self.numbers.add(event.event_id()),
            event,
            kind: Kind::of(event.event_type(), event.state_key()),
            rejected: self.lookup.is_rejected(event_id),
        };
        self.nodes.push(node);
        Some(node)
    }

    /// The auth events of this event that are at hand.
    pub fn auth_events(&mut self, of: Node<'a>) -> &[Node<'a>] {
        let range = match self.auth_ranges.get(of) {
            Some((start, end)) => start..end,
            None => self.look_up_auth_events(of),
        };
        self.auth_events.get(range).unwrap_or_default()
    }

    fn look_up_auth_events(&mut self, of: Node<'a>) -> Range<usize> {
        let start = self.auth_events.len();
        for event_id in of.event.auth_events() {
            if let Some(node) = self.get(event_id) {
                self.auth_events.push(node);
            }
        }
        let end = self.auth_events.len();
        self.auth_ranges.set(of, Some((start, end)));
        start..end
    }

    /// The create event of the event's room: the one its room id names, or the one among its auth
    /// events.
    pub fn create_event(&mut self, of: Node<'a>) -> Option<Node<'a>> {
        if !of.event.room_version().rules().room_id_is_create_event {
            return self.auth_event(of, Kind::Create);
        }
        let room_id = of.event.room_id();
        match self.room {
            Some((known, create)) if known == room_id => create,
            _ => {
                let create = create_event_id_of_room(room_id).ok();
                let create = create.and_then(|event_id| self.get(&event_id));
                self.room = Some((room_id, create));
                create
            }
        }
    }

    /// The first of the event's auth events that is of this kind.
    pub fn auth_event(&mut self, of: Node<'a>, kind: Kind) -> Option<Node<'a>> {
        let mut auth_events = self.auth_events(of).iter().copied();
        auth_events.find(|node| node.kind == kind)
    }

    /// Walks from these events to their auth events, and on from those that `enter` says to go on
    /// from.
    pub fn walk(
        &mut self,
        from: impl IntoIterator<Item = Node<'a>>,
        mut enter: impl FnMut(Node<'a>) -> bool,
    ) {
        let mut to_visit: Vec<_> = from.into_iter().collect();
        while let Some(node) = to_visit.pop() {
            if enter(node) {
                to_visit.extend(self.auth_events(node));
            }
        }
    }

    /// Whether every event asked for so far was at hand.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The value, if everything that went into it was at hand.
    pub fn if_complete<T>(&mut self, value: T) -> Result<T, MissingEvents> {
        if self.is_complete() {
            Ok(value)
        } else {
            Err(MissingEvents(std::mem::take(&mut self.missing)))
        }
    }
}

/// Something noted about each event; the default where nothing was.
pub(super) struct Table<T>(Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Default> Table<T> {
    pub fn get(&self, node: Node<'_>) -> T {
        self.0.get(node.number).copied().unwrap_or_default()
    }

    /// Notes a value and answers what was noted before.
    pub fn set(&mut self, node: Node<'_>, value: T) -> T {
        if self.0.len() <= node.number {
            self.0.resize_with(node.number + 1, T::default);
        }
        let entry = self.0.get_mut(node.number);
        entry.map_or_else(T::default, |entry| std::mem::replace(entry, value))
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
pub(super) struct Citations<'a> {
    /// Of the event of each number, where in `citing` those that name it begin; the next one's
    /// beginning is their end.
    starts: Vec<usize>,
    citing: Vec<Node<'a>>,
}

impl<'a> Citations<'a> {
    pub fn among<L: EventLookup>(all: &NodeSet<'a>, graph: &mut Graph<'a, L>) -> Self {
        let mut pairs = Vec::new();
        for citing in all.iter() {
            let cited = graph.auth_events(citing).iter();
            pairs.extend(cited.map(|cited| (cited.number, citing)));
        }
        pairs.sort_by_key(|(cited, _)| *cited);
        let mut starts = Vec::with_capacity(graph.nodes.len() + 1);
        for (index, (cited, _)) in pairs.iter().enumerate() {
            starts.resize(starts.len().max(cited + 1), index);
        }
        starts.push(pairs.len());
        let citing = pairs.into_iter().map(|(_, citing)| citing).collect();
        Self { starts, citing }
    }

    /// The events that name this one, as often as they do.
    pub fn of(&self, cited: Node<'a>) -> impl Iterator<Item = Node<'a>> {
        let start = self.starts.get(cited.number).copied();
        let end = self.starts.get(cited.number + 1).copied();
        let range = start.zip(end).map(|(start, end)| start..end);
        let citing = self.citing.get(range.unwrap_or_default());
        citing.unwrap_or_default().iter().copied()
    }
}
