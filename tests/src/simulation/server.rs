//! One simulated server.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Action, Call, Config, Federation, Input, Now,
    input::{CommandId, RequestId},
    keys::{KeySettings, OwnKeys, RetiredKey},
    messaging::{
        command::{Command, CommandError, Reply, Statistics},
        notice::{Notice, Question, Told},
        settings::Settings,
        status::{HeldBytes, JobStatus},
    },
    pdu::signing::SigningKey,
    persistence::{
        queries::{Answer, Read, StoreError},
        tables::StoredEvent,
    },
};
use http::Response;
use ruma_common::{OwnedEventId, OwnedServerName, RoomId};

use super::{
    database::DatabaseKind,
    disk::{Disk, DiskEvent},
    names,
};

/// How long a key is valid for events after the last that it signed.
const RETIRED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a server does before somebody looks at what it wrote and said.
const WORK_UNSEEN: usize = 200;

/// How much a server does at most for one input, waiting for nothing but itself; one that does more
/// never comes to an end. A thousand events that waited for one are judged in ten thousand steps.
const WORK_MAX: usize = 50_000;

/// How a command ended.
pub type Finished = Result<Reply, CommandError>;

/// A server: its core while it is up, and its disk, which outlives a crash.
pub struct Server {
    /// Its name.
    pub name: OwnedServerName,
    /// Everything that it told its application since the world began.
    pub notices: Vec<Notice>,
    /// What it was halted for, if it was, though its disk had not failed.
    pub halted: Option<String>,
    /// What it was at when it did more at once than it may.
    pub(super) endless: Option<Vec<JobStatus>>,
    /// How much it did for the last input.
    work: usize,
    /// Whether it has more to do for that.
    is_busy: bool,
    /// How many events its database has given it since the world began.
    pub events_read: usize,
    pub(super) calls: Vec<Call>,
    pub(super) responses: Vec<(RequestId, Response<Bytes>)>,
    /// What it keeps its database on.
    pub disk: Disk,
    core: Option<Federation>,
    signing_key: Arc<SigningKey>,
    /// What it chooses, from its next start on.
    pub settings: Settings,
    /// The same of keys.
    pub keys: KeySettings,
    starts: u8,
    commands: u64,
    finished: BTreeMap<CommandId, Finished>,
    answers: BTreeMap<Question, Told>,
    homeserver: Option<Homeserver>,
}

/// An application that answers questions as they come.
type Homeserver = Box<dyn FnMut(&Question) -> Option<Told> + Send>;

impl Server {
    /// A server that was never started, with an empty database of this kind.
    pub fn on(name: &str, database: DatabaseKind) -> Self {
        let seed = own_seed(name);
        Self {
            name: name.try_into().expect("the test gives a server name"),
            notices: Vec::new(),
            halted: None,
            endless: None,
            work: 0,
            is_busy: false,
            events_read: 0,
            calls: Vec::new(),
            responses: Vec::new(),
            disk: Disk::new(database, seed),
            core: None,
            signing_key: Arc::new(SigningKey::from_seed("ed25519:1", &seed).expect("a key id")),
            settings: Settings::default(),
            keys: KeySettings::default(),
            starts: 0,
            commands: 0,
            finished: BTreeMap::new(),
            answers: BTreeMap::new(),
            homeserver: None,
        }
    }

    /// Starts it, with nothing but its database.
    pub fn start(&mut self, now: Now) {
        self.starts += 1;
        let mut seed = own_seed(&self.name);
        seed[31] ^= self.starts;
        let config = Config {
            server_name: self.name.clone(),
            signing_key: self.signing_key.clone(),
            seed,
            settings: self.settings,
            keys: self.keys.clone(),
            delegates_to: None,
        };
        self.core = Some(Federation::new(config));
        self.handle(now, Input::Tick);
    }

    /// Stops it at once: what it had in memory is gone, and so is all that it was about to send.
    pub(super) fn crash(&mut self) {
        self.core = None;
        self.disk.crash();
        self.calls.clear();
        self.responses.clear();
    }

    /// Makes it crash right after so many more batches are on its disk, before it knows of the
    /// last one.
    pub fn crash_after(&mut self, commits: u32) {
        self.disk.lose_power_after(commits);
    }

    /// How often it was started.
    pub fn life(&self) -> u8 {
        self.starts
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// Makes the application answer a question this way; it answers all others with nothing.
    pub fn knows(&mut self, question: Question, told: Told) {
        self.answers.insert(question, told);
    }

    /// Makes the application answer questions this way, unless it [knows](Self::knows) better.
    pub fn answers(&mut self, told: impl FnMut(&Question) -> Option<Told> + Send + 'static) {
        self.homeserver = Some(Box::new(told));
    }

    /// Gives it a command and says under which id it will finish.
    pub fn command(&mut self, now: Now, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.handle(now, Input::Command(id, command));
        id
    }

    /// How a command ended, if it has.
    pub fn finished(&mut self, id: CommandId) -> Option<Finished> {
        self.finished.remove(&id)
    }

    /// Every job under way; none while it is down.
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.core.as_ref().map(Federation::jobs).unwrap_or_default()
    }

    /// Hands in an input and carries out the actions that need no network, or the first of many.
    pub fn handle(&mut self, now: Now, input: Input) {
        if let Some(core) = &mut self.core {
            core.handle(now, input);
            self.work = 0;
            self.go_on(now);
        }
    }

    /// Hands in what is due by now: answers of its disk, and the end of a pause.
    pub(super) fn wake(&mut self, now: Now) {
        self.work = 0;
        self.go_on(now);
        let is_due = |core: &Federation| core.next_deadline().is_some_and(|at| at <= now.monotonic);
        if !self.is_busy && self.core.as_ref().is_some_and(is_due) {
            self.handle(now, Input::Tick);
        }
    }

    /// Whether it has more to do at once than it did so far: whoever hands in an input has to look at
    /// what it did and to let it [go on](Self::go_on).
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Carries out so many more actions that need no network.
    pub(super) fn go_on(&mut self, now: Now) {
        self.take_answers(now);
        let enough = self.work + WORK_UNSEEN;
        while self.work < enough
            && let Some(action) = self.core.as_mut().and_then(Federation::next_action)
        {
            self.work += 1;
            self.begin(now, action);
            self.take_answers(now);
        }
        self.is_busy = self.work == enough && self.is_up();
        if self.work > WORK_MAX {
            self.give_up();
        }
    }

    /// Ends what would never end.
    fn give_up(&mut self) {
        self.endless = Some(self.jobs());
        self.crash();
    }

    fn begin(&mut self, now: Now, action: Action) {
        match action {
            Action::Query(id, query) => self.disk.submit(now.monotonic, id, query),
            Action::Compute(id, work) => self.tell_core(now, Input::Computed(id, work.run())),
            Action::Ask(id, question) => {
                let known = self.answers.get(&question).cloned();
                let told = known.or_else(|| self.homeserver.as_mut()?(&question));
                self.tell_core(now, Input::Told(id, told.unwrap_or(Told::NotFound)));
            }
            Action::LookUp(id, lookup, _) => {
                let found = Ok(names::look_up(&lookup));
                self.tell_core(now, Input::Found(id, found));
            }
            Action::Call(call) if names::is_delegation(&call) => {
                self.tell_core(now, Input::Response(call.id, Ok(names::no_delegation())));
            }
            Action::Call(call) => self.calls.push(*call),
            Action::Respond(id, response) => self.responses.push((id, response)),
            Action::Complete(id, result) => drop(self.finished.insert(id, result)),
            Action::Notify(notice) => self.notices.push(notice),
            Action::Halt(reason) => {
                if !self.disk.has_failed() {
                    self.halted = Some(reason);
                }
                self.crash();
            }
        }
    }

    fn take_answers(&mut self, now: Now) {
        while self.is_up()
            && let Some(event) = self.disk.next_event(now.monotonic)
        {
            match event {
                DiskEvent::Answer(id, answer) => {
                    self.events_read += events_in(&answer);
                    self.tell_core(now, Input::Answer(id, answer));
                }
                DiskEvent::PowerLoss => self.crash(),
            }
        }
    }

    fn tell_core(&mut self, now: Now, input: Input) {
        if let Some(core) = &mut self.core {
            core.handle(now, input);
        }
    }

    /// Its name and keys.
    pub fn own_keys(&self) -> OwnKeys {
        OwnKeys::new(self.name.clone(), self.signing_key.clone()).with_retired(&self.keys.retired)
    }

    /// Signs with another key from its next start on. The one before it is retired, after a day:
    /// it may have signed what others made by clocks that are ahead.
    pub fn renew_key(&mut self, now: Now) {
        self.keys.retired.push(RetiredKey {
            key_id: self.signing_key.key_id().to_owned(),
            public: self.signing_key.public_key(),
            expired: now.wall.plus(RETIRED_AFTER),
        });
        let number = self.keys.retired.len() + 1;
        let mut seed = own_seed(&self.name);
        seed[30] ^= u8::try_from(number).unwrap_or(u8::MAX);
        let key = SigningKey::from_seed(&format!("ed25519:{number}"), &seed).expect("a key id");
        self.signing_key = Arc::new(key);
    }

    /// How its core stands, if it is up.
    pub fn statistics(&self) -> Option<Statistics> {
        self.core.as_ref().map(Federation::statistics)
    }

    /// How many bytes it holds of what others sent or are owed, by what that is.
    pub fn memory(&self) -> BTreeMap<&'static str, HeldBytes> {
        let core = self.core.as_ref();
        core.map_or_else(BTreeMap::new, |core| core.measurements().memory)
    }

    /// The events that its database answers a question with.
    pub fn events(&mut self, read: Read) -> Vec<Arc<StoredEvent>> {
        match self.read(read) {
            Answer::Events(events) => events,
            other => panic!("{other:?}"),
        }
    }

    /// A room's current state.
    pub fn current_state(&mut self, room_id: &RoomId) -> Vec<Arc<StoredEvent>> {
        self.events(Read::CurrentState(room_id.to_owned()))
    }

    /// Everything that it stored.
    pub fn stored(&mut self) -> BTreeMap<OwnedEventId, Arc<StoredEvent>> {
        let read = Read::EventIds {
            prefix: "$".to_owned(),
            limit: u32::MAX,
        };
        let Answer::EventIds(event_ids) = self.read(read) else {
            panic!("no event ids");
        };
        let events = event_ids
            .chunks(500)
            .flat_map(|some| self.events(Read::Events(some.to_vec())));
        events
            .map(|event| (event.pdu.event_id().to_owned(), event))
            .collect()
    }

    /// Asks its database, whether it is up or not.
    pub fn read(&mut self, read: Read) -> Answer {
        self.disk.look_up(read)
    }

    /// When it wants to be woken.
    pub fn next_deadline(&self) -> Option<comity_core::Monotonic> {
        let core = self.core.as_ref()?;
        let deadlines = [core.next_deadline(), self.disk.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

fn events_in(answer: &Result<Answer, StoreError>) -> usize {
    match answer {
        Ok(Answer::Events(events) | Answer::AuthDescendants(Some(events))) => events.len(),
        _ => 0,
    }
}

/// The bytes that a server's key and chances are made of.
fn own_seed(name: impl AsRef<str>) -> [u8; 32] {
    let name = name.as_ref().as_bytes();
    std::array::from_fn(|index| name[index % name.len()])
}
