//! The application is shown no event twice, none before one that it builds on, and none that was
//! rejected.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{Monotonic, messaging::notice::Notice, persistence::tables::StoredEvent};
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::Invariant;
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct InOrder {
    shown: BTreeMap<OwnedServerName, Shown>,
}

/// What one application was shown.
#[derive(Debug, Default)]
struct Shown {
    events: BTreeSet<OwnedEventId>,
    /// What shown events build on and was not shown before them.
    skipped: BTreeSet<OwnedEventId>,
    rejected: BTreeSet<OwnedEventId>,
}

impl Shown {
    fn show(&mut self, server: &ServerName, event: &StoredEvent) -> Result<(), String> {
        let event_id = event.pdu.event_id();
        if event.verdict.is_rejected() || self.rejected.contains(event_id) {
            return Err(format!("{server} shows {event_id}, which it rejected"));
        }
        if self.skipped.contains(event_id) {
            return Err(format!(
                "{server} shows {event_id} after an event that builds on it"
            ));
        }
        if !self.events.insert(event_id.to_owned()) {
            return Err(format!("{server} shows {event_id} twice"));
        }
        // What was said before a server's join may reach it after.
        let is_own_join = event.pdu.membership() == Some("join") && event.pdu.origin() == server;
        if !is_own_join {
            let previous = event.pdu.prev_events().iter();
            let previous = previous.map(ToOwned::to_owned);
            let skipped: Vec<_> = previous.filter(|id| !self.events.contains(id)).collect();
            self.skipped.extend(skipped);
        }
        Ok(())
    }
}

impl Invariant for InOrder {
    fn name(&self) -> &'static str {
        "shown once, in causal order, never after being rejected"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Noticed(server, notice) = sight else {
            return Ok(());
        };
        let shown = self.shown.entry((*server).to_owned()).or_default();
        match notice {
            Notice::Event(event) => shown.show(server, event),
            Notice::NotAccepted { event, .. } if event.verdict.is_rejected() => {
                shown.rejected.insert(event.pdu.event_id().to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
