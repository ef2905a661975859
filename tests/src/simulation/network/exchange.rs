//! Requests and their answers on their way.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Call, Input, Monotonic,
    input::{CallError, CallId, RequestId},
};
use http::{Request, Response};
use ruma_common::OwnedServerName;

use super::{Arrival, Network, Sent, links::Way};
use crate::simulation::sight::{Asked, CallOutcome, Sight};

/// How long a message takes by which others vouch for a server's keys.
const VOUCHING: Duration = Duration::from_millis(20);

/// Who wants the outcome of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// The core that sent it, in the life in which it did.
    Core(CallId),
    /// A script.
    Script,
    /// Nobody.
    Nobody,
}

/// What the one who asks makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    /// Who wants the outcome.
    pub wish: Wish,
    /// For how long.
    pub deadline: Monotonic,
    /// The largest answer that is read.
    pub limit: usize,
}

/// A request and its answer, whether anybody still waits for that or not.
#[derive(Debug)]
pub(super) struct Exchange {
    number: u64,
    from: OwnedServerName,
    to: OwnedServerName,
    line: String,
    wish: Wish,
    /// The largest answer that is read.
    limit: usize,
    answer_lost: bool,
}

/// Somebody waits for an outcome.
#[derive(Debug)]
pub(super) struct Open {
    exchange: Arc<Exchange>,
    deadline: Arrival,
    delivered: bool,
}

/// What is on the wires.
pub(super) enum Message {
    Request(Arc<Exchange>, Request<Bytes>),
    Response(Arc<Exchange>, CallOutcome),
    Deadline(Arc<Exchange>),
}

impl Exchange {
    pub(super) fn from(&self) -> &OwnedServerName {
        &self.from
    }

    pub(super) fn to(&self) -> &OwnedServerName {
        &self.to
    }

    pub(super) fn line(&self) -> &str {
        &self.line
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            number: self.number,
            from: &self.from,
            to: &self.to,
            line: &self.line,
        }
    }

    pub(super) fn is_for_keys(&self) -> bool {
        self.line.contains("/_matrix/key/")
    }

    fn way_there(&self) -> Way {
        (self.from.clone(), self.to.clone())
    }

    fn way_back(&self) -> Way {
        (self.to.clone(), self.from.clone())
    }
}

impl Network {
    /// Takes from a server what it wants to send and to say.
    pub(super) fn collect(&mut self, name: &OwnedServerName) {
        self.watch(name);
        let Some(server) = self.servers.get_mut(name) else {
            return;
        };
        let (calls, responses) = (
            mem::take(&mut server.calls),
            mem::take(&mut server.responses),
        );
        match server.next_deadline() {
            Some(deadline) => drop(self.deadlines.insert(name.clone(), deadline)),
            None => drop(self.deadlines.remove(name)),
        }
        if !server.is_up() {
            self.note_endless(name);
            self.show(&Sight::Down(name));
            self.count_interrupted(name);
            self.break_connections(name);
        }
        for (id, response) in responses {
            if let Some(exchange) = self.requests.remove(&id) {
                self.answer(exchange, response);
            }
        }
        for call in calls {
            self.send(name, call);
        }
    }

    /// Looks at what a server writes and says while it has more to do at once than it did so far.
    fn watch(&mut self, name: &OwnedServerName) {
        let now = self.now_at(name);
        while let Some(server) = self.servers.get_mut(name) {
            for batch in server.disk.take_written() {
                self.show(&Sight::Written(name, &batch));
            }
            self.show_notices(name);
            let server = self.servers.get_mut(name);
            match server.filter(|server| server.is_busy() && self.broken.is_none()) {
                Some(server) => server.go_on(now),
                None => return,
            }
        }
    }

    /// A server that goes on and on is stopped, and nobody waits for more.
    fn note_endless(&mut self, name: &OwnedServerName) {
        let server = self.servers.get_mut(name);
        if let Some(jobs) = server.and_then(|server| server.endless.take()) {
            let what = format!("{name} goes on and on: {jobs:#?}");
            self.complain("work comes to an end", what);
        }
    }

    /// How far events had come on a server that has crashed.
    fn count_interrupted(&mut self, name: &OwnedServerName) {
        let Some(server) = self.servers.get_mut(name) else {
            return;
        };
        let mut interrupted = server.disk.stages.interrupted();
        let mut unanswered = self.requests.values();
        if unanswered.any(|exchange| exchange.to == *name && exchange.asked().is_transaction()) {
            interrupted.insert("received, not answered");
        }
        self.chronicle.count_interrupted(interrupted);
    }

    fn show_notices(&mut self, name: &OwnedServerName) {
        let Some(server) = self.servers.get_mut(name) else {
            return;
        };
        let seen = self.noticed.entry(name.clone()).or_default();
        let from = mem::replace(seen, server.notices.len());
        if from == server.notices.len() {
            return;
        }
        let new = server.notices.get(from..).unwrap_or_default().to_vec();
        for notice in new {
            self.show(&Sight::Noticed(name, &notice));
        }
    }

    /// Whoever waits for this server sees the connection break, and it waits for nobody.
    fn break_connections(&mut self, name: &OwnedServerName) {
        let own = |open: &Open| open.exchange.from == *name;
        let own: Vec<_> = self.open.extract_if(.., |_, open| own(open)).collect();
        for (_, open) in own {
            self.under_way.remove(&open.deadline);
            self.show(&Sight::Abandoned(open.exchange.asked()));
        }
        self.requests.retain(|_, exchange| exchange.to != *name);
        let asked = |open: &&Open| open.exchange.to == *name && open.delivered;
        let asked = self.open.values().filter(asked);
        let asked: Vec<_> = asked.map(|open| open.exchange.clone()).collect();
        for exchange in asked {
            self.fail(exchange, "the connection broke");
        }
    }

    fn send(&mut self, from: &OwnedServerName, call: Call) {
        let to = super::server_name(&call.address.host_header);
        let errand = Errand {
            wish: Wish::Core(call.id),
            deadline: call.deadline,
            limit: call.response_limit,
        };
        self.open(from.clone(), to, errand, call.request);
    }

    /// Sends a request and gives it its number.
    pub(super) fn open(
        &mut self,
        from: OwnedServerName,
        to: OwnedServerName,
        errand: Errand,
        request: Request<Bytes>,
    ) -> u64 {
        let line = format!("{} {}", request.method(), request.uri());
        self.traffic.push(Sent {
            at: self.now.monotonic,
            from: from.clone(),
            to: to.clone(),
            line: line.clone(),
            body: request.body().clone(),
        });
        self.messages += 1;
        let number = self.messages;
        let passage = self.links.request(&(from.clone(), to.clone()), &line);
        let exchange = Arc::new(Exchange {
            number,
            from,
            to,
            line,
            wish: errand.wish,
            limit: errand.limit,
            answer_lost: passage.answer_lost,
        });
        self.show(&Sight::Requested(exchange.asked(), &request));
        let deadline = (errand.deadline, number);
        self.under_way
            .insert(deadline, Message::Deadline(exchange.clone()));
        let open = Open {
            exchange: exchange.clone(),
            deadline,
            delivered: false,
        };
        self.open.insert(number, open);
        let arrivals = match self.outlives(&exchange) {
            true => 1,
            false => passage.arrivals,
        };
        for _ in 0..arrivals {
            let way = exchange.way_there();
            let message = Message::Request(exchange.clone(), request.clone());
            self.post(&way, message, Duration::ZERO);
        }
        number
    }

    /// Whether nothing can happen to this exchange.
    fn outlives(&self, exchange: &Exchange) -> bool {
        self.keys_outlive && exchange.is_for_keys()
    }

    fn post(&mut self, way: &Way, message: Message, later: Duration) {
        self.messages += 1;
        let delay = match &message {
            Message::Request(exchange, _) | Message::Response(exchange, _)
                if self.outlives(exchange) =>
            {
                VOUCHING
            }
            _ => self.links.delay(way),
        };
        let arrival = self.now.monotonic.plus(delay + later);
        self.under_way.insert((arrival, self.messages), message);
    }

    fn post_back(&mut self, exchange: Arc<Exchange>, outcome: CallOutcome) {
        self.post_back_later(exchange, outcome, Duration::ZERO);
    }

    fn post_back_later(&mut self, exchange: Arc<Exchange>, outcome: CallOutcome, later: Duration) {
        let way = exchange.way_back();
        self.post(&way, Message::Response(exchange, outcome), later);
    }

    fn fail(&mut self, exchange: Arc<Exchange>, reason: &str) {
        self.post_back(exchange, Err(CallError::Connect(reason.to_owned())));
    }

    pub(super) fn deliver_first(&mut self) {
        let Some((_, message)) = self.under_way.pop_first() else {
            return;
        };
        match message {
            Message::Request(exchange, request) => self.deliver(exchange, request),
            Message::Response(exchange, outcome) => self.conclude(&exchange, outcome),
            Message::Deadline(exchange) => self.conclude(&exchange, Err(CallError::TimedOut)),
        }
    }

    /// Hands a request to the one it is for, whether anybody still waits for its outcome or not.
    fn deliver(&mut self, exchange: Arc<Exchange>, request: Request<Bytes>) {
        if let Some(liar) = self.liars.get_mut(&exchange.to) {
            let response = liar.answer(&request, self.now);
            self.post_back(exchange, Ok(response));
            return;
        }
        let to = exchange.to.clone();
        let now = self.now_at(&to);
        let cut = self.links.is_cut(&exchange.way_there());
        let vouched = self.outlives(&exchange);
        let lies = self.is_about_to_corrupt(&exchange);
        match self.servers.get_mut(&to) {
            Some(server) if server.is_up() && !cut && (lies || !vouched) => {
                self.ask_server(exchange, request);
            }
            Some(server) if vouched => {
                let response = server.own_keys().published(now.wall);
                self.post_back(exchange, Ok(response));
            }
            Some(_) | None => self.fail(exchange, "nobody listens"),
        }
    }

    fn ask_server(&mut self, exchange: Arc<Exchange>, request: Request<Bytes>) {
        if let Some(open) = self.open.get_mut(&exchange.number) {
            open.delivered = true;
        }
        self.messages += 1;
        let id = RequestId(self.messages);
        let to = exchange.to.clone();
        self.show(&Sight::Arrived(exchange.asked()));
        self.requests.insert(id, exchange);
        self.hand_in(&to, Input::Request(id, request));
    }

    fn answer(&mut self, exchange: Arc<Exchange>, response: Response<Bytes>) {
        let Some((response, later)) = self.falsify(&exchange, response) else {
            return;
        };
        self.show(&Sight::Answered(exchange.asked(), &response));
        let lost = self.links.loses_answer(&exchange.way_back()) || exchange.answer_lost;
        if !lost || self.outlives(&exchange) {
            self.post_back_later(exchange, Ok(response), later);
        }
    }

    /// Gives a request its one outcome: the first that comes. What comes over a cut wire does not.
    fn conclude(&mut self, exchange: &Exchange, mut outcome: CallOutcome) {
        let cut = self.links.is_cut(&exchange.way_back()) && !self.outlives(exchange);
        if outcome.is_ok() && cut {
            return;
        }
        let Some(open) = self.open.remove(&exchange.number) else {
            return;
        };
        self.under_way.remove(&open.deadline);
        if outcome
            .as_ref()
            .is_ok_and(|answer| answer.body().len() > exchange.limit)
        {
            outcome = Err(CallError::BadResponse("too large".to_owned()));
        }
        self.show(&Sight::Concluded(exchange.asked(), &outcome));
        match exchange.wish {
            Wish::Core(call) => self.hand_in(&exchange.from, Input::Response(call, outcome)),
            Wish::Script => drop(self.answers.insert(exchange.number, outcome)),
            Wish::Nobody => {}
        }
    }
}
