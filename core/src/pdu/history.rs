//! Taking in events from before our history of a room begins (BACKFILL-4).
//!
//! They are shown to users but are no part of the graph that new events are judged by: the state
//! around them is not known. They are judged by the events that authorise them, oldest first.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{EventId, OwnedEventId, OwnedServerName, ServerName};

use super::{
    Pdu, answers,
    import::ImportOutliers,
    judging::judge,
    redacting::{redact_new, redact_target},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::{backfill::BackfillRoom, command::Reply},
    persistence::{queries::Write, tables::StoredEvent},
    transport::remote_request::Endpoint,
};

/// How many events' authorisation is asked for one by one.
const AUTH_ASKED_MAX: usize = 10;

/// Older events of a room, as another server gave them.
#[derive(Clone, Debug)]
pub struct ImportHistory {
    /// Who gave them.
    pub from: OwnedServerName,
    /// The events.
    pub events: Vec<Arc<Pdu>>,
    /// Whether what authorises them was asked for.
    pub auth_asked: bool,
    /// What is done if nothing of it is of use.
    pub next: BackfillRoom,
}

impl ImportHistory {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if !self.auth_asked {
            let first = authorising(&self.events, &self.from, facts)?;
            let then = Self {
                auth_asked: true,
                ..self.clone()
            };
            return Ok(Outcome::default().then(vec![first.into()], then));
        }
        let judged = judge(&self.events, facts)?;
        let mut newest_first: Vec<&Arc<Pdu>> = self.events.iter().collect();
        newest_first.sort_by_key(|event| {
            (
                event.depth(),
                event.origin_server_ts(),
                event.event_id().to_owned(),
            )
        });
        newest_first.reverse();
        let mut outcome = Outcome::default();
        let mut shown = Vec::new();
        for event in newest_first
            .iter()
            .filter_map(|event| judged.find(event.event_id()))
        {
            if event.verdict.is_rejected() {
                // Stored, so that it is not asked for again.
                outcome.writes.push(Write::Event(event.clone()));
            } else if event.is_outlier() && event.position.is_none() {
                let position = Some(outcome.counters(facts).oldest());
                shown.push(StoredEvent {
                    position,
                    ..StoredEvent::clone(event)
                });
            }
        }
        let count = u32::try_from(shown.len()).unwrap_or(u32::MAX);
        for event in redact_new(shown, facts)?.into_iter().map(Arc::new) {
            outcome.writes.push(Write::Event(event.clone()));
            redact_target(&event, None, facts, &mut outcome)?;
        }
        Ok(match count {
            0 => outcome.then(Vec::new(), self.next.clone()),
            _ => outcome.with_reply(Reply::Backfilled(count)),
        })
    }
}

/// Takes in what authorises some events and is neither here nor among them, asking the server that
/// gave the events.
pub fn authorising(
    events: &[Arc<Pdu>],
    from: &ServerName,
    facts: &Facts<'_>,
) -> Result<ImportOutliers, Blocked> {
    let here: BTreeSet<&EventId> = events.iter().map(|event| event.event_id()).collect();
    let named: BTreeSet<OwnedEventId> = events
        .iter()
        .flat_map(|event| event.auth_events().iter().map(ToOwned::to_owned))
        .filter(|event_id| !here.contains(&**event_id))
        .collect();
    let held = facts.all_held(named.iter().map(|id| &**id))?;
    let missing = |id: &EventId| named.contains(id) && !held.contains_key(id);
    let lacks = |event: &&Arc<Pdu>| event.auth_events().iter().any(missing);
    let asked: Vec<_> = events
        .iter()
        .filter(lacks)
        .take(AUTH_ASKED_MAX)
        .map(|event| {
            let (room_id, event_id) = (event.room_id(), event.event_id());
            let endpoint = Endpoint::EventAuth(room_id.to_owned(), event_id.to_owned());
            (event, facts.call(from, endpoint))
        })
        .collect();
    let mut found = Vec::new();
    for (event, answer) in asked {
        if let Ok(body) = answer? {
            let version = event.room_version();
            found.extend(answers::auth_chain(body, event.room_id(), version));
        }
    }
    Ok(ImportOutliers { events: found })
}
