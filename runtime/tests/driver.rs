//! The driver's life: who is told what when it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Config, Input,
    action::Call,
    engine::compute::Computation,
    input::{ComputationId, LookupId, QueryId, QuestionId},
    messaging::{
        command::{Command, CommandError, Reply},
        notice::Question,
        settings::Settings,
    },
    pdu::signing::SigningKey,
    persistence::queries::{Query, StoreError},
    time::Monotonic,
    transport::names::Lookup,
};
use comity_runtime::{
    COMMANDS_MAX, Clock, Driver, Effects, Message, QuestionHandler, State, StopReason,
};
use comity_store::Store;

/// What the driver asked for.
enum Asked {
    Query(QueryId, Query),
    StopListening,
}

struct FakeEffects(Sender<Asked>);

impl Effects for FakeEffects {
    fn call(&mut self, _: Box<Call>) {}
    fn look_up(&mut self, _: LookupId, _: Lookup, _: Monotonic) {}
    fn query(&mut self, id: QueryId, query: Query) {
        self.0.send(Asked::Query(id, query)).unwrap();
    }
    fn compute(&mut self, _: ComputationId, _: Computation) {}
    fn ask(&mut self, _: QuestionId, _: Question, _: QuestionHandler) {}
    fn store_statistics(&self) -> comity_store::Statistics {
        comity_store::Statistics::default()
    }
    fn stop_listening(&mut self) {
        self.0.send(Asked::StopListening).unwrap();
    }
}

/// A driver that waits for the store's first answer.
struct World {
    driver: Driver<FakeEffects>,
    asked: Receiver<Asked>,
    stop_reason: StopReason,
    boot: (QueryId, Query),
}

impl World {
    fn new() -> Self {
        let (sender, asked) = mpsc::channel();
        let config = Config {
            server_name: "a.example".try_into().unwrap(),
            signing_key: SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap().into(),
            seed: [2; 32],
            settings: Settings::default(),
            keys: Default::default(),
            delegates_to: None,
        };
        let stop_reason = StopReason::default();
        let (clock, effects) = (Clock::start(), FakeEffects(sender));
        let driver = Driver::start(config, clock, effects, stop_reason.clone(), None);
        let Ok(Asked::Query(id, boot)) = asked.try_recv() else {
            unreachable!("the core asks the store first");
        };
        Self {
            driver,
            asked,
            stop_reason,
            boot: (id, boot),
        }
    }

    fn command(&mut self) -> Receiver<Result<Reply, CommandError>> {
        let (sender, outcome) = mpsc::channel();
        let waiter = Box::new(move |outcome| sender.send(outcome).unwrap());
        self.driver
            .handle(Message::Command(Command::Statistics, waiter));
        outcome
    }

    /// The status that a request is answered with.
    fn request(&mut self) -> Receiver<u16> {
        let (sender, status) = mpsc::channel();
        let waiter = move |response: http::Response<Bytes>| {
            sender.send(response.status().as_u16()).unwrap();
        };
        let request = http::Request::new(Bytes::new());
        self.driver
            .handle(Message::Request(request, Box::new(waiter)));
        status
    }

    fn boot(&mut self) {
        let (id, query) = &self.boot;
        let answer = Store::in_memory().unwrap().run(query);
        self.driver
            .handle(Message::Outcome(Input::Answer(*id, answer)));
    }
}

#[test]
fn when_the_database_fails_everybody_is_told() {
    let mut world = World::new();
    let (command, request) = (world.command(), world.request());
    let (sender, notices) = mpsc::channel::<()>();
    let subscriber = Box::new(move |_: &_| sender.send(()).is_ok());
    world.driver.handle(Message::Subscribe(subscriber));

    let failed = Err(StoreError::Failed("disk full".to_owned()));
    world
        .driver
        .handle(Message::Outcome(Input::Answer(world.boot.0, failed)));
    assert_eq!(world.driver.state(), State::Stopped);
    let Ok(Err(CommandError::Stopped(reason))) = command.try_recv() else {
        unreachable!("the command fails");
    };
    assert!(reason.contains("disk full"), "{reason}");
    assert_eq!(world.stop_reason.get(), Some(reason.as_str()));
    assert_eq!(request.try_recv(), Ok(503));
    assert_eq!(notices.try_recv(), Err(TryRecvError::Disconnected));
    assert!(matches!(world.asked.try_recv(), Ok(Asked::StopListening)));
    assert_eq!(world.request().try_recv(), Ok(503));
}

#[test]
fn closing_waits_for_what_is_under_way_and_takes_nothing_new() {
    let mut world = World::new();
    let early = world.request();
    world
        .driver
        .handle(Message::ShutDown(Duration::from_secs(60)));
    assert!(matches!(world.driver.state(), State::Closing(_)));
    assert_eq!(world.request().try_recv(), Ok(503));
    let refused = world.command().try_recv();
    assert!(
        matches!(refused, Ok(Err(CommandError::Stopped(_)))),
        "{refused:?}"
    );
    assert_eq!(early.try_recv(), Err(TryRecvError::Empty));

    world.boot();
    assert_eq!(early.try_recv(), Ok(404));
    assert_eq!(world.driver.state(), State::Closed);
}

#[test]
fn closing_does_not_wait_for_ever() {
    let mut world = World::new();
    let request = world.request();
    world.driver.handle(Message::ShutDown(Duration::ZERO));
    assert_eq!(world.driver.state(), State::Closed);
    assert_eq!(request.try_recv(), Ok(503));
}

#[test]
fn too_many_commands_at_once_are_refused() {
    let mut world = World::new();
    let mut waiting: Vec<_> = (0..=COMMANDS_MAX).map(|_| world.command()).collect();
    let refused = waiting.pop().unwrap().try_recv();
    assert!(
        matches!(refused, Ok(Err(CommandError::Busy(_)))),
        "{refused:?}"
    );
    world.boot();
    assert!(
        waiting
            .iter()
            .all(|outcome| matches!(outcome.try_recv(), Ok(Ok(_))))
    );
}
