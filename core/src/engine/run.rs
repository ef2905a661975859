//! The life of a job: created, asked until it knows enough, applied, followed by its next phase,
//! ended.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Asker, Engine, JobId, RUNS_MAX, Running,
    departures::Departure,
    facts::{Blocked, Facts},
    job::Job,
    need::{Met, Need},
    outcome::{Fate, JobAnswer, Next, Outcome},
    registry::Identity,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::OwnedEventId;
use serde_json::json;

use crate::{
    action::Action,
    input::QueryId,
    messaging::command::{CommandError, Reply},
    persistence::queries::Write,
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

impl Engine {
    pub(super) fn create(
        &mut self,
        job: Job,
        askers: Vec<Asker>,
        parent: Option<(JobId, usize)>,
    ) -> JobId {
        let id = JobId(self.next_id());
        let running = Running {
            job,
            askers,
            parent,
            met: BTreeMap::new(),
            waits_for: BTreeSet::new(),
            fates: Vec::new(),
            children: 0,
            is_held_up: false,
            went_unanswered: false,
            staged: None,
            runs: 0,
            since: self.now,
        };
        self.jobs.insert(id, running);
        self.enlist(id);
        id
    }

    /// Registers what a job works on and makes it run, unless it repeats a transaction or command
    /// that is under way: then whoever asked waits for that one's answer (TXN-7).
    fn enlist(&mut self, id: JobId) {
        let Some(running) = self.jobs.get(&id) else {
            return;
        };
        for identity in running.job.identities() {
            if let Some(first) = self.repeated(id, &identity) {
                self.join(id, first);
                return;
            }
            self.registry.begin(identity, id);
        }
        self.ready.push_back(id);
    }

    /// The job under way that this one repeats, if what it does is to be done once.
    fn repeated(&self, id: JobId, identity: &Identity) -> Option<JobId> {
        let first = self.registry.at_work(identity)?;
        let is_repetition = matches!(
            identity,
            Identity::Transaction(..) | Identity::Once(_) | Identity::Ends(_)
        );
        Some(first).filter(|first| *first != id && is_repetition)
    }

    /// Makes whoever asked for one job wait for the answer of another.
    fn join(&mut self, id: JobId, first: JobId) {
        let askers = self
            .jobs
            .remove(&id)
            .map(|running| running.askers)
            .unwrap_or_default();
        if let Some(first) = self.jobs.get_mut(&first) {
            first.askers.extend(askers);
        }
    }

    pub(crate) fn run_ready(&mut self) {
        while let Some(id) = self.ready.pop_front().or_else(|| self.next_attempt()) {
            self.run(id);
        }
    }

    fn run(&mut self, id: JobId) {
        let Some(running) = self.jobs.get_mut(&id) else {
            return;
        };
        let _span = running.job.span(id).entered();
        running.runs += 1;
        running.is_held_up = false;
        if running.runs > RUNS_MAX {
            self.abandon(id, "needs too many round trips", Fate::Failed);
            return;
        }
        let facts = Facts {
            job: id,
            now: self.now,
            begun: running.since,
            world: &self.world,
            searches: &self.searches,
            outgoing: &self.outgoing,
            registry: &self.registry,
            staging: &self.staging,
            load: &self.load,
            met: &running.met,
            fates: &running.fates,
            went_unanswered: running.went_unanswered,
            missing: RefCell::default(),
            used_keys: RefCell::default(),
            resolutions: Cell::default(),
        };
        let decided = running.job.decide(&facts);
        self.resolutions += facts.resolutions.get();
        match decided {
            Ok(outcome) => {
                let used_keys = facts.used_keys.into_inner();
                for (server, key_id) in used_keys {
                    self.world.keys.note_use(&server, &key_id);
                }
                self.apply(id, outcome);
            }
            Err(Blocked) => {
                let missing = facts.missing.into_inner();
                running.waits_for = missing.needs.clone();
                self.meet(id, missing);
            }
        }
    }

    fn apply(&mut self, id: JobId, mut outcome: Outcome) {
        self.world.apply(&mut outcome);
        if let Some(learnt) = outcome.keys.take() {
            self.world.keys.learn(learnt, self.now.monotonic);
        }
        if let Some(discovered) = outcome.discovered.take() {
            self.world.directory.note(discovered, self.now.monotonic);
        }
        if let Some(searched) = outcome.searched.take() {
            self.searches.note(searched, self.now.monotonic);
        }
        let mut writes = std::mem::take(&mut outcome.writes);
        writes.extend(self.forgetting.along_with(&writes, self.now));
        self.settle(id, &mut outcome, &mut writes);
        let notices = outcome.notices.drain(..).map(Action::Notify);
        let mut held: Vec<Departure> = notices.map(Departure::from).collect();
        if let Some(answer) = outcome.answer.take() {
            let is_refusal = matches!(answer, JobAnswer::Refusal(_));
            let answers = self.answer(id, answer).into_iter().map(Departure::from);
            match is_refusal {
                true => self.departures.extend(answers),
                false => held.extend(answers),
            }
        }
        for send in outcome.sends.drain(..) {
            self.enqueue(send, &mut writes);
        }
        for edu in outcome.edus.drain(..) {
            self.enqueue_edu(edu, &mut writes);
        }
        if let Some(server) = outcome.alive.take() {
            self.note_proof(id);
            self.outgoing.alive(&server);
            self.world.directory.doubt(&server, self.now.monotonic);
            self.staging.alive(&server, self.now.monotonic);
            self.pulls.heard(&server, self.now.monotonic);
        }
        if let Some(server) = outcome.ahead.take() {
            self.pulls.is_ahead(&server, self.now.monotonic);
        }
        if let Some((server, turn)) = outcome.pulled.take() {
            self.pulls.report(&server, turn);
        }
        self.pump_outgoing(&mut writes, &mut held);
        self.count_received(&writes);
        self.tally.note_written(&writes);
        self.commit(writes, held);
        self.advance(id, outcome.fate, outcome.next);
        for job in outcome.also {
            self.create(job, Vec::new(), None);
        }
        for (at, job) in outcome.later {
            let number = self.next_id();
            self.later.insert((at, number), job);
        }
        self.start_pulls();
    }

    /// Starts the jobs that were to begin at a time that has come.
    pub(super) fn start_later(&mut self) {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= self.now.monotonic
        {
            let job = first.remove();
            self.create(job, Vec::new(), None);
        }
    }

    /// It is proved who sent the request that a job is for.
    fn note_proof(&mut self, id: JobId) {
        let askers = self.jobs.get(&id).map(|running| &running.askers);
        for asker in askers.into_iter().flatten() {
            if let Asker::Request(request) = asker {
                self.load.prove(*request, id);
            }
        }
    }

    fn count_received(&mut self, writes: &[Write]) {
        let is_transaction = |write: &&Write| matches!(write, Write::ReceivedTransaction { .. });
        self.statistics.transactions_received +=
            writes.iter().filter(is_transaction).count() as u64;
    }

    /// The store acknowledged a batch.
    pub(super) fn committed(&mut self, query: QueryId) {
        let released = self.commits.acknowledge(query);
        self.departures.extend(released);
    }

    fn advance(&mut self, id: JobId, fate: Fate, next: Next) {
        match next {
            Next::Done => self.finish(id, fate),
            Next::Phase { first, then } => self.next_phase(id, first, *then),
        }
    }

    fn next_phase(&mut self, id: JobId, first: Vec<Job>, then: Job) {
        let Some(running) = self.jobs.get_mut(&id) else {
            return;
        };
        let before = running.job.identities();
        running.job = then;
        running.met.clear();
        running.waits_for.clear();
        running.is_held_up = false;
        running.runs = 0;
        running.since = self.now;
        running.children = first.len();
        running.fates = vec![Fate::Handled; first.len()];
        let after = running.job.identities();
        for left in before.iter().filter(|before| !after.contains(before)) {
            self.leave_place(id, left);
        }
        let alone = first.is_empty();
        for (index, job) in first.into_iter().enumerate() {
            self.create(job, Vec::new(), Some((id, index)));
        }
        if alone {
            self.enlist(id);
            return;
        }
        for identity in after {
            self.registry.begin(identity, id);
        }
    }

    pub(super) fn finish(&mut self, id: JobId, fate: Fate) {
        let Some(running) = self.jobs.remove(&id) else {
            return;
        };
        for identity in running.job.identities() {
            self.leave_place(id, &identity);
        }
        if let Some(need) = self.pending.met_by_end_of(&running.job) {
            self.resolve(&need, &Met::InWorld);
        }
        if let Some((event_id, _)) = fate.reason() {
            let for_lack = matches!(fate, Fate::Lacking(..));
            self.tally.note_not_taken(for_lack);
            self.world
                .note_failure(event_id, for_lack, self.now.monotonic);
        }
        let Some((parent, index)) = running.parent else {
            return;
        };
        if let Some(parent) = self.jobs.get_mut(&parent) {
            parent.went_unanswered |= running.went_unanswered || matches!(fate, Fate::Lacking(..));
        }
        self.report(parent, index, fate);
    }

    /// Tells a job how one of those that come before it fared.
    pub(super) fn report(&mut self, parent: JobId, index: usize, fate: Fate) {
        let Some(waiting) = self.jobs.get_mut(&parent) else {
            return;
        };
        if let Some(place) = waiting.fates.get_mut(index) {
            *place = fate;
        }
        waiting.children -= 1;
        if waiting.children == 0 {
            self.enlist(parent);
        }
    }

    /// Ends a job that cannot go on; whoever asked is told. If it is about an event, `fate` says
    /// whether another attempt makes sense.
    pub(super) fn abandon(
        &mut self,
        id: JobId,
        reason: &str,
        fate: fn(OwnedEventId, String) -> Fate,
    ) {
        let Some(running) = self.jobs.get(&id) else {
            return;
        };
        tracing::warn!(job = running.job.name(), reason, "job abandoned");
        let fate = match running.job.identity() {
            Some(Identity::Event(event_id)) => fate(event_id, reason.to_owned()),
            _ => Fate::Handled,
        };
        let mut outcome = Outcome {
            fate,
            ..running.job.given_up(reason)
        };
        for asker in running.askers.clone() {
            let action = match asker {
                Asker::Request(request) => {
                    let error = MatrixError::new(ErrorCode::Unknown, reason);
                    Action::Respond(request, error.into_response())
                }
                Asker::Command(command) => {
                    Action::Complete(command, Err(CommandError::Stopped(reason.to_owned())))
                }
            };
            self.push(action);
        }
        self.world.apply(&mut outcome);
        let mut writes = std::mem::take(&mut outcome.writes);
        self.settle(id, &mut outcome, &mut writes);
        let notices = outcome.notices.into_iter().map(Action::Notify);
        let held = notices.map(Departure::from).collect();
        self.commit(writes, held);
        self.finish(id, outcome.fate);
    }

    fn answer(&mut self, id: JobId, answer: JobAnswer) -> Vec<Action> {
        let Some(running) = self.jobs.get_mut(&id) else {
            return Vec::new();
        };
        let askers = std::mem::take(&mut running.askers);
        askers
            .into_iter()
            .filter_map(|asker| match (asker, &answer) {
                (
                    Asker::Request(request),
                    JobAnswer::Response(response) | JobAnswer::Refusal(response),
                ) => Some(Action::Respond(request, response.clone())),
                (Asker::Command(command), JobAnswer::Command(result)) => {
                    Some(Action::Complete(command, result.clone()))
                }
                (Asker::Request(request), JobAnswer::Command(result)) => {
                    Some(Action::Respond(request, response_of(result)))
                }
                (Asker::Command(_), JobAnswer::Response(_) | JobAnswer::Refusal(_)) => None,
            })
            .collect()
    }

    /// A job no longer works on this: those who waited for it look again.
    fn leave_place(&mut self, id: JobId, identity: &Identity) {
        if !self.registry.end(identity, id) {
            return;
        }
        match identity {
            Identity::Event(event_id) => self.event_judged(event_id),
            Identity::Join(room_id) => {
                self.resolve(&Need::Room(room_id.clone()), &Met::InWorld);
                self.staging.entered(room_id);
            }
            Identity::Transaction(origin, _) => {
                self.resolve(&Need::Turn(origin.clone()), &Met::InWorld);
            }
            Identity::Discovery(server) => self.looked_for(server),
            Identity::Pull(server) => self.pulls.ended(server, self.now.monotonic),
            Identity::Once(_) | Identity::Ends(_) | Identity::After(_) | Identity::Keys(_) => {}
        }
    }
}

/// What another server is told that wanted what our users may want too.
fn response_of(result: &Result<Reply, CommandError>) -> Response<Bytes> {
    match result {
        Ok(_) => json_response(StatusCode::OK, &json!({})),
        Err(error) => MatrixError::from(error).into_response(),
    }
}
