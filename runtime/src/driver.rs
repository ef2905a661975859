//! The one owner of the core.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    Action, Federation, Input,
    action::Call,
    engine::compute::Computation,
    input::{CommandId, ComputationId, LookupId, QueryId, QuestionId, RequestId},
    messaging::{
        command::{Command, CommandError, Reply},
        notice::{Notice, Question, Told},
    },
    persistence::queries::Query,
    time::Monotonic,
    transport::{
        matrix_error::{ErrorCode, MatrixError},
        names::Lookup,
    },
};

use crate::{Clock, metrics::Metrics, recording::Recorder};

/// Commands that may wait for their outcome at once; more are refused as
/// [`CommandError::Busy`].
pub const COMMANDS_MAX: usize = 4096;

/// Notices that a reader may be behind before it is cut off as [`Lagged`].
pub const NOTICES_MAX: usize = 4096;

/// Where one outcome goes; dropped without one if the server stops first. It must not block.
pub type Waiter<T> = Box<dyn FnOnce(T) + Send>;

/// Where notices go; `false` ends the subscription. It must not block.
pub type Subscriber = Box<dyn FnMut(&Notice) -> bool + Send>;

/// How the application answers questions. It may block, and runs on a thread that may.
pub type QuestionHandler = Arc<dyn Fn(Question) -> Told + Send + Sync>;

/// A reader of notices was too slow: what came next is lost to it and its subscription has ended.
/// It may subscribe again and read what it missed from the store, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("notices came faster than they were read, and some are lost")]
pub struct Lagged;

/// Why no notice came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNotice {
    /// None came in the time given; wait again.
    #[error("nothing happened in time")]
    TimedOut,
    /// The reader was too slow.
    #[error(transparent)]
    Lagged(#[from] Lagged),
    /// The server has stopped, or the reader has lagged before.
    #[error("the notices have ended")]
    Ended,
}

/// What comes into the inbox of a runtime.
///
/// The inbox needs no bound of its own: there is at most one request for each connection, one
/// command for each caller, and one outcome for each action.
pub enum Message {
    /// Another server asks.
    Request(http::Request<Bytes>, Waiter<http::Response<Bytes>>),
    /// The application asks.
    Command(Command, Waiter<Result<Reply, CommandError>>),
    /// The application wants to hear notices.
    Subscribe(Subscriber),
    /// The application will answer questions this way.
    OnQuestion(QuestionHandler),
    /// An effect is done.
    Outcome(Input),
    /// Somebody wants the metrics, as text of the type [`METRICS_TYPE`](crate::METRICS_TYPE).
    Measure(Waiter<String>),
    /// Take nothing new; stop when all that is under way is done, or after this long.
    ShutDown(Duration),
    /// Stop now.
    Stop,
}

/// What a runtime does for the core. Each of these begins something and returns at once; its
/// outcome comes back as [`Message::Outcome`].
pub trait Effects {
    /// Sends a request to another server.
    fn call(&mut self, call: Box<Call>);
    /// Looks a name up, by this moment.
    fn look_up(&mut self, id: LookupId, lookup: Lookup, deadline: Monotonic);
    /// Has the store run a query, after those before.
    fn query(&mut self, id: QueryId, query: Query);
    /// Runs a computation.
    fn compute(&mut self, id: ComputationId, computation: Computation);
    /// Asks the application.
    fn ask(&mut self, id: QuestionId, question: Question, handler: QuestionHandler);
    /// What the store has done.
    fn store_statistics(&self) -> comity_store::Statistics;
    /// Lets no new connection in and ends each as soon as its present request is answered.
    fn stop_listening(&mut self);
}

/// How far a driver's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes requests and commands.
    Running,
    /// It takes nothing new and ends at this moment, or earlier once nothing is under way.
    Closing(Instant),
    /// It has ended after closing; handing it anything has no effect.
    Closed,
    /// It has ended abruptly; handing it anything has no effect.
    Stopped,
}

impl State {
    /// Whether the driver has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Closing(_) => false,
            Self::Closed | Self::Stopped => true,
        }
    }
}

/// Why the server stopped, for those who still hold a handle of it.
#[derive(Clone, Debug, Default)]
pub struct StopReason(Arc<OnceLock<String>>);

impl StopReason {
    /// The reason; `None` while the server runs.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// What a command to a stopped server comes to.
    #[must_use]
    pub fn error(&self) -> CommandError {
        CommandError::Stopped(self.get().unwrap_or("the server is gone").to_owned())
    }
}

/// Owns the core and everybody who waits for it, and gives each action to whoever performs it.
pub struct Driver<E> {
    federation: Federation,
    clock: Clock,
    effects: E,
    state: State,
    stop_reason: StopReason,
    newest_id: u64,
    requests: HashMap<RequestId, Waiter<http::Response<Bytes>>>,
    commands: HashMap<CommandId, Waiter<Result<Reply, CommandError>>>,
    subscribers: Vec<Subscriber>,
    on_question: QuestionHandler,
    calls_under_way: usize,
    queries_under_way: usize,
    metrics: Metrics,
    recorder: Option<Recorder>,
}

impl<E: Effects> Driver<E> {
    /// A driver of a new core, which has begun its first actions.
    pub fn start(
        config: comity_core::Config,
        clock: Clock,
        effects: E,
        stop_reason: StopReason,
        recorder: Option<Recorder>,
    ) -> Self {
        let mut driver = Self {
            federation: Federation::new(config),
            clock,
            effects,
            state: State::Running,
            stop_reason,
            newest_id: 0,
            requests: HashMap::new(),
            commands: HashMap::new(),
            subscribers: Vec::new(),
            on_question: Arc::new(|_| Told::NotFound),
            calls_under_way: 0,
            queries_under_way: 0,
            metrics: Metrics::new(),
            recorder,
        };
        driver.begin_actions();
        driver
    }

    /// How far its life has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// When to call [`Driver::wake`] if no message comes before; `None` if only a message helps.
    pub fn deadline(&self) -> Option<Instant> {
        let core = self
            .federation
            .next_deadline()
            .map(|moment| self.clock.instant(moment));
        match self.state {
            State::Running => core,
            State::Closing(end) => Some(core.map_or(end, |deadline| deadline.min(end))),
            State::Closed | State::Stopped => None,
        }
    }

    /// Does what is due by now.
    pub fn wake(&mut self) {
        self.tell_core(Input::Tick);
        self.close_if_due();
    }

    /// Deals with a message.
    pub fn handle(&mut self, message: Message) {
        match message {
            Message::Request(request, waiter) => self.request(request, waiter),
            Message::Command(command, waiter) => self.command(command, waiter),
            Message::Subscribe(subscriber) => self.subscribers.push(subscriber),
            Message::OnQuestion(handler) => self.on_question = handler,
            Message::Outcome(outcome) => self.outcome(outcome),
            Message::Measure(waiter) => waiter(self.measure()),
            Message::ShutDown(grace) => self.shut_down(grace),
            Message::Stop => self.end(State::Stopped, "it was told to stop".to_owned()),
        }
        self.close_if_due();
    }

    /// Ends the driver and gives back the effects.
    pub fn into_effects(self) -> E {
        self.effects
    }

    fn request(&mut self, request: http::Request<Bytes>, waiter: Waiter<http::Response<Bytes>>) {
        if self.state != State::Running {
            return waiter(unavailable());
        }
        let id = RequestId(self.new_id());
        self.requests.insert(id, waiter);
        self.metrics.request_begun(id, &request);
        self.tell_core(Input::Request(id, request));
    }

    fn command(&mut self, command: Command, waiter: Waiter<Result<Reply, CommandError>>) {
        if self.state != State::Running {
            return waiter(Err(CommandError::Stopped(
                "the server is shutting down".to_owned(),
            )));
        }
        if self.commands.len() >= COMMANDS_MAX {
            return waiter(Err(CommandError::Busy(format!(
                "{COMMANDS_MAX} commands wait"
            ))));
        }
        let id = CommandId(self.new_id());
        self.commands.insert(id, waiter);
        self.tell_core(Input::Command(id, command));
    }

    fn outcome(&mut self, outcome: Input) {
        self.metrics.outcome(&outcome);
        match &outcome {
            Input::Response(..) => self.calls_under_way = self.calls_under_way.saturating_sub(1),
            Input::Answer(..) => self.queries_under_way = self.queries_under_way.saturating_sub(1),
            Input::Request(..)
            | Input::Found(..)
            | Input::Computed(..)
            | Input::Command(..)
            | Input::Told(..)
            | Input::Tick => {}
        }
        self.tell_core(outcome);
    }

    fn measure(&mut self) -> String {
        let engine = self.federation.measurements();
        self.metrics.text(&engine, self.effects.store_statistics())
    }

    fn shut_down(&mut self, grace: Duration) {
        if self.state == State::Running {
            self.effects.stop_listening();
            self.state = State::Closing(Instant::now() + grace);
        }
    }

    fn close_if_due(&mut self) {
        let State::Closing(end) = self.state else {
            return;
        };
        let answered = self.requests.is_empty() && self.commands.is_empty();
        let idle = answered && self.calls_under_way == 0 && self.queries_under_way == 0;
        if idle || Instant::now() >= end {
            self.end(State::Closed, "it was shut down".to_owned());
        }
    }

    fn end(&mut self, state: State, reason: String) {
        if self.state.is_over() {
            return;
        }
        self.state = state;
        let _ = self.stop_reason.0.set(reason);
        self.effects.stop_listening();
        for (_, waiter) in self.requests.drain() {
            waiter(unavailable());
        }
        for (_, waiter) in self.commands.drain() {
            waiter(Err(self.stop_reason.error()));
        }
        self.subscribers.clear();
    }

    fn tell_core(&mut self, input: Input) {
        if self.state.is_over() {
            return;
        }
        let now = self.clock.now();
        self.record(|recorder| recorder.input(now, &input));
        let (kind, since) = (input.kind(), Instant::now());
        let resolutions = self.federation.resolutions();
        self.federation.handle(now, input);
        let resolved = self.federation.resolutions() > resolutions;
        self.metrics.dealt_with(kind, since, resolved);
        self.begin_actions();
    }

    /// A log that cannot be written is given up; the server goes on.
    fn record(&mut self, write: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = write(recorder)
        {
            tracing::warn!(%error, "the recording has ended");
            self.recorder = None;
        }
    }

    fn begin_actions(&mut self) {
        while !self.state.is_over()
            && let Some(action) = self.federation.next_action()
        {
            self.begin(action);
        }
    }

    fn begin(&mut self, action: Action) {
        self.record(|recorder| recorder.action(&action));
        match action {
            Action::Respond(id, response) => {
                self.metrics.request_ended(id, response.status());
                if let Some(waiter) = self.requests.remove(&id) {
                    waiter(response);
                }
            }
            Action::Complete(id, outcome) => {
                if let Some(waiter) = self.commands.remove(&id) {
                    waiter(outcome);
                }
            }
            Action::Call(call) => self.call(call),
            Action::LookUp(id, lookup, deadline) => self.effects.look_up(id, lookup, deadline),
            Action::Query(id, query) => {
                self.queries_under_way += 1;
                self.metrics.query_begun(id, &query);
                self.effects.query(id, query);
            }
            Action::Compute(id, computation) => self.effects.compute(id, computation),
            Action::Notify(notice) => self.subscribers.retain_mut(|tell| tell(&notice)),
            Action::Ask(id, question) => self.effects.ask(id, question, self.on_question.clone()),
            Action::Halt(reason) => {
                tracing::error!(reason, "the server stops");
                self.end(State::Stopped, reason);
            }
        }
    }

    /// Sends a request of ours, unless we are closing and nobody waits for what it may bring: the
    /// core keeps what it has to send and sends it after the next start.
    fn call(&mut self, call: Box<Call>) {
        let wanted = !self.requests.is_empty() || !self.commands.is_empty();
        if self.state == State::Running || wanted {
            self.calls_under_way += 1;
            self.metrics.call_begun(&call);
            self.effects.call(call);
        }
    }

    fn new_id(&mut self) -> u64 {
        self.newest_id += 1;
        self.newest_id
    }
}

/// What a request gets when the server stops before answering it.
#[must_use]
pub fn unavailable() -> http::Response<Bytes> {
    MatrixError::new(ErrorCode::Unknown, "the server is shutting down")
        .with_status(http::StatusCode::SERVICE_UNAVAILABLE)
        .into_response()
}
