//! Filling gaps: what an event builds on, or is authorised by, and we do not hold (PDU-15, PDU-16).
//!
//! A [`SeekEvents`] asks for what one event lacks: in a few [`Stage`]s, each with several servers in
//! turn, one question at a time. Every answer becomes jobs that are done before it looks again. While
//! it asks, whoever else needs one of those events waits, so that nothing is asked for twice.
//!
//! Nothing here recurses: what is found missing before a fetched event is a gap of that event, and
//! how deep that may go is data in the job ([`Source::Pulled`]). How much one server may make us
//! fetch in one room in a while is bounded as well ([`Settings::pulled_max`]), and no server is
//! asked for the same in the same way twice in a minute.
//!
//! [`Settings::pulled_max`]: crate::messaging::settings::Settings::pulled_max
//!
//! A gap ends in one of four ways. It is filled, and the event is judged. It is bridged
//! ([`super::bridge`]), and the application told of the hole. Nobody has what is missing, and the
//! event is refused. Or it is put off, since too much was asked for already. What is not taken in
//! may come again.

use std::sync::Arc;

use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::{
    Pdu,
    admit::{AdmitEvent, Source},
    bridge,
    sources::sources,
    walk,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::{Outcome, Searched},
        world::Room,
    },
    persistence::tables::StoredEvent,
    transport::remote_response::RemoteResponse,
};

/// How many servers are asked for the same thing.
const SOURCES_MAX: usize = 3;

/// For how many events others are asked because of what one server gave us of one room, in ten
/// minutes: who makes up what its events build on must not make us trouble everybody.
const ERRANDS_MAX: u32 = 200;

/// How what an event lacks is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its previous events and what came before them: by `get_missing_events` from who gave us the
    /// event, by `backfill` from others, who may not have it.
    Walk,
    /// Its previous events, one by one, from who gave us the event: others have been asked for all
    /// of them at once.
    Single,
    /// Its previous events with the state before each of them: for events whose history lies
    /// before our time in the room, and for fetched ones, where it may well do so.
    Bridge,
    /// What authorises it, by `event_auth`.
    Authorise,
    /// Not at all: the event is not taken in.
    GiveUp,
}

impl Stage {
    /// Where to begin with an event that came this way.
    #[must_use]
    pub fn for_source(source: Source) -> Self {
        match source {
            Source::Pushed | Source::Pulled(1..) => Self::Walk,
            Source::Pulled(0) => Self::Bridge,
            Source::HandedIn => Self::GiveUp,
        }
    }

    fn next(self, source: Source) -> Self {
        match (self, source) {
            (Self::Walk, _) => Self::Single,
            (Self::Single, Source::Pulled(_)) => Self::Bridge,
            (Self::Single, Source::Pushed | Source::HandedIn)
            | (Self::Bridge | Self::Authorise | Self::GiveUp, _) => Self::GiveUp,
        }
    }
}

/// Has the missing previous events of an event sought, once; then it is looked at again.
pub fn fill(
    job: &AdmitEvent,
    room: &Room,
    missing: Vec<OwnedEventId>,
    facts: &Facts<'_>,
) -> Outcome {
    let before_our_time = job.event.depth() <= room.least_depth;
    let stage = match job.gap {
        Stage::Walk if before_our_time => Stage::Bridge,
        Stage::GiveUp => return given_up(job, "previous", &missing, facts),
        stage => stage,
    };
    let seek = SeekEvents::new(job, missing, stage);
    let then = AdmitEvent {
        gap: Stage::GiveUp,
        ..job.clone()
    };
    Outcome::default().then(vec![seek.into()], then)
}

/// Has what authorises an event and is missing sought, once; then it is looked at again.
pub fn authorise(job: &AdmitEvent, missing: Vec<OwnedEventId>, facts: &Facts<'_>) -> Outcome {
    if job.auth_asked {
        return given_up(job, "auth", &missing, facts);
    }
    let seek = SeekEvents::new(job, missing, Stage::Authorise);
    let then = AdmitEvent {
        auth_asked: true,
        ..job.clone()
    };
    Outcome::default().then(vec![seek.into()], then)
}

fn given_up(job: &AdmitEvent, kind: &str, missing: &[OwnedEventId], facts: &Facts<'_>) -> Outcome {
    let event_id = job.event.event_id();
    let what = format!("{kind} events {missing:?}");
    if was_pulled_enough(&job.event, &job.from, facts) {
        let reason = format!("too much was asked of {} lately; it lacks {what}", job.from);
        return Outcome::lacking(event_id, reason);
    }
    if missing.iter().any(|id| facts.lacked_lately(id)) {
        return Outcome::lacking(event_id, format!("its {what} could not be judged"));
    }
    Outcome::in_vain(event_id, format!("its {what} are nowhere to be had"), facts)
}

/// Whether a server has made us fetch so much of the event's room lately that it is not asked now.
fn was_pulled_enough(event: &Pdu, server: &ServerName, facts: &Facts<'_>) -> bool {
    facts.pulled_lately(event.room_id(), server) >= facts.settings().pulled_max
}

/// The search for what one event lacks.
#[derive(Clone, Debug)]
pub struct SeekEvents {
    /// The event.
    pub of: Arc<Pdu>,
    /// Who gave it to us, and is asked first.
    pub from: OwnedServerName,
    /// How it came.
    pub source: Source,
    /// What it lacks.
    pub missing: Vec<OwnedEventId>,
    stage: Stage,
    /// How many servers were asked in this stage.
    asked: usize,
    /// Whether they are being asked once more, since one of them did not answer.
    again: bool,
    /// Whether one of them did not answer in this stage.
    unanswered: bool,
    /// The server that is being asked; `None` while it is looked what is still missing.
    asking: Option<OwnedServerName>,
}

/// What came of asking a server.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to be done with what it gave.
    pub jobs: Vec<Job>,
    /// How many events it gave.
    pub events: usize,
    /// Whether it answered at all.
    pub answered: bool,
}

impl Found {
    /// Nothing, from a server that may have answered.
    #[must_use]
    pub fn nothing(response: &RemoteResponse) -> Self {
        let answered = match response {
            Ok(_) => true,
            Err(error) => error.is_an_answer(),
        };
        Self {
            answered,
            ..Self::default()
        }
    }
}

impl SeekEvents {
    fn new(job: &AdmitEvent, missing: Vec<OwnedEventId>, stage: Stage) -> Self {
        Self {
            of: job.event.clone(),
            from: job.from.clone(),
            source: job.source,
            missing,
            stage,
            asked: 0,
            again: false,
            unanswered: false,
            asking: None,
        }
    }

    /// The events for which others are to wait: those that are being asked for. It asks without
    /// waiting for any event itself, so that nobody waits in a circle.
    #[must_use]
    pub fn events_sought(&self) -> &[OwnedEventId] {
        match &self.asking {
            Some(_) => &self.missing,
            None => &[],
        }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Some(room) = facts.room(self.of.room_id())? else {
            return Ok(Outcome::done());
        };
        match &self.asking {
            None => self.look(room, facts),
            Some(server) => self.ask(server, room, facts),
        }
    }

    /// What is still missing, and whom to ask for it next.
    fn look(&self, room: &Room, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let found = facts.events(&self.missing)?;
        let is_there = |found: &Option<Arc<StoredEvent>>| match (self.stage, found) {
            (_, None) => false,
            (Stage::Authorise, Some(event)) => !event.verdict.is_unverified(),
            (_, Some(event)) => !event.is_outlier(),
        };
        let missing = self.missing.iter().zip(&found);
        let missing = missing.filter(|(_, found)| !is_there(found));
        let mut next = self.clone();
        next.missing = missing.map(|(event_id, _)| event_id.clone()).collect();
        if next.missing.is_empty() {
            return Ok(Outcome::done());
        }
        while next.stage != Stage::GiveUp {
            let servers = next.sources(room, facts);
            let Some(server) = servers.get(next.asked) else {
                next.go_on();
                continue;
            };
            next.asked += 1;
            if next.is_worth_asking(server, facts) {
                return Ok(next.turn_to(server));
            }
        }
        Ok(Outcome::done())
    }

    /// To the next stage, when all servers were asked. A walk is repeated once if one of them did
    /// not answer: what a single lost answer makes us step over, nobody may bring any more.
    fn go_on(&mut self) {
        self.asked = 0;
        let repeats = self.stage == Stage::Walk && self.unanswered && !self.again;
        (self.again, self.unanswered) = (repeats, false);
        if !repeats {
            self.stage = self.stage.next(self.source);
        }
    }

    fn turn_to(self, server: &OwnedServerName) -> Outcome {
        let events = u32::try_from(self.missing.len()).unwrap_or(u32::MAX);
        let searched = Searched {
            server: server.clone(),
            room_id: self.of.room_id().to_owned(),
            stage: self.stage,
            asked: Vec::new(),
            events: 0,
            errand: (*server != self.from).then(|| (self.from.clone(), events)),
        };
        let then = Self {
            asking: Some(server.clone()),
            ..self
        };
        Outcome {
            searched: Some(searched),
            ..Outcome::phase(then)
        }
    }

    /// Who gave the event, who made it if still in the room, and others in the room. What the
    /// state before a hole was, others are asked first: nobody gains more by a lie than who made
    /// the event after it, and nobody could tell.
    fn sources(&self, room: &Room, facts: &Facts<'_>) -> Vec<OwnedServerName> {
        let mut first: Vec<&ServerName> = vec![&self.from];
        first.extend(Some(self.of.origin()).filter(|origin| room.has_server(origin)));
        let max = match (self.stage, facts.errands_lately(&room.room_id, &self.from)) {
            (Stage::Single, _) | (_, ERRANDS_MAX..) => 1,
            _ => SOURCES_MAX,
        };
        let mut servers = sources(room, &first, max, facts);
        if self.stage == Stage::Bridge {
            servers.sort_by_key(|server| (server == self.of.origin(), *server == self.from));
        }
        servers
    }

    fn is_worth_asking(&self, server: &OwnedServerName, facts: &Facts<'_>) -> bool {
        let asked = |id: &OwnedEventId| facts.asked_lately(id, server, self.stage);
        !was_pulled_enough(&self.of, server, facts) && !self.missing.iter().all(asked)
    }

    fn ask(
        &self,
        server: &OwnedServerName,
        room: &Room,
        facts: &Facts<'_>,
    ) -> Result<Outcome, Blocked> {
        let found = match self.stage {
            Stage::Walk => walk::walk(self, server, room, facts)?,
            Stage::Single => walk::singles(self, server, room, facts)?,
            Stage::Bridge => bridge::bridges(server, room, &self.missing, facts)?,
            Stage::Authorise => walk::auth_chain(self, server, facts)?,
            Stage::GiveUp => Found::default(),
        };
        let asked = if found.answered { &*self.missing } else { &[] };
        let searched = Searched {
            server: server.clone(),
            room_id: room.room_id.clone(),
            stage: self.stage,
            asked: asked.to_vec(),
            events: u32::try_from(found.events).unwrap_or(u32::MAX),
            errand: None,
        };
        let then = Self {
            asking: None,
            unanswered: self.unanswered || !found.answered,
            ..self.clone()
        };
        Ok(Outcome {
            searched: Some(searched),
            ..Outcome::default()
        }
        .then(found.jobs, then))
    }
}
