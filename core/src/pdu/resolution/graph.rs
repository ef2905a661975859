//! The events that a resolution looks at, each with a number: from the first look on an event is a
//! [`Node`], the entries that it is concerned with are numbers too, and no name is compared any
//! more.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{EventId, OwnedEventId};

use super::{
    EventLookup, MissingEvents,
    conflicts::Conflicts,
    numbers::{Number, Numbers},
    tables::Table,
};
use crate::pdu::{
    Pdu,
    auth_events::needed_state,
    event_type::{CREATE, JOIN_RULES, POWER_LEVELS},
    hash::create_event_id_of_room,
    state::Entry,
};

/// An event at hand.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    number: Number,
    pub kind: Kind,
    /// Whether the event may take power from somebody, or from everybody.
    pub is_power_event: bool,
    /// Whether the event was rejected on receipt.
    pub rejected: bool,
    pub event: &'a Arc<Pdu>,
}

impl<'a> Node<'a> {
    pub fn event_id(self) -> &'a EventId {
        self.event.event_id()
    }
}

impl From<Node<'_>> for Number {
    fn from(node: Node<'_>) -> Self {
        node.number
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
    pub fn of((event_type, state_key): Entry<'_>) -> Self {
        match (event_type, state_key) {
            (CREATE, "") => Self::Create,
            (POWER_LEVELS, "") => Self::PowerLevels,
            (JOIN_RULES, "") => Self::JoinRules,
            _ => Self::Other,
        }
    }
}

/// The number of an entry. Those in conflict come first, in their order.
pub(super) type Place = Number;

/// What a replay looks at again and again, read when an event is met: an event's text is far away,
/// and what else there is to read of it is near then.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    /// The entry that the event is for, if it is for any.
    pub sets: Option<Place>,
    /// The entries that it is judged by.
    pub judged_by: [Option<Place>; 6],
    /// Where room ids are made of create events, the event's room.
    room: Option<Number>,
    pub origin_server_ts: i64,
}

/// Whether this is a kick or a ban.
fn takes_membership(event: &Pdu) -> bool {
    matches!(event.membership(), Some("leave" | "ban"))
        && event.state_key() != Some(event.sender().as_str())
}

/// The events met so far, their auth events, and the ids of those that turned out to be missing.
pub(super) struct Graph<'a, L> {
    pub lookup: &'a L,
    numbers: Numbers<&'a str>,
    nodes: Vec<Node<'a>>,
    readings: Vec<Reading>,
    places: Numbers<Entry<'a>>,
    /// The places of the entries of each [`Kind`] but the last.
    singles: [Option<Place>; 3],
    rooms: Numbers<&'a str>,
    /// The create event of each room, once somebody asked.
    creates: Table<Option<Option<Node<'a>>>>,
    /// Of each event, where its auth events stand in `auth_events`, once somebody asked.
    auth_ranges: Table<Option<(u32, u32)>>,
    auth_events: Vec<Node<'a>>,
    missing: BTreeSet<OwnedEventId>,
}

impl<'a, L: EventLookup> Graph<'a, L> {
    pub fn new(lookup: &'a L, conflicts: &Conflicts<'a>) -> Self {
        let mut places = conflicts.entries().clone();
        let singles = [CREATE, POWER_LEVELS, JOIN_RULES];
        let singles = singles.map(|event_type| places.find_or_add((event_type, "")));
        let likely = conflicts.likely_events();
        Self {
            lookup,
            numbers: Numbers::with_room_for(likely),
            nodes: Vec::with_capacity(likely),
            readings: Vec::with_capacity(likely),
            places,
            singles,
            rooms: Numbers::default(),
            creates: Table::default(),
            auth_ranges: Table::with_room_for(likely),
            auth_events: Vec::with_capacity(4 * likely),
            missing: BTreeSet::new(),
        }
    }

    /// The event, if it is at hand; if not, this is noted.
    pub fn get(&mut self, event_id: &EventId) -> Option<Node<'a>> {
        match self.numbers.find(event_id.as_str()) {
            Some(number) => self.nodes.get(number.index()).copied(),
            None => self.meet(event_id),
        }
    }

    fn meet(&mut self, event_id: &EventId) -> Option<Node<'a>> {
        let Some(event) = self.lookup.get(event_id) else {
            self.missing.insert(event_id.to_owned());
            return None;
        };
        let event_type = event.event_type();
        let own = event.state_key().map(|state_key| (event_type, state_key));
        let kind = own.map_or(Kind::Other, Kind::of);
        let node = Node {
            number: self.numbers.add(event.event_id().as_str())?,
            kind,
            is_power_event: kind != Kind::Other || takes_membership(event),
            rejected: self.lookup.is_rejected(event_id),
            event,
        };
        self.nodes.push(node);
        let reading = self.read(event, own);
        self.readings.push(reading);
        Some(node)
    }

    fn read(&mut self, event: &'a Pdu, own: Option<Entry<'a>>) -> Reading {
        let sets = own.and_then(|own| self.place(own));
        let mut judged_by = [None; 6];
        let needed = needed_state(event, event.room_version());
        for (needed, judged_by) in needed.entries().zip(&mut judged_by) {
            let own_place = sets.filter(|_| Some(needed) == own);
            *judged_by = own_place.or_else(|| self.place(needed));
        }
        let names_create = event.room_version().rules().room_id_is_create_event;
        let room = names_create.then(|| event.room_id().as_str());
        Reading {
            sets,
            judged_by,
            room: room.and_then(|room| self.rooms.find_or_add(room)),
            origin_server_ts: event.origin_server_ts(),
        }
    }

    /// The number of an entry.
    pub fn place(&mut self, entry: Entry<'a>) -> Option<Place> {
        match self.singles.get(Kind::of(entry) as usize) {
            Some(place) => *place,
            None => self.places.find_or_add(entry),
        }
    }

    /// The entries that were met so far, in the order of their numbers.
    pub fn places(&self) -> &Numbers<Entry<'a>> {
        &self.places
    }

    /// What was read of the event.
    pub fn reading(&self, of: Node<'a>) -> Reading {
        self.readings
            .get(of.number.index())
            .copied()
            .unwrap_or_default()
    }

    /// The number of an entry, if the event is judged by it.
    pub fn place_needed(&self, node: Node<'a>, entry: Entry<'_>) -> Option<Place> {
        let single = self
            .singles
            .get(Kind::of(entry) as usize)
            .copied()
            .flatten();
        let is_it = |place: &Place| match single {
            Some(single) => *place == single,
            None => self.places.name(*place) == Some(entry),
        };
        let needed = self.reading(node).judged_by;
        needed.into_iter().flatten().find(is_it)
    }

    /// The auth events of this event that are at hand.
    pub fn auth_events(&mut self, of: Node<'a>) -> &[Node<'a>] {
        if self.auth_ranges.get(of).is_none() {
            self.look_up_auth_events(of);
        }
        self.known_auth_events(of)
    }

    /// The same, once they were looked up.
    pub fn known_auth_events(&self, of: Node<'a>) -> &[Node<'a>] {
        let range = self.auth_ranges.get(of);
        let range = range.map(|(start, end)| start as usize..end as usize);
        let known = self.auth_events.get(range.unwrap_or_default());
        known.unwrap_or_default()
    }

    fn look_up_auth_events(&mut self, of: Node<'a>) {
        let start = self.auth_events.len() as u32;
        for event_id in of.event.auth_events().texts() {
            let node = match self.numbers.find(event_id) {
                Some(number) => self.nodes.get(number.index()).copied(),
                None => event_id.try_into().ok().and_then(|id| self.meet(id)),
            };
            self.auth_events.extend(node);
        }
        let end = self.auth_events.len() as u32;
        self.auth_ranges.set(of, Some((start, end)));
    }

    /// The create event of the event's room: the one its room id names, or the one among its auth
    /// events.
    pub fn create_event(&mut self, of: Node<'a>) -> Option<Node<'a>> {
        let Some(room) = self.reading(of).room else {
            return self.auth_event(of, Kind::Create);
        };
        self.creates.get(room).unwrap_or_else(|| {
            let room_id = self.rooms.name(room)?.try_into().ok()?;
            let create = self.get(&create_event_id_of_room(room_id).ok()?);
            self.creates.set(room, Some(create));
            create
        })
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
        mut enter: impl FnMut(&Self, Node<'a>) -> bool,
    ) {
        let mut to_visit: Vec<_> = from.into_iter().collect();
        while let Some(node) = to_visit.pop() {
            if enter(self, node) {
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
