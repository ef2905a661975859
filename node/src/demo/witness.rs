//! Notes which events a server has shown.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use comity_core::messaging::notice::Notice;
use ruma_common::OwnedEventId;

use crate::homeserver::Homeserver;

#[derive(Default)]
pub(super) struct Witness {
    seen: Mutex<BTreeSet<OwnedEventId>>,
    changed: Condvar,
}

impl Witness {
    /// Watches a server from now on.
    pub(super) fn of(homeserver: &dyn Homeserver) -> io::Result<Arc<Self>> {
        let witness = Arc::new(Self::default());
        let noting = witness.clone();
        homeserver.on_notice(Box::new(move |notice| {
            if let Ok(Notice::Event(event)) = notice {
                noting.note(event.pdu.event_id().to_owned());
            }
        }))?;
        Ok(witness)
    }

    fn note(&self, event_id: OwnedEventId) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(event_id);
        self.changed.notify_all();
    }

    /// Whether the event is seen within a time.
    pub(super) fn waits_for(&self, event_id: &OwnedEventId, within: Duration) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |seen: &mut BTreeSet<OwnedEventId>| !seen.contains(event_id);
        let waited = self.changed.wait_timeout_while(seen, within, is_missing);
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        seen.contains(event_id)
    }
}
