//! Between the engine and the staged events: how a job that is held up stops holding up others,
//! and what becomes of the event when the job ends. See [`crate::transaction::staging`].

use std::collections::VecDeque;

use ruma_common::OwnedEventId;

use super::{
    Engine, JobId,
    outcome::{Fate, Next, Outcome},
    registry::Identity,
};
use crate::{
    messaging::notice::Notice,
    persistence::{queries::Write, tables::StagedEvent},
    transaction::staging::{self, Admission, Key},
};

impl Engine {
    /// Notes that a job waits for another server, and with it all that wait for the job. Whichever
    /// of them can be staged is, and its parent goes on without it.
    pub(super) fn hold_up(&mut self, id: JobId) {
        let mut to_visit = VecDeque::from([id]);
        while let Some(id) = to_visit.pop_front() {
            let running = self.jobs.get_mut(&id);
            let Some(running) = running.filter(|running| !running.is_held_up) else {
                continue;
            };
            running.is_held_up = true;
            self.stage(id);
            to_visit.extend(self.held_up_by(id));
        }
    }

    fn stage(&mut self, id: JobId) {
        let Some(staged) = self.to_stage(id) else {
            return;
        };
        match self.staging.admit(staged.clone()) {
            Ok(Admission::AtWork) => self.finish(id, Fate::Handled),
            Ok(admission) => {
                if admission == Admission::New {
                    self.commit(vec![Write::Stage(staged.clone())], Vec::new());
                }
                self.detach(id, staging::key(&staged));
            }
            Err(full) => self.abandon(id, &full.to_string(), Fate::Failed),
        }
    }

    fn to_stage(&self, id: JobId) -> Option<StagedEvent> {
        let running = self.jobs.get(&id)?;
        match running.staged {
            Some(_) => None,
            None => running.job.staged(self.now.wall),
        }
    }

    fn detach(&mut self, id: JobId, key: Key) {
        let Some(running) = self.jobs.get_mut(&id) else {
            return;
        };
        running.staged = Some(key);
        if let Some((parent, index)) = running.parent.take() {
            self.report(parent, index, Fate::Handled);
        }
    }

    /// Adds to the outcome of a job what it means for the staged events.
    pub(super) fn settle(&mut self, id: JobId, outcome: &mut Outcome, writes: &mut Vec<Write>) {
        let Some(running) = self.jobs.get(&id) else {
            return;
        };
        let identity = running.job.identity();
        match (&outcome.next, &running.staged) {
            (Next::Phase { then, .. }, Some(_)) => {
                let staged = then.staged(self.now.wall);
                let news = staged.and_then(|staged| self.staging.advance(&staged));
                writes.extend(news.map(Write::Stage));
            }
            (Next::Done, _) => {
                if let Some(Identity::Event(event_id)) = identity {
                    self.settle_fate(id, event_id, outcome, writes);
                }
            }
            (Next::Phase { .. }, None) => {}
        }
    }

    fn settle_fate(
        &mut self,
        id: JobId,
        event_id: OwnedEventId,
        outcome: &mut Outcome,
        writes: &mut Vec<Write>,
    ) {
        match outcome.fate.clone() {
            Fate::Handled => {
                let decided = self.staging.decided(&event_id);
                writes.extend(decided.into_iter().map(unstage));
                self.staging.appeared(&event_id);
            }
            Fate::Failed(_, reason) => self.refuse_staged(id, reason, outcome, writes),
            Fate::Lacking(_, reason) => {
                outcome.fate = self.postpone(id, event_id, reason, writes);
                if let Fate::Failed(_, reason) = outcome.fate.clone() {
                    self.refuse_staged(id, reason, outcome, writes);
                }
            }
        }
    }

    /// An attempt failed for lack of something. If the event can be staged, another one follows,
    /// and to whoever waits for this one it is in hand.
    fn postpone(
        &mut self,
        id: JobId,
        event_id: OwnedEventId,
        reason: String,
        writes: &mut Vec<Write>,
    ) -> Fate {
        if let Some(staged) = self.to_stage(id) {
            match self.staging.admit(staged.clone()) {
                Err(full) => return Fate::Failed(event_id, full.to_string()),
                Ok(Admission::AtWork) => return Fate::Handled,
                Ok(Admission::NextAttempt) => {}
                Ok(Admission::New) => writes.push(Write::Stage(staged.clone())),
            }
            self.detach(id, staging::key(&staged));
        }
        let running = self.jobs.get(&id);
        match running.and_then(|running| running.staged.clone()) {
            None => Fate::Lacking(event_id, reason),
            Some(key) if self.staging.postpone(&key, self.now) => Fate::Handled,
            Some(_) => Fate::Failed(event_id, reason),
        }
    }

    fn refuse_staged(
        &mut self,
        id: JobId,
        reason: String,
        outcome: &mut Outcome,
        writes: &mut Vec<Write>,
    ) {
        let running = self.jobs.get(&id);
        let key = running.and_then(|running| running.staged.clone());
        let Some(refused) = key.and_then(|key| self.staging.end(&key)) else {
            return;
        };
        writes.push(unstage(staging::key(&refused)));
        outcome.notices.push(Notice::Refused {
            room_id: refused.event.room_id().to_owned(),
            event_id: refused.event.event_id().to_owned(),
            reason,
        });
    }

    /// Makes the next attempt at a staged event, if one is due.
    pub(super) fn next_attempt(&mut self) -> Option<JobId> {
        let staged = self.staging.next_attempt(self.now.monotonic)?;
        let key = staging::key(&staged);
        let id = self.create(staged.into(), Vec::new(), None);
        if let Some(running) = self.jobs.get_mut(&id) {
            running.staged = Some(key);
        }
        self.ready.pop_front()
    }
}

fn unstage((event_id, from): Key) -> Write {
    Write::Unstage { event_id, from }
}
