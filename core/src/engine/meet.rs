//! Meeting needs: from a job's question to an action, and from the answer back to every job that
//! asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::OwnedEventId;

use super::{
    Engine, JobId,
    departures::Departure,
    facts::Missing,
    job::Job,
    need::{AuthDescendants, Met, Need},
    outcome::Fate,
    pending::{CallFor, QueryFor},
    registry::Identity,
};
use crate::{
    action::Action,
    engine::compute::{Computation, ComputationResult},
    input::{CallError, CallId, ComputationId, LookupId, QueryId, QuestionId},
    keys::fetch::FetchKey,
    messaging::notice::Told,
    pdu::StateMap,
    persistence::{
        queries::{Answer, Read, StoreError},
        tables::StoredEvent,
    },
    transport::{
        client, discovery::well_known::Page, remote_request::RemoteRequest, remote_response,
    },
};

impl Engine {
    /// Begins to meet what a blocked job lacks.
    pub(super) fn meet(&mut self, id: JobId, mut missing: Missing) {
        if missing.needs.is_empty() {
            self.abandon(id, "blocked on nothing", Fate::Failed);
            return;
        }
        if missing
            .needs
            .iter()
            .any(|need| self.waits_for_itself(id, need))
        {
            self.abandon(id, "the event builds on itself", Fate::Failed);
            return;
        }
        let is_held_up = missing.needs.iter().any(|need| self.is_remote(need));
        let mut unread = Vec::new();
        for need in missing.needs {
            let elsewhere = work_that_meets(&need)
                .is_some_and(|identity| self.registry.is_elsewhere(&identity, id));
            let waiting = self.pending.waiting.entry(need.clone()).or_default();
            waiting.jobs.push(id);
            if !waiting.asked && !elsewhere {
                waiting.asked = true;
                let computation = missing.computations.remove(&need);
                self.ask_for(need, computation, &mut unread);
            }
        }
        self.read_events(unread);
        if is_held_up {
            self.hold_up(id);
        }
    }

    /// Whether a need is met only when another server has answered.
    fn is_remote(&self, need: &Need) -> bool {
        let worker = work_that_meets(need).and_then(|identity| self.registry.at_work(&identity));
        let is_held_up = |id: JobId| self.jobs.get(&id).is_some_and(|running| running.is_held_up);
        match need {
            Need::Call(_) | Need::Lookup(_) | Need::Page(_) => true,
            Need::Key { .. } => {
                let fetching = self.pending.fetching.get(need);
                fetching.copied().is_some_and(is_held_up)
            }
            _ => worker.is_some_and(is_held_up),
        }
    }

    /// Whether the job that is at work on what `id` needs waits for `id` in turn, directly or
    /// through others.
    ///
    /// Events whose ids are hashes cannot build on each other; where servers choose the ids, a
    /// hostile one can make them do so.
    fn waits_for_itself(&self, id: JobId, need: &Need) -> bool {
        let Need::Event(event_id) = need else {
            return false;
        };
        let identity = Identity::Event(event_id.clone());
        let Some(worker) = self.registry.at_work(&identity) else {
            return false;
        };
        let chosen = event_id.server_name().is_some();
        chosen && worker != id && self.waiting_for(id).contains(&worker)
    }

    /// The jobs that cannot go on before this one ends.
    fn waiting_for(&self, id: JobId) -> BTreeSet<JobId> {
        let mut waiting = BTreeSet::new();
        let mut to_visit = vec![id];
        while let Some(id) = to_visit.pop() {
            if waiting.insert(id) {
                to_visit.extend(self.held_up_by(id));
            }
        }
        waiting
    }

    /// The jobs that wait for this one to end.
    pub(super) fn held_up_by(&self, id: JobId) -> Vec<JobId> {
        let Some(running) = self.jobs.get(&id) else {
            return Vec::new();
        };
        let identities = running.job.identities().into_iter();
        let met = identities
            .filter_map(need_met_by_end)
            .chain(match &running.job {
                Job::FetchKey(job) => Some(job.need()),
                _ => None,
            });
        let waiting = met.filter_map(|need| {
            let waiting = self.pending.waiting.get(&need)?;
            let for_this_job = !waiting.asked || matches!(need, Need::Key { .. });
            for_this_job.then_some(&waiting.jobs)
        });
        let waiting = waiting.flatten().copied();
        let parent = running.parent.map(|(parent, _)| parent);
        waiting.chain(parent).collect()
    }

    fn ask_for(
        &mut self,
        need: Need,
        computation: Option<Computation>,
        unread: &mut Vec<OwnedEventId>,
    ) {
        match &need {
            Need::Room(room_id) | Need::RoomAtPresent(room_id) => {
                self.read(QueryFor::Need(need.clone()), Read::Room(room_id.clone()));
            }
            Need::Event(event_id) => unread.push(event_id.clone()),
            Need::AuthChain(event_ids) => {
                let read = Read::AuthChain(event_ids.clone());
                self.read(QueryFor::Need(need.clone()), read);
            }
            Need::AuthDescendants(AuthDescendants { of, limit, .. }) => {
                let (of, limit) = (of.clone(), *limit);
                let read = Read::AuthDescendants { of, limit };
                self.read(QueryFor::Need(need.clone()), read);
            }
            Need::Snapshot(snapshot) => {
                let read = Read::Snapshot(*snapshot);
                self.read(QueryFor::Need(need.clone()), read);
            }
            Need::Read(read) => self.read(QueryFor::Need(need.clone()), read.clone()),
            Need::Key {
                server,
                key_id,
                valid_at,
            } => {
                let job = FetchKey {
                    server: server.clone(),
                    key_id: key_id.clone(),
                    valid_at: *valid_at,
                };
                let id = self.create(job.into(), Vec::new(), None);
                self.pending.fetching.insert(need, id);
            }
            Need::Signatures(_) => self.compute(need, computation),
            Need::Call(request) => {
                let request = request.as_ref().clone();
                self.call(need, &request);
            }
            Need::Lookup(lookup) => {
                let (id, deadline) = (LookupId(self.next_id()), self.lookup_deadline());
                self.push(Action::LookUp(id, lookup.clone(), deadline));
                self.pending.lookups.insert(id, need);
            }
            Need::Page(page) => {
                let (address, target) = page.as_ref().clone();
                self.fetch(need, address, &target);
            }
            Need::Turn(_) | Need::Service(_) => {}
            Need::Told(question) => {
                let id = QuestionId(self.next_id());
                self.push(Action::Ask(id, question.clone()));
                self.pending.questions.insert(id, need);
            }
        }
    }

    fn compute(&mut self, need: Need, computation: Option<Computation>) {
        let id = ComputationId(self.next_id());
        self.pending.computations.insert(id, need);
        if let Some(computation) = computation {
            self.push(Action::Compute(id, computation));
        }
    }

    fn call(&mut self, need: Need, request: &RemoteRequest) {
        let id = CallId(self.next_id());
        match client::sign(&self.world.own, id, request, self.now) {
            Ok(signed) => {
                self.pending.calls.insert(id, CallFor::Need(need));
                let departure = vec![Departure::Request(signed.into())];
                let free = match request.endpoint.is_a_deed() {
                    true => self.commits.hold(departure),
                    false => departure,
                };
                self.departures.extend(free);
            }
            Err(error) => self.resolve(&need, &Met::Response(Err(error))),
        }
    }

    /// Gives every job that waits for `need` its answer, and makes those run that lack no more.
    pub(super) fn resolve(&mut self, need: &Need, met: &Met) {
        for id in self.pending.waiting.remove(need).unwrap_or_default().jobs {
            let Some(running) = self.jobs.get_mut(&id) else {
                continue;
            };
            running.went_unanswered |= is_no_answer(met);
            running.waits_for.remove(need);
            running.met.insert(need.clone(), met.clone());
            if running.waits_for.is_empty() {
                self.ready.push_back(id);
            }
        }
    }

    /// A job is done with an event. Those who wait for it get it, or look for it in the store.
    pub(super) fn event_judged(&mut self, event_id: &OwnedEventId) {
        let need = Need::Event(event_id.clone());
        let known = self.world.event(event_id).cloned();
        match (known, self.pending.waiting.get_mut(&need)) {
            (_, None) => {}
            (Some(event), Some(_)) => self.resolve(&need, &Met::Event(Some(event))),
            (None, Some(waiting)) if waiting.asked => {}
            (None, Some(waiting)) => {
                waiting.asked = true;
                self.read_events(vec![event_id.clone()]);
            }
        }
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, query: QueryId, result: Result<Answer, StoreError>) {
        let Some(purpose) = self.pending.queries.remove(&query) else {
            return;
        };
        match (purpose, result) {
            (QueryFor::Commit, Ok(_)) => self.committed(query),
            (QueryFor::Commit | QueryFor::Queue(_), Err(error)) => {
                return self.halt(error.to_string());
            }
            (QueryFor::Queue(destination), Ok(Answer::Outgoing(queue))) => {
                self.queue_loaded(&destination, queue);
            }
            (QueryFor::Queue(destination), Ok(Answer::Excess(excess))) => {
                self.queue_measured(&destination, excess);
            }
            (QueryFor::Queue(_), Ok(_)) => {}
            (QueryFor::Events(event_ids), Ok(Answer::Events(events))) => {
                self.events_read(event_ids, events);
            }
            (QueryFor::Events(event_ids), other) => {
                for event_id in event_ids {
                    self.fail(&Need::Event(event_id), &unexpected(&other));
                }
            }
            (QueryFor::Need(need), Ok(answer)) => self.need_read(&need, answer),
            (QueryFor::Need(need), Err(error)) => self.fail(&need, &error.to_string()),
        }
        self.run_ready();
    }

    fn events_read(&mut self, event_ids: Vec<OwnedEventId>, events: Vec<Arc<StoredEvent>>) {
        for event in events {
            self.world.load_event(event);
        }
        for event_id in event_ids {
            let event = self.world.event(&event_id).cloned();
            self.resolve(&Need::Event(event_id), &Met::Event(event));
        }
    }

    fn need_read(&mut self, need: &Need, answer: Answer) {
        match (need, answer) {
            (Need::Room(_) | Need::RoomAtPresent(_), Answer::Room(Some(loaded))) => {
                self.world.load_room(*loaded);
                self.resolve(need, &Met::InWorld);
            }
            (Need::Room(_) | Need::RoomAtPresent(_), Answer::Room(None)) => {
                self.resolve(need, &Met::NoRoom)
            }
            (Need::AuthChain(_), Answer::Events(events)) => {
                self.resolve(need, &Met::Chain(by_id(events)));
            }
            (Need::AuthDescendants(_), Answer::AuthDescendants(events)) => {
                self.resolve(need, &Met::Descendants(events.map(by_id)));
            }
            (Need::Snapshot(snapshot), Answer::State(Some(entries))) => {
                let state: StateMap = entries
                    .into_iter()
                    .map(|entry| (entry.key, entry.event_id))
                    .collect();
                self.world.load_state(*snapshot, state.clone());
                self.resolve(need, &Met::State(state));
            }
            (Need::Read(Read::Events(_)), Answer::Events(events)) => {
                for event in &events {
                    self.world.load_event(event.clone());
                }
                self.resolve(need, &Met::Read(Answer::Events(events)));
            }
            (Need::Read(_), answer) => self.resolve(need, &Met::Read(answer)),
            (need, answer) => {
                let reason = format!("the store answered {need:?} with {answer:?}");
                self.fail(need, &reason);
            }
        }
    }

    /// A need that cannot be met ends every job that has it.
    fn fail(&mut self, need: &Need, reason: &str) {
        for id in self.pending.waiting.remove(need).unwrap_or_default().jobs {
            self.abandon(id, reason, Fate::Lacking);
        }
    }

    /// A request of ours was answered, or was not.
    pub(crate) fn responded(
        &mut self,
        call: CallId,
        result: Result<http::Response<bytes::Bytes>, CallError>,
    ) {
        match self.pending.calls.remove(&call) {
            Some(CallFor::Need(need)) => {
                let response = remote_response::sort(result);
                self.resolve(&need, &Met::Response(response));
            }
            Some(CallFor::Page(need)) => {
                let page = result.map(Page::from);
                self.resolve(&need, &Met::Page(page));
            }
            Some(CallFor::Transaction(destination)) => {
                self.transaction_answered(&destination, remote_response::sort(result));
            }
            None => {}
        }
        self.run_ready();
    }

    /// A computation is done.
    pub(crate) fn computed(&mut self, computation: ComputationId, result: ComputationResult) {
        if let Some(need) = self.pending.computations.remove(&computation) {
            self.resolve(&need, &Met::Signatures(result.0));
        }
        self.run_ready();
    }

    /// The application answered.
    pub(crate) fn told(&mut self, question: QuestionId, told: Told) {
        if let Some(need) = self.pending.questions.remove(&question) {
            self.resolve(&need, &Met::Told(told));
        }
        self.run_ready();
    }

    /// What was decided since the failed batch was made builds on what is not there: nothing of it
    /// may leave.
    pub(crate) fn halt(&mut self, reason: String) {
        self.halted = true;
        self.departures = [Action::Halt(reason).into()].into();
    }
}

fn by_id(events: Vec<Arc<StoredEvent>>) -> BTreeMap<OwnedEventId, Arc<StoredEvent>> {
    let with_id = |event: Arc<StoredEvent>| (event.pdu.event_id().to_owned(), event);
    events.into_iter().map(with_id).collect()
}

fn unexpected(result: &Result<Answer, StoreError>) -> String {
    match result {
        Ok(_) => "the store answered another question".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Whether a server was asked and gave none.
fn is_no_answer(met: &Met) -> bool {
    matches!(met, Met::Response(Err(error)) if !error.is_an_answer())
}

/// The need that the end of this work meets.
fn need_met_by_end(identity: Identity) -> Option<Need> {
    match identity {
        Identity::Event(event_id) => Some(Need::Event(event_id)),
        Identity::Join(room_id) => Some(Need::Room(room_id)),
        Identity::Transaction(..)
        | Identity::Once(_)
        | Identity::Ends(_)
        | Identity::After(_)
        | Identity::Discovery(_)
        | Identity::Keys(_)
        | Identity::Pull(_) => None,
    }
}

/// The work whose end meets a need, if another job is at it.
fn work_that_meets(need: &Need) -> Option<Identity> {
    match need {
        Need::Room(room_id) => Some(Identity::Join(room_id.clone())),
        Need::Event(event_id) => Some(Identity::Event(event_id.clone())),
        Need::RoomAtPresent(_)
        | Need::AuthChain(_)
        | Need::AuthDescendants(_)
        | Need::Snapshot(_)
        | Need::Key { .. }
        | Need::Signatures(_)
        | Need::Call(_)
        | Need::Lookup(_)
        | Need::Page(_)
        | Need::Read(_)
        | Need::Told(_)
        | Need::Turn(_)
        | Need::Service(_) => None,
    }
}
