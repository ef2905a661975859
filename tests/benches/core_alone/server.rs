//! The core with a store in plain memory, which answers at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    Action, Call, Config, Federation, Input, Monotonic, Now, WallTime,
    input::{CommandId, RequestId},
    keys::{KeySettings, OwnKeys},
    messaging::{
        command::{Command, CommandError, Reply},
        notice::{Notice, Told},
        settings::Settings,
    },
    pdu::signing::SigningKey,
    transport::names::{Found, Lookup, Records},
};
use comity_tests::simulation::model::Model;
use http::{Request, Response};

/// A server, and one other that it can ask for its keys.
pub struct Server {
    core: Federation,
    database: Model,
    other: OwnKeys,
    now: Duration,
    newest_id: u64,
    response: Option<Response<Bytes>>,
    finished: Option<Result<Reply, CommandError>>,
    /// How long the store has worked.
    pub time_in_store: Duration,
    /// How many messages it has told of.
    pub messages: usize,
}

impl Server {
    pub fn start(name: &str, key: SigningKey, other: OwnKeys) -> Self {
        let config = Config {
            server_name: name.try_into().unwrap(),
            signing_key: Arc::new(key),
            seed: [3; 32],
            settings: Settings::default(),
            keys: KeySettings::default(),
            delegates_to: None,
        };
        let mut server = Self {
            core: Federation::new(config),
            database: Model::default(),
            other,
            now: Duration::from_secs(1_000),
            newest_id: 0,
            response: None,
            finished: None,
            time_in_store: Duration::ZERO,
            messages: 0,
        };
        server.handle(Input::Tick);
        server
    }

    pub fn request(&mut self, request: Request<Bytes>) -> Response<Bytes> {
        self.newest_id += 1;
        self.handle(Input::Request(RequestId(self.newest_id), request));
        self.response.take().expect("an answer")
    }

    pub fn command(&mut self, command: Command) -> Reply {
        self.newest_id += 1;
        self.handle(Input::Command(CommandId(self.newest_id), command));
        self.finished.take().expect("an end").expect("a good end")
    }

    /// The moment at which things are.
    pub fn now(&self) -> Now {
        let passed = u64::try_from(self.now.as_millis()).unwrap();
        Now {
            wall: WallTime(1_700_000_000_000 + passed),
            monotonic: Monotonic(self.now),
        }
    }

    fn handle(&mut self, input: Input) {
        self.now += Duration::from_millis(1);
        self.core.handle(self.now(), input);
        while let Some(action) = self.core.next_action() {
            if let Some(input) = self.carry_out(action) {
                self.core.handle(self.now(), input);
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Query(id, query) => {
                let begun = Instant::now();
                let answer = self.database.run(&query);
                self.time_in_store += begun.elapsed();
                Some(Input::Answer(id, answer))
            }
            Action::LookUp(id, lookup, _) => Some(Input::Found(id, Ok(found(&lookup)))),
            Action::Call(call) => Some(Input::Response(call.id, Ok(self.answer(&call)))),
            Action::Compute(id, computation) => Some(Input::Computed(id, computation.run())),
            Action::Ask(id, _) => Some(Input::Told(id, Told::NotFound)),
            Action::Respond(_, response) => {
                self.response = Some(response);
                None
            }
            Action::Complete(_, finished) => {
                self.finished = Some(finished);
                None
            }
            Action::Notify(notice) => {
                if let Notice::Event(event) = notice {
                    self.messages += usize::from(event.pdu.event_type() == "m.room.message");
                }
                None
            }
            Action::Halt(reason) => panic!("halted: {reason}"),
        }
    }

    /// The other server tells its keys and takes whatever it is sent.
    fn answer(&self, call: &Call) -> Response<Bytes> {
        match call.request.uri().path() {
            "/_matrix/key/v2/server" => self.other.published(self.now().wall),
            _ => Response::new(Bytes::from_static(br#"{"pdus":{}}"#)),
        }
    }
}

fn found(lookup: &Lookup) -> Found {
    let records = match lookup {
        Lookup::Addresses(_) => Records::Addresses(vec![[1, 2, 3, 4].into()]),
        Lookup::Services(_) => Records::Services(Vec::new()),
    };
    Found {
        records,
        good_for: Duration::from_secs(600_000),
    }
}
