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
};
use http::{Request, Response};
use ruma_common::OwnedServerName;

use super::server::{Finished, Server};

/// How long a message is under way.
const LATENCY: Duration = Duration::from_millis(20);

/// How long a test waits for something, in simulated time.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// Servers, the messages between them, and the time.
pub struct Network {
    servers: BTreeMap<OwnedServerName, Server>,
    now: Now,
    /// What will arrive, in order of arrival; the number breaks ties.
    under_way: BTreeMap<(Monotonic, u64), Message>,
    messages: u64,
    requests: BTreeMap<RequestId, Sender>,
    open: BTreeSet<(OwnedServerName, CallId)>,
    cut: BTreeSet<(OwnedServerName, OwnedServerName)>,
    /// Every request that was sent: from, to, method and target.
    pub traffic: Vec<(OwnedServerName, OwnedServerName, String)>,
}

#[derive(Clone)]
struct Sender {
    server: OwnedServerName,
    call: CallId,
    responder: OwnedServerName,
}

enum Message {
    Request(Sender, Request<Bytes>),
    Response(Sender, Result<Response<Bytes>, CallError>),
    Deadline(Sender),
}

impl Network {
    /// Servers with these names, all started.
    pub fn of(names: &[&str]) -> Self {
        let mut network = Self {
            servers: BTreeMap::new(),
            now: Now {
                wall: WallTime(1_700_000_000_000),
                monotonic: Monotonic::default(),
            },
            under_way: BTreeMap::new(),
            messages: 0,
            requests: BTreeMap::new(),
            open: BTreeSet::new(),
            cut: BTreeSet::new(),
            traffic: Vec::new(),
        };
        for name in names {
            let server = Server::new(name);
            let key = server.name.clone();
            network.servers.insert(key, server);
            network.start(name);
        }
        network
    }

    /// A server.
    pub fn server(&mut self, name: &str) -> &mut Server {
        let name: OwnedServerName = name.try_into().expect("the test gives a server name");
        self.servers
            .get_mut(&name)
            .expect("the test names a server of this network")
    }

    /// Starts a server that is down.
    pub fn start(&mut self, name: &str) {
        let now = self.now;
        self.server(name).start(now);
    }

    /// Cuts or mends the wires between two servers, both ways.
    pub fn set_cut(&mut self, one: &str, other: &str, cut: bool) {
        let (one, other) = (
            self.server(one).name.clone(),
            self.server(other).name.clone(),
        );
        for pair in [(one.clone(), other.clone()), (other, one)] {
            if cut {
                self.cut.insert(pair);
            } else {
                self.cut.remove(&pair);
            }
        }
    }

    /// Gives a command and lets the world go on until it is finished.
    pub fn run(&mut self, name: &str, command: Command) -> Finished {
        let now = self.now;
        let id = self.server(name).command(now, command);
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
        self.server(name).command(now, command)
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
                server.handle(now, Input::Tick);
            }
        }
    }

    /// Puts what the servers want to send on the wires.
    fn collect(&mut self) {
        let names: Vec<OwnedServerName> = self.servers.keys().cloned().collect();
        for name in names {
            let Some(server) = self.servers.get_mut(&name) else {
                continue;
            };
            let (calls, responses) = (
                std::mem::take(&mut server.calls),
                std::mem::take(&mut server.responses),
            );
            for call in calls {
                self.send(&name, call);
            }
            for (id, response) in responses {
                if let Some(sender) = self.requests.remove(&id) {
                    self.post(Message::Response(sender, Ok(response)));
                }
            }
        }
    }

    fn send(&mut self, from: &OwnedServerName, call: Call) {
        let to: OwnedServerName = call
            .address
            .host_header
            .as_str()
            .try_into()
            .expect("a name that was one before");
        let line = format!("{} {}", call.request.method(), call.request.uri());
        self.traffic.push((from.clone(), to.clone(), line));
        let sender = Sender {
            server: from.clone(),
            call: call.id,
            responder: to,
        };
        self.open.insert((from.clone(), call.id));
        self.messages += 1;
        let deadline = (call.deadline, self.messages);
        self.under_way
            .insert(deadline, Message::Deadline(sender.clone()));
        self.post(Message::Request(sender, call.request));
    }

    fn post(&mut self, message: Message) {
        self.messages += 1;
        self.under_way
            .insert((self.now.monotonic.plus(LATENCY), self.messages), message);
    }

    fn deliver_first(&mut self) {
        let Some((_, message)) = self.under_way.pop_first() else {
            return;
        };
        let now = self.now;
        match message {
            Message::Request(sender, request) => {
                let pair = (sender.server.clone(), sender.responder.clone());
                let id = RequestId(self.messages);
                self.messages += 1;
                let up = self
                    .servers
                    .get_mut(&sender.responder)
                    .filter(|server| server.is_up());
                match up.filter(|_| !self.cut.contains(&pair)) {
                    Some(server) => {
                        self.requests.insert(id, sender);
                        server.handle(now, Input::Request(id, request));
                    }
                    None => {
                        let error = CallError::Connect("nobody listens".to_owned());
                        self.post(Message::Response(sender, Err(error)));
                    }
                }
            }
            Message::Response(sender, result) => {
                let pair = (sender.responder.clone(), sender.server.clone());
                let lost = self.cut.contains(&pair);
                let result = if lost {
                    Err(CallError::TimedOut)
                } else {
                    result
                };
                self.conclude(&sender, result);
            }
            Message::Deadline(sender) => self.conclude(&sender, Err(CallError::TimedOut)),
        }
    }

    /// Gives a call its one outcome: the first that comes.
    fn conclude(&mut self, sender: &Sender, result: Result<Response<Bytes>, CallError>) {
        let now = self.now;
        if self.open.remove(&(sender.server.clone(), sender.call))
            && let Some(server) = self.servers.get_mut(&sender.server)
        {
            server.handle(now, Input::Response(sender.call, result));
        }
    }
}
