//! Between the engine and the outgoing queues.

use ruma_common::{OwnedServerName, ServerName};

use super::{
    Engine,
    departures::Departure,
    outcome::{Edu, SendEdu, SendTo},
};
use crate::{
    action::Action,
    input::{CallId, QueryId},
    messaging::{join::resume::ResumeJoin, notice::Notice},
    persistence::{
        queries::{Boot, Query, Read, Write},
        tables::{Excess, InboxId, OutgoingRecord},
    },
    transaction::{
        inbox::TellAgain,
        outgoing::{self, Effect},
    },
    transport::{
        client,
        remote_request::{Endpoint, RemoteRequest},
        remote_response::{RemoteError, RemoteResponse},
    },
};

impl Engine {
    /// Takes up where the last run ended.
    pub(crate) fn boot(&mut self, mut boot: Boot) {
        self.world.counters = (&boot).into();
        for join in std::mem::take(&mut boot.joins) {
            self.world.note_join(&join);
            self.create(ResumeJoin::from(join).into(), Vec::new(), None);
        }
        self.staging
            .boot(std::mem::take(&mut boot.staged), self.now);
        let last_inbox = boot.last_inbox;
        self.pulls.boot(&boot.streams, self.now.monotonic);
        self.outgoing.boot(boot, self.now);
        self.tell_again(last_inbox);
        self.tick();
    }

    fn tell_again(&mut self, through: InboxId) {
        let after = InboxId::default();
        if through > after {
            self.create(TellAgain { after, through }.into(), Vec::new(), None);
        }
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self) {
        let (mut writes, mut held) = (Vec::new(), Vec::new());
        self.pump_outgoing(&mut writes, &mut held);
        self.commit(writes, held);
        self.start_pulls();
        self.start_later();
        self.run_ready();
    }

    /// Starts what is due of the pulling of other servers' streams, unless there is enough to do.
    pub(super) fn start_pulls(&mut self) {
        if self.is_full() {
            return;
        }
        for contact in self.pulls.start(self.now.monotonic) {
            self.create(contact.into(), Vec::new(), None);
        }
    }

    pub(super) fn enqueue(&mut self, send: SendTo, writes: &mut Vec<Write>) {
        let SendTo {
            event,
            destinations,
        } = send;
        writes.extend(self.outgoing.enqueue(&event, destinations, self.now));
    }

    pub(super) fn enqueue_edu(&mut self, send: SendEdu, writes: &mut Vec<Write>) {
        let SendEdu { edu, destinations } = send;
        match edu {
            Edu::Moments(moments) => self.outgoing.enqueue_moments(&moments, destinations),
            Edu::Reliable(text) => {
                writes.extend(self.outgoing.enqueue_edu(&text, destinations, self.now));
            }
        }
    }

    /// Does what the queues want: writes join the batch at hand, sends wait for it.
    pub(super) fn pump_outgoing(&mut self, writes: &mut Vec<Write>, held: &mut Vec<Departure>) {
        for effect in self.outgoing.poll(self.now) {
            self.effect(effect, writes, held);
        }
    }

    fn effect(&mut self, effect: Effect, writes: &mut Vec<Write>, held: &mut Vec<Departure>) {
        match effect {
            Effect::Write(write) => writes.push(write),
            Effect::Notice(notice) => {
                if let Notice::DestinationUp(server) = &notice {
                    self.pulls.is_back(server, self.now.monotonic);
                }
                held.push(Action::Notify(notice).into());
            }
            Effect::Measure {
                destination,
                depth,
                queued_since,
            } => {
                let read = Read::OutgoingExcess {
                    destination: destination.clone(),
                    depth,
                    queued_since,
                };
                held.push(self.read_queue(destination, read).into());
            }
            Effect::Load(destination) => {
                let read = Read::Outgoing {
                    destination: destination.clone(),
                    limit: outgoing::LOAD,
                };
                held.push(self.read_queue(destination, read).into());
            }
            Effect::Send(destination, transaction_id, body) => {
                let endpoint = Endpoint::SendTransaction {
                    transaction_id,
                    body,
                };
                self.send_transaction(destination, endpoint, writes, held);
            }
        }
    }

    fn read_queue(&mut self, destination: OwnedServerName, read: Read) -> Action {
        let id = QueryId(self.next_id());
        self.pending.queue(id, destination);
        Action::Query(id, Query::Read(read))
    }

    fn send_transaction(
        &mut self,
        destination: OwnedServerName,
        endpoint: Endpoint,
        writes: &mut Vec<Write>,
        held: &mut Vec<Departure>,
    ) {
        let id = CallId(self.next_id());
        let request = RemoteRequest {
            destination: destination.clone(),
            endpoint,
        };
        match client::sign(&self.world.own, id, &request, self.now) {
            Ok(request) => {
                self.pending.transaction(id, destination);
                held.push(Departure::Request(request.into()));
            }
            Err(error) => self.transaction_failed(&destination, &error, writes, held),
        }
    }

    /// Part of a queue was read.
    pub(super) fn queue_loaded(&mut self, destination: &ServerName, records: Vec<OutgoingRecord>) {
        let effects = self.outgoing.loaded(destination, records, self.now);
        self.carry_out(effects);
    }

    /// The rest of a queue was measured.
    pub(super) fn queue_measured(&mut self, destination: &ServerName, excess: Excess) {
        let effects = self.outgoing.measured(destination, excess);
        self.carry_out(effects);
    }

    /// Does not wait any longer until a server, or each of them, is tried again. How many were
    /// waited for.
    pub(crate) fn retry(&mut self, destination: Option<&ServerName>) -> u64 {
        let (directory, now) = (&mut self.world.directory, self.now.monotonic);
        let waited = match destination {
            Some(name) => {
                directory.doubt(name, now);
                u64::from(self.outgoing.alive(name))
            }
            None => {
                directory.doubt_all();
                self.outgoing.retry_all(self.now)
            }
        };
        self.tick();
        waited
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let (mut writes, mut held) = (Vec::new(), Vec::new());
        for effect in effects {
            self.effect(effect, &mut writes, &mut held);
        }
        self.pump_outgoing(&mut writes, &mut held);
        self.commit(writes, held);
    }

    /// A server answered a transaction, or did not. Only a 200 counts as delivered (TXN-3); what
    /// it says of single events is for the log (TXN-21).
    pub(super) fn transaction_answered(
        &mut self,
        destination: &OwnedServerName,
        response: RemoteResponse,
    ) {
        let (mut writes, mut held) = (Vec::new(), Vec::new());
        match response {
            Ok(body) => {
                tracing::debug!(%destination, answer = ?body, "transaction delivered");
                self.statistics.transactions_sent += 1;
                self.pulls.heard(destination, self.now.monotonic);
                for effect in self.outgoing.delivered(destination, self.now) {
                    self.effect(effect, &mut writes, &mut held);
                }
            }
            Err(error) => self.transaction_failed(destination, &error, &mut writes, &mut held),
        }
        self.pump_outgoing(&mut writes, &mut held);
        self.commit(writes, held);
    }

    fn transaction_failed(
        &mut self,
        destination: &OwnedServerName,
        error: &RemoteError,
        writes: &mut Vec<Write>,
        held: &mut Vec<Departure>,
    ) {
        tracing::debug!(%destination, %error, "transaction not delivered");
        for effect in self
            .outgoing
            .failed(destination, &error.to_string(), self.now)
        {
            self.effect(effect, writes, held);
        }
    }
}
