//! Servers, the wires between them, and the time.
//!
//! | file | holds |
//! |---|---|
//! | `links` | what the wires do to messages |
//! | `exchange` | requests and their answers on their way |
//! | `hostile` | what hostile servers do to the world |

mod exchange;
mod hostile;
mod links;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Input, Monotonic, Now, WallTime,
    input::{CallId, CommandId, RequestId},
    messaging::command::Command,
    transport::{
        client,
        remote_request::{Endpoint, RemoteRequest},
    },
};
use http::{Request, Response};
use ruma_common::{OwnedServerName, ServerName};
use serde_json::Value;

pub use self::links::{Mishap, Quality};
use self::{
    exchange::{Errand, Exchange, Message, Open, Wish},
    links::Links,
};
use super::{
    chronicle::Chronicle,
    database::DatabaseKind,
    exempt::Introductions,
    hostile::Hostile,
    invariants::{self, Invariant, Violation},
    liar::Liar,
    server::{Finished, Server},
    sight::{CallOutcome, Sight},
};

/// How long a test waits for something, in simulated time.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// A point in the order of arrivals: the number breaks ties.
type Arrival = (Monotonic, u64);

/// Servers, the messages between them, and the time.
pub struct Network {
    /// What servers store in of which nothing else is said.
    database: DatabaseKind,
    servers: BTreeMap<OwnedServerName, Server>,
    /// When each wants to be woken.
    deadlines: BTreeMap<OwnedServerName, Monotonic>,
    liars: BTreeMap<OwnedServerName, Liar>,
    /// Servers of which somebody hostile has the key and the wires.
    hostile: BTreeMap<OwnedServerName, Hostile>,
    introductions: Introductions,
    /// How far a server's clock is off.
    skews: BTreeMap<OwnedServerName, i64>,
    /// How many of a server's notices were shown to the invariants.
    noticed: BTreeMap<OwnedServerName, usize>,
    now: Now,
    links: Links,
    under_way: BTreeMap<Arrival, Message>,
    messages: u64,
    /// What has no outcome yet.
    open: BTreeMap<u64, Open>,
    /// Which requests a server has not answered yet.
    requests: BTreeMap<RequestId, Arc<Exchange>>,
    /// The outcomes that a script waits for.
    answers: BTreeMap<u64, CallOutcome>,
    /// Whether a server's keys can be had while it is down or cut off.
    keys_outlive: bool,
    invariants: Vec<Box<dyn Invariant>>,
    /// What an invariant found first. Nobody waits for more.
    broken: Option<Violation>,
    /// What happened.
    pub(super) chronicle: Chronicle,
    /// Whether to end the test as soon as a promise is broken.
    strict: bool,
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

impl Network {
    /// Servers with these names, all started, watched for what must be true of every message. A
    /// broken promise ends the test.
    pub fn of(names: &[&str]) -> Self {
        Self::on(DatabaseKind::default(), names)
    }

    /// The same, on databases of this kind.
    pub fn on(database: DatabaseKind, names: &[&str]) -> Self {
        let mut network = Self::empty(vec![
            Box::<invariants::OneInFlight>::default(),
            Box::<invariants::SameAnswer>::default(),
        ]);
        network.strict = true;
        network.database = database;
        for name in names {
            network.add_server(name);
        }
        network
    }

    /// No servers, but invariants that watch.
    pub fn empty(invariants: Vec<Box<dyn Invariant>>) -> Self {
        Self {
            database: DatabaseKind::default(),
            servers: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            liars: BTreeMap::new(),
            hostile: BTreeMap::new(),
            introductions: Introductions::default(),
            skews: BTreeMap::new(),
            noticed: BTreeMap::new(),
            now: Now {
                wall: WallTime(1_700_000_000_000),
                monotonic: Monotonic::default(),
            },
            links: Links::new(),
            under_way: BTreeMap::new(),
            messages: 0,
            open: BTreeMap::new(),
            requests: BTreeMap::new(),
            answers: BTreeMap::new(),
            keys_outlive: false,
            invariants,
            broken: None,
            chronicle: Chronicle::default(),
            strict: false,
            traffic: Vec::new(),
        }
    }

    /// Adds a server and starts it.
    pub fn add_server(&mut self, name: &str) {
        self.add(Server::on(name, self.database));
    }

    /// Adds this server and starts it.
    pub fn add(&mut self, server: Server) {
        let name = server.name.clone();
        self.servers.insert(name.clone(), server);
        self.start(name.as_str());
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
        let name = server_name(name);
        self.show(&Sight::Started(&name));
        let now = self.now_at(&name);
        if let Some(server) = self.servers.get_mut(&name) {
            server.start(now);
        }
        self.collect(&name);
    }

    /// Stops a server at once. Whoever waits for its answer sees the connection break.
    pub fn crash(&mut self, name: &str) {
        self.server(name).crash();
        self.collect(&server_name(name));
    }

    /// Stops a server, if it is up, and gives it another key for its next start.
    pub fn renew_key(&mut self, name: &str) {
        let now = self.now_at(&server_name(name));
        if self.server(name).is_up() {
            self.crash(name);
        }
        self.server(name).renew_key(now);
    }

    /// Makes every query take a server's disk so long at most.
    pub fn set_slowness(&mut self, name: &str, slowness: Duration) {
        let server = server_name(name);
        self.show(&Sight::Slowed(&server, slowness));
        self.server(name).disk.set_slowness(slowness);
    }

    /// Sets a server's clock so many milliseconds forward, or back.
    pub fn set_skew(&mut self, name: &str, skew: i64) {
        self.skews.insert(server_name(name), skew);
    }

    /// Cuts or mends the wires between two servers, both ways.
    pub fn set_cut(&mut self, one: &str, other: &str, cut: bool) {
        self.set_cut_one_way(one, other, cut);
        self.set_cut_one_way(other, one, cut);
    }

    /// Cuts or mends one wire.
    pub fn set_cut_one_way(&mut self, from: &str, to: &str, cut: bool) {
        self.links
            .set_cut((server_name(from), server_name(to)), cut);
    }

    /// Loses the answer to the next request to this server whose target holds this text.
    pub fn lose_response(&mut self, responder: &str, target: &str) {
        self.await_mishap(responder, target, Mishap::LoseAnswer);
    }

    /// Lets this happen to the next request to this server whose target holds this text.
    pub fn await_mishap(&mut self, responder: &str, target: &str, mishap: Mishap) {
        let responder = server_name(responder);
        self.links
            .await_mishap(responder, target.to_owned(), mishap);
    }

    /// Draws all chances from this seed.
    pub fn sow(&mut self, seed: u64) {
        self.links.sow(seed);
    }

    /// How well those wires work of which nothing else is said.
    pub fn set_usual_quality(&mut self, quality: Quality) {
        self.links.set_usual(quality);
    }

    /// How well one wire works from now on.
    pub fn set_quality(&mut self, from: &str, to: &str, quality: Quality) {
        self.links
            .set((server_name(from), server_name(to)), quality);
    }

    /// Makes every wire work.
    pub fn mend(&mut self) {
        self.links.mend();
    }

    /// Lets servers' keys be had at any time, as if others vouched for those who are away.
    pub fn let_keys_outlive(&mut self) {
        self.keys_outlive = true;
    }

    /// Whether every promise was kept so far.
    ///
    /// # Errors
    /// The first that was not.
    pub fn verdict(&self) -> Result<(), Violation> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Lets the invariants look at the servers.
    pub fn look(&mut self, honest: &BTreeSet<OwnedServerName>) {
        let mut invariants = mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if let Err(what) = invariant.looks(self, honest) {
                self.complain(invariant.name(), what);
            }
        }
        self.invariants = invariants;
    }

    /// Takes the invariants away: nobody watches any more.
    pub(super) fn dismiss_invariants(&mut self) -> Vec<Box<dyn Invariant>> {
        mem::take(&mut self.invariants)
    }

    fn complain(&mut self, invariant: &'static str, what: String) {
        let at = self.now.monotonic;
        let violation = Violation {
            invariant,
            at,
            what,
        };
        assert!(!self.strict, "{violation}");
        self.broken.get_or_insert(violation);
    }

    /// The names of all servers.
    pub fn names(&self) -> Vec<OwnedServerName> {
        self.servers.keys().cloned().collect()
    }

    /// Whether there is a server of this name.
    pub fn has(&self, name: &str) -> bool {
        self.servers.contains_key(&server_name(name))
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
                let jobs = self.server(name).jobs();
                panic!("the command never ended; jobs: {jobs:#?}");
            }
        }
    }

    /// Gives a command and lets nothing happen yet; the server knows in the end how it went.
    pub fn start_command(&mut self, name: &str, command: Command) -> CommandId {
        let name = server_name(name);
        let now = self.now_at(&name);
        let server = self.servers.get_mut(&name);
        let id = server
            .expect("the test names a server of this network")
            .command(now, command);
        self.collect(&name);
        id
    }

    /// Makes a liar ask a server something, signed as it should be.
    pub fn ask(&mut self, liar: &str, to: &str, endpoint: Endpoint) -> Response<Bytes> {
        let request = RemoteRequest {
            destination: server_name(to),
            endpoint,
        };
        let own = self.liar(liar).own.clone();
        let call = client::sign(&own, CallId(0), &request, self.now);
        self.ask_with(liar, to, call.expect("the request can be sent").request)
    }

    /// Makes a liar send a server this very request.
    pub fn ask_with(&mut self, liar: &str, to: &str, request: Request<Bytes>) -> Response<Bytes> {
        let deadline = self.now.monotonic.plus(PATIENCE);
        let errand = Errand {
            wish: Wish::Script,
            deadline,
            limit: usize::MAX,
        };
        let number = self.open(server_name(liar), server_name(to), errand, request);
        while !self.answers.contains_key(&number) {
            assert!(self.step(), "the request was never answered");
        }
        let answer = self.answers.remove(&number).expect("it is there");
        answer.expect("the server is up")
    }

    /// Makes a liar tell a server something, unsigned, and wait for no answer.
    pub fn tell(&mut self, liar: &str, to: &str, target: &str, body: &Value) {
        let request = Request::put(target).body(body.to_string().into());
        let errand = Errand {
            wish: Wish::Nobody,
            deadline: self.now.monotonic.plus(PATIENCE),
            limit: usize::MAX,
        };
        let request = request.expect("the test gives a target");
        self.open(server_name(liar), server_name(to), errand, request);
    }

    /// Lets the world go on until nothing happens any more.
    pub fn settle(&mut self) {
        self.settle_within(PATIENCE);
    }

    /// Lets the world go on until nothing happens any more, or so much time has passed.
    pub fn settle_within(&mut self, patience: Duration) {
        let give_up = self.now.monotonic.plus(patience);
        while self.now.monotonic < give_up && self.broken.is_none() && self.step() {}
    }

    /// Lets this much time pass.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now.monotonic.plus(duration);
        while self.broken.is_none() && self.next_event().is_some_and(|at| at <= until) {
            self.step();
        }
        self.advance_to(until);
    }

    /// Lets the next thing happen; false if there is none.
    pub fn step(&mut self) -> bool {
        let Some(at) = self.next_event() else {
            return false;
        };
        self.advance_to(at);
        match self.under_way.first_key_value() {
            Some(((arrival, _), _)) if *arrival <= at => self.deliver_first(),
            Some(_) | None => self.wake_due(),
        }
        true
    }

    fn next_event(&self) -> Option<Monotonic> {
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        let deadlines = self.deadlines.values().copied();
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

    /// The time as a server sees it.
    fn now_at(&self, name: &ServerName) -> Now {
        let skew = self.skews.get(name).copied().unwrap_or(0);
        let wall = WallTime(self.now.wall.0.saturating_add_signed(skew));
        Now { wall, ..self.now }
    }

    fn wake_due(&mut self) {
        let now = self.now.monotonic;
        let due = self.deadlines.iter().filter(|(_, at)| **at <= now);
        let due: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            let now = self.now_at(&name);
            if let Some(server) = self.servers.get_mut(&name) {
                server.wake(now);
            }
            self.collect(&name);
        }
    }

    fn hand_in(&mut self, name: &OwnedServerName, input: Input) {
        let now = self.now_at(name);
        if let Some(server) = self.servers.get_mut(name) {
            server.handle(now, input);
        }
        self.collect(name);
    }

    fn show(&mut self, sight: &Sight<'_>) {
        self.chronicle.sees(self.now, sight);
        self.introductions.sees(sight);
        if self.hostile.contains_key(sight.subject()) {
            let invariants = self.invariants.iter_mut();
            return invariants.for_each(|invariant| invariant.overhears(sight));
        }
        let at = self.now.monotonic;
        let complaints = self.invariants.iter_mut().map(|invariant| {
            let seen = invariant.sees(at, sight);
            seen.err().map(|what| (invariant.name(), what))
        });
        let first = complaints.flatten().next();
        if let Some((invariant, what)) = first {
            self.complain(invariant, what);
        }
    }
}

/// What a test wrote as the name of a server.
fn server_name(name: &str) -> OwnedServerName {
    name.try_into().expect("the test gives a server name")
}
