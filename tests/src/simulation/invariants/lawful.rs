//! Every event that an honest server holds was judged as the rules say, whatever it came from:
//! checked once more when all is quiet, by the rules alone.
//!
//! What was accepted is signed by those who must sign it, holds what its hash says or what a
//! redaction leaves of it, has the id that follows from it, is allowed by its auth events and by
//! the state before it, and has nothing of another room about it. What was rejected is not: and
//! it leaves the state as it was, is no end of the graph, and nothing that the server makes builds
//! on it. (What a membership builds on, another server may have said.)

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use comity_core::{
    keys::OwnKeys,
    pdu::{
        Pdu,
        authorisation::{self, AuthEvent},
        event_type::CREATE,
        hash::create_event_id_of_room,
        signing::{self, KnownKeys},
    },
    persistence::{
        queries::Read,
        tables::{EventState, SnapshotId, StoredEvent, Verdict},
    },
};
use ruma_common::{EventId, OwnedServerName, RoomId, UserId};

use super::{Ending, Invariant, StoredEvents};
use crate::simulation::{exempt::Exempt, network::Network};

/// See the module.
#[derive(Debug)]
pub struct Lawful;

impl Invariant for Lawful {
    fn name(&self) -> &'static str {
        "every event is judged by the rules"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        let names = end.network.names();
        let keys: KnownKeys = names
            .iter()
            .map(|name| (name.clone(), end.network.server(name.as_str()).own_keys()))
            .map(|(name, own): (_, OwnKeys)| (name, own.verify_keys()))
            .collect();
        for server in end.honest {
            let mut court = Court {
                server,
                network: end.network,
                stored: &end.stored[server],
                keys: &keys,
                exempt: end.exempt,
                states: BTreeMap::new(),
            };
            court.sit()?;
            for (room_id, inside) in end.summaries {
                if let Some(summary) = inside.get(server) {
                    court.check_room(room_id, &summary.extremities, summary.current)?;
                }
            }
        }
        Ok(())
    }
}

/// The events of one server, and the rules.
struct Court<'w> {
    server: &'w OwnedServerName,
    network: &'w mut Network,
    stored: &'w StoredEvents,
    keys: &'w KnownKeys,
    exempt: &'w Exempt,
    /// States that were looked up.
    states: BTreeMap<SnapshotId, Rc<Vec<Arc<StoredEvent>>>>,
}

impl Court<'_> {
    fn sit(&mut self) -> Result<(), String> {
        for event in self.stored.values() {
            self.check(event)
                .map_err(|what| format!("{}: {what}: {event:?}", self.server))?;
        }
        Ok(())
    }

    /// What could not be verified for want of keys was not judged yet: nothing has rested on it since
    /// they could be had.
    fn check(&mut self, event: &Arc<StoredEvent>) -> Result<(), String> {
        if event.verdict.is_unverified() {
            return match event.state {
                None => Ok(()),
                Some(_) => Err("was not verified and stands in the graph".to_owned()),
            };
        }
        if !event.verdict.is_rejected() {
            self.check_genuine(&event.pdu)?;
        }
        if let Some(around) = event.state {
            self.check_place(event, around)?;
        }
        match self.lawful(event) {
            Some(Err(why)) if !event.verdict.is_rejected() => Err(format!("is not allowed: {why}")),
            Some(Ok(())) if event.verdict.is_rejected() => Err("was rejected wrongly".to_owned()),
            _ => Ok(()),
        }
    }

    fn check_genuine(&self, event: &Pdu) -> Result<(), String> {
        signing::verify_event(event, self.keys).map_err(|error| error.to_string())?;
        if !event.has_claimed_content() && event.json() != event.redacted().json() {
            return Err("holds what its hash does not say".to_owned());
        }
        let again = Pdu::parse(event.json(), event.room_version());
        let again = again.map_err(|error| error.to_string())?;
        match again.event_id() == event.event_id() {
            true => Ok(()),
            false => Err(format!("should have the id {}", again.event_id())),
        }
    }

    /// What stands around an event in the graph is of its room, and the state after it follows
    /// from the one before it.
    fn check_place(&mut self, event: &Arc<StoredEvent>, around: EventState) -> Result<(), String> {
        let pdu = &event.pdu;
        for id in pdu.prev_events() {
            let previous = self.stored.get(id);
            if previous.is_some_and(|previous| previous.pdu.room_id() != pdu.room_id()) {
                return Err(format!("builds on {id} of another room"));
            }
            let own = pdu.origin() == self.server && pdu.membership().is_none();
            if own && previous.is_some_and(|previous| previous.verdict != Verdict::Accepted) {
                return Err(format!(
                    "is our own and builds on {id}, which was not accepted"
                ));
            }
        }
        self.check_state(pdu.room_id(), around.before)?;
        let changes = event.pdu.is_state() && !event.verdict.is_rejected();
        if !changes && around.before != around.after {
            return Err("changes the state".to_owned());
        }
        let after = self.state(around.after);
        match !changes || after.iter().any(|it| it.pdu.event_id() == pdu.event_id()) {
            true => Ok(()),
            false => Err("is not in the state after it".to_owned()),
        }
    }

    /// Nothing rejected, and nothing of another room, is in a state. Who was misled may reject what
    /// stands in a state that another server told; and what could not be verified stands in it
    /// until it is judged.
    fn check_state(&mut self, room_id: &RoomId, id: SnapshotId) -> Result<(), String> {
        if self.states.contains_key(&id) {
            return Ok(());
        }
        let state = self.state(id);
        let clear = !self.exempt.covers(room_id, &[self.server]);
        let intruder = state
            .iter()
            .find(|event| (clear && is_judged_bad(event)) || event.pdu.room_id() != room_id);
        match intruder {
            None => Ok(()),
            Some(intruder) => Err(format!("in a state of {room_id} stands {intruder:?}")),
        }
    }

    /// What the rules say of an event, if that can still be told: what was redacted since may have
    /// looked otherwise when it was judged.
    fn lawful(&mut self, event: &Arc<StoredEvent>) -> Option<Result<(), String>> {
        let pdu = &event.pdu;
        let auth = pdu
            .auth_events()
            .iter()
            .map(|id| self.stored.get(id).cloned());
        let auth: Vec<Arc<StoredEvent>> = auth.collect::<Option<_>>()?;
        if self.is_handed_invite(event) && auth.iter().any(|event| !event.counts()) {
            return None;
        }
        let create = self.create_event(pdu);
        let before = event.state.map(|around| self.state(around.before));
        let before = before.as_deref().map(Vec::as_slice).unwrap_or_default();
        let mut judges = auth.iter().chain(before).chain([event]);
        if judges.any(|judge| judge.redacted_because.is_some()) {
            return None;
        }
        let by_auth = by_auth_events(pdu, &auth, create.as_ref());
        let by_state = match event.state {
            Some(_) => by_state(pdu, before),
            None => Ok(()),
        };
        Some(by_auth.and(by_state))
    }

    /// Whether an event is an invite of one of the server's users that was handed to it and stands
    /// in no graph: who is invited to a room that it is not in cannot judge that.
    fn is_handed_invite(&self, event: &StoredEvent) -> bool {
        let target = event.pdu.state_key().map(<&UserId>::try_from);
        let is_ours = target.is_some_and(|target| {
            target.is_ok_and(|target| target.server_name() == &**self.server)
        });
        event.state.is_none() && event.pdu.membership() == Some("invite") && is_ours
    }

    /// The create event that a room's id names, in versions where it does.
    fn create_event(&self, event: &Pdu) -> Option<Arc<StoredEvent>> {
        let named = event.room_version().rules().room_id_is_create_event;
        let event_id = create_event_id_of_room(event.room_id())
            .ok()
            .filter(|_| named)?;
        let event_id: &EventId = &event_id;
        self.stored.get(event_id).cloned()
    }

    fn state(&mut self, id: SnapshotId) -> Rc<Vec<Arc<StoredEvent>>> {
        let host = self.network.server(self.server.as_str());
        let read = || Rc::new(host.events(Read::SnapshotEvents(id)));
        self.states.entry(id).or_insert_with(read).clone()
    }

    fn check_room(
        &mut self,
        room_id: &RoomId,
        ends: &[ruma_common::OwnedEventId],
        current: SnapshotId,
    ) -> Result<(), String> {
        self.check_state(room_id, current)?;
        let all: BTreeSet<_> = ends.iter().collect();
        for end in all {
            let held = self.stored.get(end);
            let fit = held.is_some_and(|held| {
                held.verdict == Verdict::Accepted
                    && !held.is_outlier()
                    && held.pdu.room_id() == room_id
            });
            if !fit {
                let server = self.server;
                return Err(format!("{server} has an end of {room_id} in {held:?}"));
            }
        }
        Ok(())
    }
}

fn is_judged_bad(event: &StoredEvent) -> bool {
    event.verdict.is_rejected() && !event.verdict.is_unverified()
}

fn by_auth_events(
    event: &Pdu,
    auth: &[Arc<StoredEvent>],
    create: Option<&Arc<StoredEvent>>,
) -> Result<(), String> {
    let named: Vec<_> = auth.iter().map(auth_event).collect();
    let allowed = authorisation::check_auth_events(event, &named, create.map(auth_event));
    allowed.map_err(|denied| {
        let bad = auth.iter().filter(|event| !event.counts());
        let why: Vec<_> = bad.map(|event| format!("{event:?}")).collect();
        format!("by its auth events: {denied}; of these do not count {why:?}")
    })?;
    let mut view: Vec<_> = auth.iter().map(|event| event.pdu.clone()).collect();
    view.extend(create.map(|event| event.pdu.clone()));
    by_view(event, &view).map_err(|why| format!("by its auth events: {why}"))
}

fn by_state(event: &Pdu, before: &[Arc<StoredEvent>]) -> Result<(), String> {
    let before = before.iter().filter(|event| event.counts());
    let view: Vec<_> = before.map(|event| event.pdu.clone()).collect();
    by_view(event, &view).map_err(|why| format!("by the state before it: {why}"))
}

fn by_view(event: &Pdu, view: &Vec<Arc<Pdu>>) -> Result<(), String> {
    let create = view.iter().find(|event| event.is_state_for(CREATE, ""));
    match create {
        Some(create) => {
            authorisation::check_state(event, create, view).map_err(|denied| denied.to_string())
        }
        None if event.event_type() == CREATE => Ok(()),
        None => Err("there is no create event".to_owned()),
    }
}

fn auth_event(event: &Arc<StoredEvent>) -> AuthEvent<'_> {
    AuthEvent {
        event: &event.pdu,
        rejected: !event.counts(),
    }
}
