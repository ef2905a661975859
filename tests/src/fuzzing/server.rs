//! A server for one input of a fuzz target: its core, its database, and whatever the target says
//! to what it asks outside.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Action, Call, Config, Federation, Input, Monotonic, Now, WallTime,
    input::{CallError, CommandId, RequestId},
    keys::{KeySettings, OwnKeys},
    messaging::{
        command::{Command, CommandError, Reply},
        notice::Told,
        settings::Settings,
    },
    persistence::queries::Query,
    transport::names::{Found, Lookup, Records},
};
use http::{Request, Response};

use crate::simulation::model::Model;

/// More actions than any input is worth.
const ACTIONS_MAX: usize = 200_000;

/// How often a server is woken after an input, to do what it has put off.
const WAKES: usize = 6;

/// What answers a server's requests.
pub(super) type Outside<'o> = dyn FnMut(&Call) -> Result<Response<Bytes>, CallError> + 'o;

/// How a command ended.
pub(super) type Finished = Result<Reply, CommandError>;

/// A server.
pub(super) struct Server {
    core: Federation,
    database: Model,
    /// Everything that was ever written, in order.
    pub(super) written: Vec<Query>,
    now: Duration,
    newest_id: u64,
    responses: BTreeMap<RequestId, Response<Bytes>>,
    finished: BTreeMap<CommandId, Finished>,
}

impl Server {
    /// A server with the database that these writes make.
    pub(super) fn start(keys: &OwnKeys, seed: &[u8; 32], written: Vec<Query>) -> Self {
        let mut database = Model::default();
        for query in &written {
            database.run(query).expect("it was written before");
        }
        let config = Config {
            server_name: keys.server_name().to_owned(),
            signing_key: Arc::new(super::actors::key(seed)),
            seed: *seed,
            settings: Settings::default(),
            keys: KeySettings::default(),
            delegates_to: None,
        };
        let mut server = Self {
            core: Federation::new(config),
            database,
            written,
            now: Duration::from_secs(1000),
            newest_id: 0,
            responses: BTreeMap::new(),
            finished: BTreeMap::new(),
        };
        server.handle(Input::Tick, &mut |_| Err(CallError::TimedOut));
        server
    }

    /// Its answer to a request.
    ///
    /// # Panics
    /// If it gives none though everything that it asked is answered.
    pub(super) fn request(
        &mut self,
        request: Request<Bytes>,
        outside: &mut Outside<'_>,
    ) -> Response<Bytes> {
        self.newest_id += 1;
        let id = RequestId(self.newest_id);
        self.handle(Input::Request(id, request), outside);
        self.wake(outside);
        self.responses
            .remove(&id)
            .unwrap_or_else(|| panic!("no answer; under way: {:?}", self.core.jobs()))
    }

    /// How a command ends.
    ///
    /// # Panics
    /// If it does not end though everything that it asked is answered.
    pub(super) fn command(&mut self, command: Command, outside: &mut Outside<'_>) -> Finished {
        self.newest_id += 1;
        let id = CommandId(self.newest_id);
        self.handle(Input::Command(id, command), outside);
        self.wake(outside);
        self.finished
            .remove(&id)
            .unwrap_or_else(|| panic!("no end; under way: {:?}", self.core.jobs()))
    }

    /// Lets it do what it has put off, for a while.
    fn wake(&mut self, outside: &mut Outside<'_>) {
        for _ in 0..WAKES {
            let Some(Monotonic(deadline)) = self.core.next_deadline() else {
                return;
            };
            self.now = self.now.max(deadline);
            self.handle(Input::Tick, outside);
        }
    }

    fn handle(&mut self, input: Input, outside: &mut Outside<'_>) {
        self.core.handle(now(self.now), input);
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.core.next_action() else {
                return;
            };
            if let Some(input) = self.carry_out(action, outside) {
                self.core.handle(now(self.now), input);
            }
        }
        panic!("it does not come to rest");
    }

    fn carry_out(&mut self, action: Action, outside: &mut Outside<'_>) -> Option<Input> {
        match action {
            Action::Query(id, query) => {
                let answer = self.database.run(&query);
                if matches!(query, Query::Commit(_)) {
                    self.written.push(query);
                }
                Some(Input::Answer(id, answer))
            }
            Action::LookUp(id, lookup, _) => Some(Input::Found(id, Ok(found(&lookup)))),
            Action::Call(call) => Some(Input::Response(call.id, outside(&call))),
            Action::Compute(id, computation) => Some(Input::Computed(id, computation.run())),
            Action::Ask(id, _) => Some(Input::Told(id, Told::NotFound)),
            Action::Respond(id, response) => {
                let before = self.responses.insert(id, response);
                assert!(before.is_none(), "two answers to one request");
                None
            }
            Action::Complete(id, finished) => {
                let before = self.finished.insert(id, finished);
                assert!(before.is_none(), "a command ended twice");
                None
            }
            Action::Notify(_) => None,
            Action::Halt(reason) => panic!("halted: {reason}"),
        }
    }
}

fn now(monotonic: Duration) -> Now {
    const EPOCH: u64 = 1_700_000_000_000;
    let passed = u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX);
    Now {
        wall: WallTime(EPOCH.saturating_add(passed)),
        monotonic: Monotonic(monotonic),
    }
}

/// Every name has one address, and nobody offers a service.
fn found(lookup: &Lookup) -> Found {
    let records = match lookup {
        Lookup::Addresses(_) => Records::Addresses(vec![[1, 2, 3, 4].into()]),
        Lookup::Services(_) => Records::Services(Vec::new()),
    };
    Found {
        records,
        good_for: Duration::from_secs(60),
    }
}
