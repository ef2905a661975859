//! Judging an event that another server sent: the checks on receipt of a PDU, in their order
//! (PDU-1).
//!
//! [`VerifyEvent`] makes checks 2 and 3 (signatures, hash); check 1, the format, was made when the
//! event was parsed. [`AdmitEvent`] makes checks 4 to 7 (auth events, state before, current
//! state, policy server), after it has seen to it that the events before it are known.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{EventId, OwnedEventId, OwnedServerName};

use super::{
    Pdu, acl,
    auth_events::needed_state,
    event_ids::EventIds,
    gap,
    import::ImportOutliers,
    judging::is_for_want_of_keys,
    merge,
    place::{self, NamedState},
    policy,
    resolution::MissingEvents,
    signing, view,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::{Outcome, SendTo},
        stop::Stop,
        world::Room,
    },
    keys,
    messaging::rescinded,
    persistence::tables::{Stage, StagedEvent, StoredEvent, Verdict},
    time::{Now, WallTime},
};

/// How an event came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another server pushed it in a transaction.
    Pushed,
    /// We asked for it to fill a gap. So many more times may what is missing before it be
    /// asked for in turn.
    Pulled(u8),
    /// Another server handed it in at `send_join` or `send_leave`; we pass it on to the room.
    HandedIn,
}

impl Source {
    /// Only who pushed an event has no interest in how it fares, and need not wait.
    fn staged(
        self,
        event: &Arc<Pdu>,
        from: &OwnedServerName,
        stage: Stage,
        received_at: WallTime,
    ) -> Option<StagedEvent> {
        (self == Self::Pushed).then(|| StagedEvent {
            event: event.clone(),
            from: from.clone(),
            stage,
            received_at,
        })
    }
}

/// An event whose format is right.
#[derive(Clone, Debug)]
pub struct VerifyEvent {
    /// The event.
    pub event: Arc<Pdu>,
    /// Who gave it to us, and is asked for what it builds on.
    pub from: OwnedServerName,
    /// How it came.
    pub source: Source,
}

impl VerifyEvent {
    /// An event from a transaction.
    #[must_use]
    pub fn pushed(event: Arc<Pdu>, from: OwnedServerName) -> Self {
        Self {
            event,
            from,
            source: Source::Pushed,
        }
    }

    /// What is kept of it if it has to wait for another server; see
    /// [`crate::transaction::staging`].
    #[must_use]
    pub fn staged(&self, now: WallTime) -> Option<StagedEvent> {
        self.source
            .staged(&self.event, &self.from, Stage::Received, now)
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let event_id = self.event.event_id();
        if is_known(event_id, facts)? {
            return Ok(Outcome::done());
        }
        if matches!(self.source, Source::Pulled(_)) && facts.failed_often(event_id) {
            let reason = "it failed again and again";
            return Ok(match facts.lacked_lately(event_id) {
                true => Outcome::lacking(event_id, reason),
                false => Outcome::failed(event_id, reason),
            });
        }
        let keys = facts.keys_for([&self.event])?;
        let signatures = signing::verify_event(&self.event, &keys);
        if is_for_want_of_keys(&self.event, &signatures, facts) {
            let reason = "who signed it has not told the key";
            return Ok(Outcome::lacking(event_id, reason));
        }
        Ok(match check_genuine(&self.event, &signatures) {
            Ok(event) => {
                let event = as_held(event, facts)?;
                Outcome::phase(AdmitEvent::new(event, self.from.clone(), self.source))
            }
            Err(reason) => Outcome::failed(event_id, reason),
        })
    }
}

impl From<StagedEvent> for Job {
    fn from(staged: StagedEvent) -> Self {
        let StagedEvent {
            event, from, stage, ..
        } = staged;
        match stage {
            Stage::Received => VerifyEvent::pushed(event, from).into(),
            Stage::Verified => AdmitEvent::new(event, from, Source::Pushed).into(),
        }
    }
}

/// Checks 2 and 3: drops what is forged, redacts what was altered (PDU-8, PDU-9).
///
/// # Errors
/// Why the event is dropped.
pub fn check_genuine(
    event: &Arc<Pdu>,
    signatures: &Result<(), signing::SignatureError>,
) -> Result<Arc<Pdu>, String> {
    match signatures {
        Err(error) => Err(error.to_string()),
        Ok(()) if event.has_claimed_content() => Ok(event.clone()),
        Ok(()) => Ok(Arc::new(event.redacted())),
    }
}

/// What we hold of an event already, as part of a state perhaps, if less of it came: servers redact
/// what they may not show, and what is left of an event may not be allowed any more.
fn as_held(event: Arc<Pdu>, facts: &Facts<'_>) -> Result<Arc<Pdu>, Blocked> {
    if event.has_claimed_content() {
        return Ok(event);
    }
    let held = facts.event(event.event_id())?;
    let whole = held.filter(|held| {
        held.redacted_because.is_none()
            && !held.verdict.is_rejected()
            && held.pdu.is_same_event(&event)
    });
    Ok(whole.map_or(event, |held| held.pdu.clone()))
}

fn is_known(event_id: &EventId, facts: &Facts<'_>) -> Result<bool, Blocked> {
    Ok(facts
        .event(event_id)?
        .is_some_and(|event| !event.is_outlier()))
}

/// An event that is genuine.
#[derive(Clone, Debug)]
pub struct AdmitEvent {
    /// The event, redacted if it was altered.
    pub event: Arc<Pdu>,
    /// Who gave it to us.
    pub from: OwnedServerName,
    /// How it came.
    pub source: Source,
    /// How far the search for what it builds on has come.
    pub gap: gap::Stage,
    /// Whether what authorises it was asked for.
    pub auth_asked: bool,
    /// When what it rests on and could not be verified was looked at again, if it was.
    pub looked_again: Option<Now>,
}

impl AdmitEvent {
    /// An event that has just been found genuine.
    #[must_use]
    pub fn new(event: Arc<Pdu>, from: OwnedServerName, source: Source) -> Self {
        Self {
            event,
            from,
            source,
            gap: gap::Stage::for_source(source),
            auth_asked: false,
            looked_again: None,
        }
    }

    /// See [`VerifyEvent::staged`].
    #[must_use]
    pub fn staged(&self, now: WallTime) -> Option<StagedEvent> {
        self.source
            .staged(&self.event, &self.from, Stage::Verified, now)
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let event = &self.event;
        if is_known(event.event_id(), facts)? {
            return Ok(Outcome::done());
        }
        let room = facts.room_at_present(event.room_id())?;
        let Some(room) = room.filter(|room| room.has_server(facts.our_name())) else {
            if facts.version_joined(event.room_id()).is_some() {
                let reason = "the room is being joined";
                return Ok(Outcome::lacking(event.event_id(), reason));
            }
            let nothing = || Outcome::failed(event.event_id(), "we are not in the room");
            let outcome = rescinded::take_back(event, &self.from, facts)?;
            return Ok(outcome.unwrap_or_else(nothing));
        };
        if self.source == Source::Pushed && !acl::allows(facts, room, &self.from)? {
            let reason = "the room's server ACL denies who sent it";
            return Ok(Outcome::failed(event.event_id(), reason));
        }
        if event.prev_events().is_empty() {
            let reason = "only the first event of a room builds on nothing";
            return Ok(Outcome::failed(event.event_id(), reason));
        }
        let previous = facts.events(event.prev_events());
        let auth = facts.events(event.auth_events());
        let (previous, auth) = (previous?, auth?);
        let is_foreign = |held: &Arc<StoredEvent>| held.pdu.room_id() != event.room_id();
        if previous.iter().flatten().any(is_foreign) {
            let reason = "it builds on an event of another room";
            return Ok(Outcome::failed(event.event_id(), reason));
        }
        let in_graph = |found: &Option<Arc<StoredEvent>>| {
            found.as_ref().is_some_and(|event| !event.is_outlier())
        };
        let missing = missing(event.prev_events(), previous.iter().map(in_graph));
        if missing.iter().any(|id| facts.is_postponed(id, &self.from)) {
            let reason = "it builds on an event that waits for another server";
            return Ok(Outcome::lacking(event.event_id(), reason));
        }
        if !missing.is_empty() {
            let ahead = (self.source == Source::Pushed).then(|| self.from.clone());
            return Ok(Outcome {
                ahead,
                ..gap::fill(self, room, missing, facts)
            });
        }
        let missing = self::missing(event.auth_events(), auth.iter().map(Option::is_some));
        if !missing.is_empty() {
            return Ok(gap::authorise(self, missing, facts));
        }
        let previous: Vec<_> = previous.into_iter().flatten().collect();
        let auth: Vec<_> = auth.into_iter().flatten().collect();
        match self.judge(room, &previous, &auth, facts) {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Refused(missing)) => {
                let reason = missing.to_string();
                Ok(Outcome::in_vain(event.event_id(), reason, facts))
            }
            Err(Stop::Blocked) => Err(Blocked),
        }
    }

    fn judge(
        &self,
        room: &Room,
        previous: &[Arc<StoredEvent>],
        auth: &[Arc<StoredEvent>],
        facts: &Facts<'_>,
    ) -> Result<Outcome, Stop<MissingEvents>> {
        let event = &self.event;
        let mut outcome = Outcome::default();
        let before = state_before(room, previous, facts, &mut outcome)?;
        let unverified = self.unverified(room, &before, auth, facts)?;
        if let Some(outcome) = self.look_again(&unverified, facts)? {
            return Ok(outcome);
        }
        let outlier = facts.event(event.event_id())?;
        let was_shown = outlier.and_then(|outlier| outlier.position);
        match self.verdict(room, &before, auth, facts)? {
            Verdict::Accepted => match policy::recommended(event, room, facts) {
                Ok(event) => {
                    let stored =
                        place::append(room, &event, &before, was_shown, facts, &mut outcome)?;
                    outcome.sends.extend(self.pass_on(room, stored));
                }
                Err(Stop::Refused(reason)) => {
                    let verdict = Verdict::SoftFailed(reason.to_string());
                    place::set_aside(event, &before, verdict, facts, &mut outcome)?;
                }
                Err(Stop::Blocked) => return Err(Stop::Blocked),
            },
            verdict => place::set_aside(event, &before, verdict, facts, &mut outcome)?,
        }
        Ok(outcome)
    }

    /// What the event is judged by and could not be verified when it came.
    fn unverified(
        &self,
        room: &Room,
        before: &NamedState,
        auth: &[Arc<StoredEvent>],
        facts: &Facts<'_>,
    ) -> Result<Vec<Arc<StoredEvent>>, Blocked> {
        let needed = needed_state(&*self.event, self.event.room_version());
        let in_states = needed.entries().flat_map(|(event_type, key)| {
            [&before.state, &room.state].map(|state| state.get(event_type, key))
        });
        let held = facts.all_held(in_states.flatten())?;
        let all = held.values().chain(auth);
        let unverified = all.filter(|event| event.verdict.is_unverified());
        let by_id: BTreeMap<_, _> = unverified
            .map(|event| (event.pdu.event_id(), event.clone()))
            .collect();
        Ok(by_id.into_values().collect())
    }

    /// Has what it rests on judged, now that the keys may be had, with what that rests on in turn.
    /// If a server still does not tell them, what the event names may be had another time; the rest
    /// [counts or does not](StoredEvent::counts), as a server that never comes back must not hold
    /// the room up. If the keys are not those of the signatures, other servers may have the event
    /// as it was signed.
    fn look_again(
        &self,
        unverified: &[Arc<StoredEvent>],
        facts: &Facts<'_>,
    ) -> Result<Option<Outcome>, Blocked> {
        if unverified.is_empty() {
            return Ok(None);
        }
        let ids = |events: &[&Arc<StoredEvent>]| {
            let ids = events.iter().map(|event| event.pdu.event_id().to_owned());
            ids.collect::<Vec<_>>()
        };
        let Some(looked_again) = self.looked_again else {
            let chain = facts.auth_chain(ids(&unverified.iter().collect::<Vec<_>>()))?;
            let chain = chain.values().filter(|event| event.verdict.is_unverified());
            let events = chain.map(|event| event.pdu.clone()).collect();
            let then = Self {
                looked_again: Some(facts.begun()),
                ..self.clone()
            };
            let first = vec![ImportOutliers { events }.into()];
            return Ok(Some(Outcome::default().then(first, then)));
        };
        let is_silent = |event: &&Arc<StoredEvent>| {
            let mut needed = keys::needed_for(&event.pdu).into_iter();
            needed.any(|(server, _)| !facts.told_keys_since(server, looked_again))
        };
        let (silent, told): (Vec<_>, Vec<_>) = unverified.iter().partition(is_silent);
        let is_named = |event: &&&Arc<StoredEvent>| {
            let mut named = self.event.auth_events().iter();
            !event.counts() && named.any(|id| id == event.pdu.event_id())
        };
        if let Some(lacking) = silent.iter().find(is_named) {
            let reason = format!("{} could not be verified", lacking.pdu.event_id());
            return Ok(Some(Outcome::lacking(self.event.event_id(), reason)));
        }
        Ok((!told.is_empty()).then(|| gap::authorise(self, ids(&told), facts)))
    }

    /// Checks 4, 5 and 6.
    fn verdict(
        &self,
        room: &Room,
        before: &NamedState,
        auth: &[Arc<StoredEvent>],
        facts: &Facts<'_>,
    ) -> Result<Verdict, Blocked> {
        let event = &self.event;
        let create = match view::create_event_named_by_room(event) {
            Some(event_id) => facts.held(&event_id)?,
            None => None,
        };
        if let Err(denied) = view::check_by_auth_events(event, auth, create.as_ref()) {
            return Ok(Verdict::Rejected(denied.to_string()));
        }
        let by_state_before = view::View::of(&before.state, event, facts)?;
        let by_current_state = view::View::of(&room.state, event, facts)?;
        if let Err(denied) = by_state_before.check(event) {
            return Ok(Verdict::Rejected(denied.to_string()));
        }
        Ok(match by_current_state.check(event) {
            Ok(()) => Verdict::Accepted,
            Err(denied) => Verdict::SoftFailed(denied.to_string()),
        })
    }

    /// Other servers send their events to the room themselves, except for what they hand in to
    /// us (TXN-14).
    fn pass_on(&self, room: &Room, event: Arc<StoredEvent>) -> Option<SendTo> {
        let origin = self.event.origin();
        let others = room.servers.keys().filter(|server| **server != *origin);
        (self.source == Source::HandedIn).then(|| SendTo {
            event,
            destinations: others.cloned().collect(),
        })
    }
}

/// The state before an event that follows these (STATE-1). Where the graph forks it may be one
/// that nobody has named yet; then it is written.
///
/// # Errors
/// Refused says that the fork cannot be resolved with the events we hold.
pub fn state_before(
    room: &Room,
    previous: &[Arc<StoredEvent>],
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<NamedState, Stop<MissingEvents>> {
    let mut names: Vec<_> = previous
        .iter()
        .filter_map(|event| event.state)
        .map(|state| state.after)
        .collect();
    names.sort();
    names.dedup();
    let states: Vec<_> = names.iter().map(|name| facts.state(*name)).collect();
    let states = states.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    let (Some(name), Some(state)) = (names.first(), states.first()) else {
        return Ok(room.current_state());
    };
    let base = NamedState {
        id: *name,
        state: state.clone(),
    };
    if names.len() == 1 {
        return Ok(base);
    }
    let resolved = merge::resolve(room, &states, None, facts)?;
    if resolved == room.state {
        return Ok(room.current_state());
    }
    Ok(place::write_state(&base, resolved, facts, outcome))
}

fn missing(event_ids: EventIds<'_>, held: impl Iterator<Item = bool>) -> Vec<OwnedEventId> {
    event_ids
        .iter()
        .zip(held)
        .filter(|(_, held)| !held)
        .map(|(id, _)| id.to_owned())
        .collect()
}
