//! What is stored, as explanations look at it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName};

use crate::{
    pdu::{Pdu, StateMap, resolution::EventLookup, signing::VerifyKey},
    persistence::{
        queries::{Answer, LoadedRoom, Read, StoreError},
        tables::{SnapshotId, StoredEvent},
    },
};

/// Asks the store.
pub type Ask<'a> = dyn Fn(Read) -> Result<Answer, StoreError> + 'a;

/// What is stored, and what of it has been asked for already.
pub struct Archive<'a> {
    ask: Box<Ask<'a>>,
    own_keys: Option<(OwnedServerName, Arc<[VerifyKey]>)>,
    events: RefCell<BTreeMap<OwnedEventId, Arc<StoredEvent>>>,
}

impl<'a> Archive<'a> {
    /// What this store holds. Our own keys, which no store holds, are needed to check what we signed.
    pub fn new(
        ask: impl Fn(Read) -> Result<Answer, StoreError> + 'a,
        own_keys: Option<(OwnedServerName, Arc<[VerifyKey]>)>,
    ) -> Self {
        Self {
            ask: Box::new(ask),
            own_keys,
            events: RefCell::default(),
        }
    }

    /// Whether this server is ours.
    pub fn is_own(&self, server: &ServerName) -> bool {
        let own = self.own_keys.as_ref();
        own.is_some_and(|(name, _)| name == server)
    }

    /// One event, if it is held.
    pub fn event(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        Ok(self.events([event_id])?.pop())
    }

    /// Those of these events that are held, in the order in which they are named.
    pub fn events<'i>(
        &self,
        event_ids: impl IntoIterator<Item = &'i EventId>,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let event_ids: Vec<&EventId> = event_ids.into_iter().collect();
        let unasked: BTreeSet<&EventId> = {
            let kept = self.events.borrow();
            let is_new = |event_id: &&EventId| !kept.contains_key(*event_id);
            event_ids.iter().copied().filter(is_new).collect()
        };
        if !unasked.is_empty() {
            let unasked = unasked.into_iter().map(ToOwned::to_owned).collect();
            self.read_events(Read::Events(unasked))?;
        }
        let kept = self.events.borrow();
        Ok(event_ids
            .into_iter()
            .filter_map(|event_id| kept.get(event_id).cloned())
            .collect())
    }

    /// Asks for events and keeps them.
    pub fn read_events(&self, read: Read) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let Answer::Events(events) = (self.ask)(read)? else {
            return Err(other_answer());
        };
        let entry = |event: &Arc<StoredEvent>| (event.pdu.event_id().to_owned(), event.clone());
        self.events.borrow_mut().extend(events.iter().map(entry));
        Ok(events)
    }

    /// A whole state.
    pub fn state(&self, snapshot: SnapshotId) -> Result<StateMap, StoreError> {
        match (self.ask)(Read::Snapshot(snapshot))? {
            Answer::State(Some(entries)) => Ok(entries
                .into_iter()
                .map(|entry| (entry.key, entry.event_id))
                .collect()),
            Answer::State(None) => Err(StoreError::Damaged(format!(
                "state {} is named and not there",
                snapshot.0
            ))),
            _ => Err(other_answer()),
        }
    }

    /// A room that we take or took part in.
    pub fn room(&self, room_id: &RoomId) -> Result<Option<Box<LoadedRoom>>, StoreError> {
        match (self.ask)(Read::Room(room_id.to_owned()))? {
            Answer::Room(room) => Ok(room),
            _ => Err(other_answer()),
        }
    }

    /// All keys held of a server.
    pub fn keys(&self, server: &ServerName) -> Result<Vec<VerifyKey>, StoreError> {
        let Answer::Keys(records) = (self.ask)(Read::ServerKeys(server.to_owned()))? else {
            return Err(other_answer());
        };
        let own = self.own_keys.iter().filter(|(name, _)| name == server);
        let own = own.flat_map(|(_, keys)| keys.iter().cloned());
        Ok(own.chain(records.iter().map(VerifyKey::from)).collect())
    }

    /// What has been asked for so far, for the rules to look events up in.
    pub fn at_hand(&self) -> AtHand {
        AtHand(self.events.borrow().clone())
    }
}

fn other_answer() -> StoreError {
    StoreError::Failed("the store answered another question".to_owned())
}

/// Events that have been asked for.
pub struct AtHand(BTreeMap<OwnedEventId, Arc<StoredEvent>>);

impl AtHand {
    /// One of them.
    pub fn stored(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        self.0.get(event_id)
    }
}

impl EventLookup for AtHand {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.0.get(event_id).map(|event| &event.pdu)
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.0.get(event_id).is_some_and(|event| !event.counts())
    }
}
