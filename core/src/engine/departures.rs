//! What leaves the engine, and the last thing that is decided about it: where requests go.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::header;
use ruma_common::{OwnedServerName, ServerName};

use super::{
    Engine,
    need::{Met, Need},
};
use crate::{
    action::{Action, Call},
    input::{CallError, CallId, LookupId, RequestId},
    time::Monotonic,
    transport::{
        client::SignedRequest,
        discovery::{DiscoverServer, Discovered, DiscoveryError, well_known::PAGE_BYTES_MAX},
        names::{Found, LookupError},
        server_address::ServerAddress,
    },
};

/// How long a name may take to be looked up, or a page to be fetched.
const STEP_TIME_OUT: Duration = Duration::from_secs(10);

/// How many servers are looked for at once.
const DISCOVERIES_MAX: usize = 256;

/// Something on its way out.
#[derive(Debug)]
pub(crate) enum Departure {
    /// It can be carried out.
    Action(Action),
    /// It must first be known where the server is.
    Request(Box<SignedRequest>),
}

impl From<Action> for Departure {
    fn from(action: Action) -> Self {
        Self::Action(action)
    }
}

/// Requests to servers of which it is not known where they are.
#[derive(Debug, Default)]
pub(super) struct Undirected {
    waiting: BTreeMap<OwnedServerName, Vec<SignedRequest>>,
    /// Servers that nobody looks for yet.
    in_line: VecDeque<OwnedServerName>,
    at_work: usize,
}

impl Engine {
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        loop {
            self.submit_gathered();
            let action = match self.departures.pop_front()? {
                Departure::Action(action) => {
                    if let Action::Respond(request, _) = &action {
                        self.responds(*request);
                    }
                    Some(action)
                }
                Departure::Request(request) => self.direct(request),
            };
            if action.is_some() {
                return action;
            }
        }
    }

    /// An answer leaves, and another of the same server's requests may be begun.
    fn responds(&mut self, request: RequestId) {
        if let Some(job) = self.load.answered(request) {
            self.resolve(&Need::Service(job), &Met::InWorld);
            self.run_ready();
        }
    }

    /// Sends a request off, or keeps it until it is known where to, or gives it up.
    fn direct(&mut self, request: Box<SignedRequest>) -> Option<Action> {
        let now = self.now.monotonic;
        let failure = match self.world.directory.route(&request.destination, now) {
            _ if request.deadline <= now => CallError::TimedOut,
            Some(Ok(address)) => return Some(Action::Call(Box::new(request.to(address)))),
            Some(Err(error)) => CallError::Resolve(error.to_string()),
            None => {
                self.keep(request);
                return None;
            }
        };
        self.responded(request.id, Err(failure));
        None
    }

    fn keep(&mut self, request: Box<SignedRequest>) {
        let server = request.destination.clone();
        let waiting = self.undirected.waiting.entry(server.clone()).or_default();
        waiting.push(*request);
        if waiting.len() == 1 {
            self.undirected.in_line.push_back(server);
            self.look_for_servers();
            self.run_ready();
        }
    }

    fn look_for_servers(&mut self) {
        while self.undirected.at_work < DISCOVERIES_MAX
            && let Some(server) = self.undirected.in_line.pop_front()
        {
            self.undirected.at_work += 1;
            self.create(DiscoverServer { server }.into(), Vec::new(), None);
        }
    }

    /// It is known where a server is, or that it is not known: what waited for that moves on.
    pub(super) fn looked_for(&mut self, server: &ServerName) {
        let now = self.now.monotonic;
        if self.world.directory.route(server, now).is_none() {
            let given_up = Discovered {
                server: server.to_owned(),
                route: Err(DiscoveryError::GivenUp),
                good_for: Duration::ZERO,
                delegation: None,
            };
            self.world.directory.note(given_up, now);
        }
        let waiting = self.undirected.waiting.remove(server);
        let waiting = waiting.into_iter().flatten();
        let waiting = waiting.map(|request| Departure::Request(request.into()));
        self.departures.extend(waiting);
        self.undirected.at_work = self.undirected.at_work.saturating_sub(1);
        self.look_for_servers();
    }

    /// When a name must be looked up that is looked up now.
    pub(super) fn lookup_deadline(&self) -> Monotonic {
        self.now.monotonic.plus(STEP_TIME_OUT)
    }

    /// Asks for a page on the web.
    pub(super) fn fetch(&mut self, need: Need, address: ServerAddress, target: &str) {
        let id = CallId(self.next_id());
        let request = http::Request::get(target)
            .header(header::HOST, &address.host_header)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new());
        match request {
            Ok(request) => {
                self.pending.page(id, need);
                self.push(Action::Call(Box::new(Call {
                    id,
                    address,
                    request,
                    deadline: self.now.monotonic.plus(STEP_TIME_OUT),
                    response_limit: PAGE_BYTES_MAX,
                })));
            }
            Err(error) => {
                let error = CallError::BadResponse(error.to_string());
                self.resolve(&need, &Met::Page(Err(error)));
            }
        }
    }

    /// A name was looked up, or could not be.
    pub(crate) fn found(&mut self, lookup: LookupId, result: Result<Found, LookupError>) {
        if let Some(need) = self.pending.looked_up(lookup) {
            self.resolve(&need, &Met::Found(result));
        }
        self.run_ready();
    }
}
