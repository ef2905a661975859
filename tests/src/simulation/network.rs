//! The wires between simulated servers, and the clock that all of them share.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Call, Input, Monotonic, Now, WallTime,
    input::{CallError, CallId, CommandId, RequestId},
    messaging::command::Command,
    transaction::backoff::Spread,
    transport::{
        client,
        remote_request::{Endpoint, RemoteRequest},
    },
};
use http::{Request, Response};
use ruma_common::OwnedServerName;
use serde_json::Value;

use super::{
    database::DatabaseKind,
    liar::Liar,
    server::{Finished, Server},
};

/// How long a message is under way at least.
const LATENCY: Duration = Duration::from_millis(20);

/// How long a test waits for something, in simulated time.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// A point in the order of arrivals: the number breaks ties.
type Arrival = (Monotonic, u64);

/// Servers, the messages between them, and the time.
pub struct Network {
    database: DatabaseKind,
    servers: BTreeMap<OwnedServerName, Server>,
    liars: BTreeMap<OwnedServerName, Liar>,
    now: Now,
    under_way: BTreeMap<Arrival, Message>,
    messages: u64,
    /// Which requests a server has not answered yet.
    requests: BTreeMap<RequestId, Sender>,
    /// Which calls have no outcome yet, and when their deadline comes.
    open: BTreeMap<Sender, Arrival>,
    answers: BTreeMap<CallId, Result<Response<Bytes>, CallError>>,
    cut: BTreeSet<(OwnedServerName, OwnedServerName)>,
    /// Responses that will be lost: who answers, and part of the request's target.
    to_lose: Vec<(OwnedServerName, String)>,
    /// What transactions hold, by sender, destination and path.
    transactions: BTreeMap<(OwnedServerName, OwnedServerName, String), Vec<Value>>,
    jitter: Option<Spread>,
    /// Every request that was sent.
    pub traffic: Vec<Sent>,
}

/// One request on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// When.
    pub at: Monotonic,
    /// Who sent it.
    pub from: OwnedServerName,
    /// To whom.
    pub to: OwnedServerName,
    /// Its method and target.
    pub line: String,
    /// Its body.
    pub body: Bytes,
}

/// Who wants the outcome of a call: one life of one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sender {
    server: OwnedServerName,
    responder: OwnedServerName,
    is_transaction: bool,
    life: u8,
    call: CallId,
}

enum Message {
    Request(Sender, Request<Bytes>),
    Response(Sender, Result<Response<Bytes>, CallError>),
    Deadline(Sender),
}

impl Network {
    /// Servers with these names, all started.
    pub fn of(names: &[&str]) -> Self {
        Self::on(DatabaseKind::default(), names)
    }

    /// Servers with these names on databases of this kind, all started.
    pub fn on(database: DatabaseKind, names: &[&str]) -> Self {
        let mut network = Self {
            database,
            servers: BTreeMap::new(),
            liars: BTreeMap::new(),
            now: Now {
                wall: WallTime(1_700_000_000_000),
                monotonic: Monotonic::default(),
            },
            under_way: BTreeMap::new(),
            messages: 0,
            requests: BTreeMap::new(),
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            cut: BTreeSet::new(),
            to_lose: Vec::new(),
            transactions: BTreeMap::new(),
            jitter: None,
            traffic: Vec::new(),
        };
        for name in names {
            network.add_server(name);
        }
        network
    }

    /// Adds a server and starts it.
    pub fn add_server(&mut self, name: &str) {
        let server = Server::on(name, self.database);
        self.servers.insert(server.name.clone(), server);
        self.start(name);
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.now
    }

    /// A server.
    pub fn server(&mut self, name: &str) -> &mut Server {
        self.servers
            .get_mut(&server_name(name))
            .expect("the test names a server of this network")
    }

    /// Adds a peer that does as the test says.
    pub fn add_liar(&mut self, liar: Liar) {
        self.liars.insert(liar.own.server_name().to_owned(), liar);
    }

    /// Such a peer.
    pub fn liar(&mut self, name: &str) -> &mut Liar {
        self.liars
            .get_mut(&server_name(name))
            .expect("the test names a liar of this network")
    }

    /// Starts a server that is down.
    pub fn start(&mut self, name: &str) {
        let now = self.now;
        self.server(name).start(now);
    }

    /// Stops a server at once. Whoever waits for its answer sees the connection break.
    pub fn crash(&mut self, name: &str) {
        self.server(name).crash();
        self.break_connections(&server_name(name));
    }

    fn break_connections(&mut self, name: &OwnedServerName) {
        self.open.retain(|sender, deadline| {
            let stays = sender.server != *name;
            if !stays {
                self.under_way.remove(deadline);
            }
            stays
        });
        let mut theirs = Vec::new();
        self.requests.retain(|_, sender| {
            let stays = sender.responder != *name;
            if !stays {
                theirs.push(sender.clone());
            }
            stays
        });
        for sender in theirs {
            let error = CallError::Connect("the connection broke".to_owned());
            self.post(Message::Response(sender, Err(error)));
        }
    }

    /// Cuts or mends the wires between two servers, both ways.
    pub fn set_cut(&mut self, one: &str, other: &str, cut: bool) {
        let (one, other) = (server_name(one), server_name(other));
        for pair in [(one.clone(), other.clone()), (other, one)] {
            if cut {
                self.cut.insert(pair);
            } else {
                self.cut.remove(&pair);
            }
        }
    }

    /// Loses the next response that this server gives to a request whose target holds this text.
    pub fn lose_response(&mut self, responder: &str, target: &str) {
        self.to_lose
            .push((server_name(responder), target.to_owned()));
    }

    /// From now on messages are under way for different times, drawn from this seed.
    pub fn set_jitter(&mut self, seed: [u8; 32]) {
        self.jitter = Some(Spread::new(&seed));
    }

    /// Gives a command and lets the world go on until it is finished.
    pub fn run(&mut self, name: &str, command: Command) -> Finished {
        let id = self.start_command(name, command);
        let give_up = self.now.monotonic.plus(PATIENCE);
        loop {
            if let Some(finished) = self.server(name).finished(id) {
                return finished;
            }
            if self.now.monotonic > give_up || !self.step() {
                let jobs = self.server(name).describe_jobs();
                panic!("the command never ended; jobs: {jobs:#?}");
            }
        }
    }

    /// Gives a command and lets nothing happen yet; the server knows in the end how it went.
    pub fn start_command(&mut self, name: &str, command: Command) -> CommandId {
        let now = self.now;
        let id = self.server(name).command(now, command);
        self.notice_crashes();
        id
    }

    /// Makes a liar ask a server something, signed as it should be.
    pub fn ask(&mut self, liar: &str, to: &str, endpoint: Endpoint) -> Response<Bytes> {
        let request = RemoteRequest {
            destination: server_name(to),
            endpoint,
        };
        let id = CallId(self.messages);
        let own = self.liar(liar).own.clone();
        let call = client::call(&own, id, &request, self.now).expect("the request can be sent");
        self.ask_with(liar, to, call.request)
    }

    /// Makes a liar send a server this very request.
    pub fn ask_with(&mut self, liar: &str, to: &str, request: Request<Bytes>) -> Response<Bytes> {
        self.messages += 1;
        let sender = Sender {
            server: server_name(liar),
            responder: server_name(to),
            is_transaction: false,
            life: 0,
            call: CallId(self.messages),
        };
        let deadline = self.now.monotonic.plus(PATIENCE);
        let id = sender.call;
        self.open_call(sender, request, deadline);
        while !self.answers.contains_key(&id) {
            assert!(self.step(), "the request was never answered");
        }
        let answer = self.answers.remove(&id).expect("it is there");
        answer.expect("the server is up")
    }

    /// Lets the world go on until nothing happens any more.
    pub fn settle(&mut self) {
        let give_up = self.now.monotonic.plus(PATIENCE);
        while self.now.monotonic < give_up && self.step() {}
    }

    /// Lets this much time pass.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now.monotonic.plus(duration);
        self.collect();
        while self.next_event().is_some_and(|at| at <= until) {
            self.step();
        }
        self.advance_to(until);
    }

    /// Lets the next thing happen; false if there is none.
    pub fn step(&mut self) -> bool {
        self.collect();
        let Some(at) = self.next_event() else {
            return false;
        };
        self.advance_to(at);
        match self.under_way.first_key_value() {
            Some(((arrival, _), _)) if *arrival <= at => self.deliver_first(),
            Some(_) | None => self.wake_due(),
        }
        self.notice_crashes();
        self.collect();
        true
    }

    fn next_event(&self) -> Option<Monotonic> {
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        let deadlines = self.servers.values().filter_map(Server::next_deadline);
        deadlines
            .chain(arrival)
            .min()
            .map(|at| at.max(self.now.monotonic))
    }

    fn advance_to(&mut self, at: Monotonic) {
        let passed = at.since(self.now.monotonic);
        self.now = Now {
            wall: self.now.wall.plus(passed),
            monotonic: at,
        };
    }

    fn wake_due(&mut self) {
        let now = self.now;
        for server in self.servers.values_mut() {
            if server.next_deadline().is_some_and(|at| at <= now.monotonic) {
                server.wake(now);
            }
        }
    }

    /// A server may have crashed by itself.
    fn notice_crashes(&mut self) {
        let down = self.servers.values().filter(|server| !server.is_up());
        let down: Vec<_> = down.map(|server| server.name.clone()).collect();
        for name in down {
            self.break_connections(&name);
        }
    }

    /// Puts what the servers want to send on the wires.
    fn collect(&mut self) {
        let names: Vec<OwnedServerName> = self.servers.keys().cloned().collect();
        for name in names {
            let Some(server) = self.servers.get_mut(&name) else {
                continue;
            };
            let (calls, responses, life) = (
                std::mem::take(&mut server.calls),
                std::mem::take(&mut server.responses),
                server.life(),
            );
            for (id, response) in responses {
                if let Some(sender) = self.requests.remove(&id) {
                    self.post(Message::Response(sender, Ok(response)));
                }
            }
            for call in calls {
                self.send(&name, life, call);
            }
        }
    }

    fn send(&mut self, from: &OwnedServerName, life: u8, call: Call) {
        let sender = Sender {
            server: from.clone(),
            responder: server_name(&call.address.host_header),
            is_transaction: call.request.uri().path().contains("/v1/send/"),
            life,
            call: call.id,
        };
        if sender.is_transaction {
            self.check_transaction(&sender, &call.request);
        }
        self.open_call(sender, call.request, call.deadline);
    }

    /// TXN-3.
    fn check_transaction(&mut self, sender: &Sender, request: &Request<Bytes>) {
        let Sender {
            server, responder, ..
        } = sender;
        let same = |open: &Sender| {
            open.is_transaction && (&open.server, &open.responder) == (server, responder)
        };
        assert!(
            !self.open.keys().any(same),
            "{server} has two transactions in flight to {responder}"
        );
        let key = (
            server.clone(),
            responder.clone(),
            request.uri().path().to_owned(),
        );
        let events = events_of(request.body());
        let first = self
            .transactions
            .entry(key)
            .or_insert_with(|| events.clone());
        assert_eq!(
            *first, events,
            "{server} repeats a transaction to {responder} with other events"
        );
    }

    fn open_call(&mut self, sender: Sender, request: Request<Bytes>, deadline: Monotonic) {
        self.traffic.push(Sent {
            at: self.now.monotonic,
            from: sender.server.clone(),
            to: sender.responder.clone(),
            line: format!("{} {}", request.method(), request.uri()),
            body: request.body().clone(),
        });
        self.messages += 1;
        let deadline = (deadline, self.messages);
        self.open.insert(sender.clone(), deadline);
        self.under_way
            .insert(deadline, Message::Deadline(sender.clone()));
        self.post(Message::Request(sender, request));
    }

    fn post(&mut self, message: Message) {
        self.messages += 1;
        let random = self.jitter.as_mut().map_or(0, Spread::next_number);
        let delay = LATENCY + Duration::from_millis(random % 200);
        self.under_way
            .insert((self.now.monotonic.plus(delay), self.messages), message);
    }

    fn deliver_first(&mut self) {
        let Some((_, message)) = self.under_way.pop_first() else {
            return;
        };
        match message {
            Message::Request(sender, request) => self.deliver_request(sender, request),
            Message::Response(sender, result) => self.conclude(&sender, result),
            Message::Deadline(sender) => self.conclude(&sender, Err(CallError::TimedOut)),
        }
    }

    fn deliver_request(&mut self, sender: Sender, request: Request<Bytes>) {
        let (now, id) = (self.now, RequestId(self.messages));
        self.messages += 1;
        let pair = (sender.server.clone(), sender.responder.clone());
        if let Some(liar) = self.liars.get_mut(&sender.responder) {
            let response = liar.answer(&request, now);
            self.post(Message::Response(sender, Ok(response)));
            return;
        }
        let up = self
            .servers
            .get_mut(&sender.responder)
            .filter(|server| server.is_up());
        let Some(server) = up.filter(|_| !self.cut.contains(&pair)) else {
            let error = CallError::Connect("nobody listens".to_owned());
            self.post(Message::Response(sender, Err(error)));
            return;
        };
        let target = request.uri().to_string();
        let lost = self
            .to_lose
            .iter()
            .position(|(responder, part)| *responder == sender.responder && target.contains(part));
        match lost {
            Some(index) => drop(self.to_lose.remove(index)),
            None => drop(self.requests.insert(id, sender)),
        }
        server.handle(now, Input::Request(id, request));
    }

    /// Gives a call its one outcome: the first that comes. What comes over a cut wire does not.
    fn conclude(&mut self, sender: &Sender, result: Result<Response<Bytes>, CallError>) {
        let pair = (sender.responder.clone(), sender.server.clone());
        if result.is_ok() && self.cut.contains(&pair) {
            return;
        }
        let Some(deadline) = self.open.remove(sender) else {
            return;
        };
        self.under_way.remove(&deadline);
        let now = self.now;
        match self.servers.get_mut(&sender.server) {
            Some(server) => server.handle(now, Input::Response(sender.call, result)),
            None => drop(self.answers.insert(sender.call, result)),
        }
    }
}

/// The events of a transaction by their content hashes, which outlive a redaction.
fn events_of(body: &Bytes) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).expect("a transaction is JSON");
    let events = body["pdus"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| event["hashes"].clone()).collect()
}

fn server_name(name: &str) -> OwnedServerName {
    name.try_into().expect("the test gives a server name")
}
