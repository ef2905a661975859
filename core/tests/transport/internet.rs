//! A server's core, and the internet around it as a table: names, services, pages.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Action, Call, Config, Federation, Input, Monotonic, Now, WallTime,
    input::{CallError, CommandId, QueryId, QuestionId, RequestId},
    keys::KeySettings,
    messaging::{
        command::{Command, CommandError},
        notice::Told,
        settings::Settings,
    },
    pdu::signing::SigningKey,
    persistence::{
        queries::{Answer, Boot, Query, Read, Write},
        tables::{PublishedKeysRecord, ServerKeyRecord},
    },
    transport::{
        names::{Found, Lookup, LookupError, Records, Service},
        server_address::ServerAddress,
    },
};
use http::{Request, Response};
use ruma_common::OwnedServerName;

/// The core of `our.example`, and all that it finds outside.
pub struct Internet {
    core: Federation,
    config: Config,
    now: Duration,
    commands: u64,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    services: BTreeMap<String, Vec<Service>>,
    pages: BTreeMap<String, Response<Bytes>>,
    /// What servers answer: by name, method and target.
    pub answers: BTreeMap<(String, String), Bytes>,
    /// The keys that were stored.
    stored: Vec<ServerKeyRecord>,
    published: BTreeMap<OwnedServerName, PublishedKeysRecord>,
    requests: u64,
    answered: usize,
    questions: Vec<QuestionId>,
    /// For how long what is found out holds.
    pub good_for: Duration,
    /// Whether names can be looked up.
    pub names_answer: bool,
    /// Whether what is to be written from now on never is.
    pub disk_is_stuck: bool,
    /// Whether what is asked of the disk from now on waits until it is fast again.
    pub disk_is_slow: bool,
    waiting: Vec<(QueryId, Query)>,
    /// Every name that was looked up.
    pub lookups: Vec<Lookup>,
    /// Every page that was asked for: where, as whom, and its address.
    pub fetched: Vec<(ServerAddress, String)>,
    /// Every request that went to a server; those of which nothing is said are not answered.
    pub calls: Vec<Call>,
}

impl Internet {
    pub fn new() -> Self {
        Self::of("our.example", Settings::default())
    }

    pub fn of(our_name: &str, settings: Settings) -> Self {
        Self::with(our_name, settings, KeySettings::default())
    }

    pub fn with(our_name: &str, settings: Settings, keys: KeySettings) -> Self {
        Self::delegated(our_name, settings, keys, None)
    }

    /// A server whose name delegates to another.
    pub fn delegated(
        our_name: &str,
        settings: Settings,
        keys: KeySettings,
        to: Option<&str>,
    ) -> Self {
        // No requests but those that a test causes.
        let settings = Settings {
            pull_streams: false,
            ..settings
        };
        let config = Config {
            server_name: our_name.try_into().unwrap(),
            signing_key: SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap().into(),
            seed: [2; 32],
            settings,
            keys,
            delegates_to: to.map(|to| to.try_into().unwrap()),
        };
        let mut internet = Self {
            core: Federation::new(config.clone()),
            config,
            now: Duration::from_secs(1000),
            commands: 0,
            addresses: BTreeMap::new(),
            services: BTreeMap::new(),
            pages: BTreeMap::new(),
            answers: BTreeMap::new(),
            stored: Vec::new(),
            published: BTreeMap::new(),
            requests: 0,
            answered: 0,
            questions: Vec::new(),
            good_for: Duration::from_secs(300),
            names_answer: true,
            disk_is_stuck: false,
            disk_is_slow: false,
            waiting: Vec::new(),
            lookups: Vec::new(),
            fetched: Vec::new(),
            calls: Vec::new(),
        };
        internet.hand_in(Input::Tick);
        internet
    }

    /// Starts the server anew; it has what is stored.
    pub fn restart(&mut self) {
        self.core = Federation::new(self.config.clone());
        self.hand_in(Input::Tick);
    }

    /// A name that has these addresses.
    pub fn name(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        self.addresses.insert(name.to_owned(), addresses.collect());
        self
    }

    /// A service that is offered there: priority, port, target.
    pub fn service(mut self, name: &str, priority: u16, port: u16, target: &str) -> Self {
        let service = Service {
            priority,
            weight: 0,
            port,
            target: target.to_owned(),
        };
        self.services
            .entry(name.to_owned())
            .or_default()
            .push(service);
        self
    }

    /// A page at `https://…`.
    pub fn page(mut self, url: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        self.set_page(url, status, headers, body);
        self
    }

    pub fn set_page(&mut self, url: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut page = Response::builder().status(status);
        for (name, value) in headers {
            page = page.header(*name, *value);
        }
        let page = page.body(Bytes::from(body.to_owned())).unwrap();
        self.pages.insert(url.to_owned(), page);
    }

    /// A page that delegates.
    pub fn delegating(self, host: &str, to: &str) -> Self {
        let body = format!(r#"{{"m.server": "{to}"}}"#);
        self.page(
            &format!("https://{host}/.well-known/matrix/server"),
            200,
            &[],
            &body,
        )
    }

    /// What a server says to `GET …` or `POST …`.
    pub fn answer(&mut self, server: &str, line: &str, body: impl Into<Bytes>) {
        self.answers
            .insert((server.to_owned(), line.to_owned()), body.into());
    }

    pub fn wall(&self) -> WallTime {
        WallTime(1_700_000_000_000 + self.now.as_millis() as u64)
    }

    /// How often something was asked of a server.
    pub fn asked(&self, server: &str, path: &str) -> usize {
        let is_it =
            |call: &&Call| call.address.host_header == server && call.request.uri().path() == path;
        self.calls.iter().filter(is_it).count()
    }

    /// Sends the core a request; its answer if it has one at once.
    pub fn begin(&mut self, request: Request<impl Into<Bytes>>) -> Option<Response<Bytes>> {
        self.requests += 1;
        let input = Input::Request(RequestId(self.requests), request.map(Into::into));
        match self.hand_in(input)? {
            Outcome::Response(response) => Some(response),
            Outcome::Command(_) => panic!("the answer to a command"),
        }
    }

    /// Answers all that the application was asked.
    pub fn tell(&mut self) {
        for id in std::mem::take(&mut self.questions) {
            self.hand_in(Input::Told(id, Told::NotFound));
        }
    }

    /// Lets the disk do what waits for it; how many requests are answered then.
    pub fn quicken_disk(&mut self) -> usize {
        self.disk_is_slow = false;
        let before = self.answered;
        for (id, query) in std::mem::take(&mut self.waiting) {
            let answer = self.query(id, query);
            self.hand_in(answer);
        }
        self.answered - before
    }

    /// How many questions the application has to answer.
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Sends the core a request, and its answer.
    pub fn request(&mut self, request: Request<impl Into<Bytes>>) -> Response<Bytes> {
        self.begin(request).expect("an answer")
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.hand_in(Input::Tick);
    }

    /// Asks a server for an alias; where the request went, or why it went nowhere.
    pub fn reach(&mut self, server: &str) -> Result<ServerAddress, String> {
        let sent = self.calls.len();
        let alias = format!("#alias:{server}").try_into().unwrap();
        let error = self.command(Command::ResolveAlias(alias)).unwrap_err();
        match self.calls.get(sent) {
            Some(call) => Ok(call.address.clone()),
            None => Err(error.to_string()),
        }
    }

    pub fn command(&mut self, command: Command) -> Result<(), CommandError> {
        self.commands += 1;
        match self.hand_in(Input::Command(CommandId(self.commands), command)) {
            Some(Outcome::Command(result)) => result,
            _ => panic!("the command does not end"),
        }
    }

    fn hand_in(&mut self, input: Input) -> Option<Outcome> {
        let now = Now {
            wall: self.wall(),
            monotonic: Monotonic(self.now),
        };
        self.core.handle(now, input);
        let mut finished = None;
        while let Some(action) = self.core.next_action() {
            let input = match action {
                Action::Query(_, Query::Commit(_)) if self.disk_is_stuck => continue,
                Action::Query(id, query) if self.disk_is_slow => {
                    self.waiting.push((id, query));
                    continue;
                }
                Action::Query(id, query) => self.query(id, query),
                Action::LookUp(id, lookup, _) => Input::Found(id, self.look_up(lookup)),
                Action::Call(call) => self.call(*call),
                Action::Complete(_, result) => {
                    finished = Some(Outcome::Command(result.map(drop)));
                    continue;
                }
                Action::Respond(_, response) => {
                    self.answered += 1;
                    finished = Some(Outcome::Response(response));
                    continue;
                }
                Action::Notify(_) => continue,
                Action::Ask(id, _) => {
                    self.questions.push(id);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            self.core.handle(now, input);
        }
        finished
    }

    fn query(&mut self, id: QueryId, query: Query) -> Input {
        let answer = match query {
            Query::Read(Read::Boot) => Answer::Boot(Boot::default()),
            Query::Read(Read::Inbox { .. }) => Answer::Inbox(Vec::new()),
            Query::Read(Read::ReceivedTransaction { .. }) => Answer::Response(None),
            Query::Read(Read::PublishedKeys(server)) => {
                Answer::PublishedKeys(self.published.get(&server).cloned())
            }
            Query::Read(Read::ServerKeys(server)) => {
                let theirs = self.stored.iter().filter(|key| key.server == server);
                Answer::Keys(theirs.cloned().collect())
            }
            Query::Commit(batch) => {
                for write in batch.writes {
                    match write {
                        Write::ServerKeys(keys) => self.stored.extend(keys),
                        Write::PublishedKeys(record) => {
                            self.published.insert(record.server.clone(), record);
                        }
                        Write::ReceivedTransaction { .. }
                        | Write::ForgetTransactions { .. }
                        | Write::ForgetInbox { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                Answer::Committed
            }
            other => panic!("{other:?}"),
        };
        Input::Answer(id, Ok(answer))
    }

    fn look_up(&mut self, lookup: Lookup) -> Result<Found, LookupError> {
        self.lookups.push(lookup.clone());
        if !self.names_answer {
            return Err(LookupError("no name server answers".to_owned()));
        }
        let records = match lookup {
            Lookup::Addresses(name) => {
                Records::Addresses(self.addresses.get(&name).cloned().unwrap_or_default())
            }
            Lookup::Services(name) => {
                Records::Services(self.services.get(&name).cloned().unwrap_or_default())
            }
        };
        Ok(Found {
            records,
            good_for: self.good_for,
        })
    }

    fn call(&mut self, call: Call) -> Input {
        let target = call.request.uri().to_string();
        if target.starts_with("/_matrix/") {
            self.calls.push(call.clone());
            let line = format!("{} {target}", call.request.method());
            let body = self.answers.get(&(call.address.host_header, line)).cloned();
            let failure = CallError::Connect("as told".to_owned());
            return Input::Response(call.id, body.map(Response::new).ok_or(failure));
        }
        let url = format!("https://{}{target}", call.address.host_header);
        self.fetched.push((call.address, target));
        let page = self.pages.get(&url).cloned();
        let failure = CallError::Connect("nobody serves pages".to_owned());
        Input::Response(call.id, page.ok_or(failure))
    }
}

enum Outcome {
    Command(Result<(), CommandError>),
    Response(Response<Bytes>),
}

pub fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
