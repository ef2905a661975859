//! A room's state at one moment: a map from (event type, state key) to event id.
//!
//! [`StateMap`] is a persistent map. A clone costs nothing and shares everything; an insertion or a
//! removal copies the path to the entry and shares the rest, so that a room can keep a snapshot per
//! event; a difference skips whatever two maps share (`walk`), so that it costs about what differs.
//! It is a B+ tree (`tree`), whose height does not depend on the keys that peers choose, with the
//! texts of each node packed into one (`rows`), so that a member costs little more than the texts
//! that name it.

mod rows;
mod tree;
mod users;
mod walk;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use ruma_common::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::tree::{Change, Tree, changed, size};
pub use self::users::UserSet;
pub use self::walk::{Iter, StateChange};
use self::walk::{Pending, as_event_id};
use super::unpadded_base64;

/// An entry of a state: its event type and its state key.
pub type Entry<'a> = (&'a str, &'a str);

/// What a state event is the state of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// The key as an entry.
    pub fn as_entry(&self) -> Entry<'_> {
        (&self.event_type, &self.state_key)
    }
}

impl From<Entry<'_>> for StateKey {
    fn from((event_type, state_key): Entry<'_>) -> Self {
        Self::new(event_type, state_key)
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
        let event_id = self.root.as_ref()?.get((event_type, state_key))?;
        as_event_id(event_id)
    }

    /// The event for this key.
    pub fn get_key(&self, key: &StateKey) -> Option<&EventId> {
        self.get(&key.event_type, &key.state_key)
    }

    /// Sets the event for a key.
    pub fn insert(&mut self, key: StateKey, event_id: OwnedEventId) {
        self.set(key.as_entry(), &event_id);
    }

    /// Sets the event for an entry.
    pub fn set(&mut self, entry: Entry<'_>, event_id: &EventId) {
        self.change([(entry, Some(event_id))]);
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, key: &StateKey) {
        if self.get_key(key).is_some() {
            self.change([(key.as_entry(), None)]);
        }
    }

    /// Sets or removes many entries at once, which is cheaper than one by one. They are to be in
    /// order and no two of them the same.
    pub fn change<'a>(
        &mut self,
        changes: impl IntoIterator<Item = (Entry<'a>, Option<&'a EventId>)>,
    ) {
        let changes = changes.into_iter();
        let changes: Vec<Change<'a>> = changes
            .map(|(entry, event_id)| (entry, event_id.map(EventId::as_str)))
            .collect();
        self.root = changed(&self.root, &changes);
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
    pub fn diff<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = StateChange<'a>> {
        let (mut before, mut after) = (Pending::start(&self.root), Pending::start(&other.root));
        std::iter::from_fn(move || Pending::compare(&mut before, &mut after)).flatten()
    }

    /// SHA-256 over all entries in order: equal for equal states, whatever made them.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for ((event_type, state_key), event_id) in self.iter() {
            for text in [event_type, state_key, event_id.as_str()] {
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
        let entries = self
            .iter()
            .map(|(key, event_id)| (StateKey::from(key), event_id));
        f.debug_map().entries(entries).finish()
    }
}

/// Of entries with the same key the last one counts.
impl FromIterator<(StateKey, OwnedEventId)> for StateMap {
    fn from_iter<I: IntoIterator<Item = (StateKey, OwnedEventId)>>(entries: I) -> Self {
        let sorted: BTreeMap<_, _> = entries.into_iter().collect();
        let mut state = Self::new();
        let entries = sorted.iter();
        state.change(entries.map(|(key, event_id)| (key.as_entry(), Some(&**event_id))));
        state
    }
}

impl<'a> IntoIterator for &'a StateMap {
    type Item = (Entry<'a>, &'a EventId);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
