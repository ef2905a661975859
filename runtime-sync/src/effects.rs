//! Performs the core's actions on threads.

use std::{
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    Input,
    action::Call,
    engine::compute::Computation,
    input::{ComputationId, LookupId, QueryId, QuestionId},
    messaging::notice::{Question, Told},
    persistence::queries::Query,
    time::Monotonic,
    transport::names::Lookup,
};
use comity_runtime::{
    Clock, Effects, Message, QuestionHandler, ServerConfig, StartError,
    tls::{self, ShownCertificate},
    unavailable,
};
use comity_store::{Store, StoreThread};

use crate::{call::Caller, http::HttpListener, name::NameThreads, thread_pool::ThreadPool};

/// How long connections may take to write their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Questions that the application may be working on at once.
const QUESTIONS_MAX: usize = 4;

/// Whatever a server runs beside its core. Dropping it stops all of that at once.
pub(crate) struct ThreadEffects {
    inbox: Sender<Message>,
    listeners: Vec<HttpListener>,
    caller: Arc<Caller>,
    calls: ThreadPool,
    names: NameThreads,
    computations: ThreadPool,
    questions: ThreadPool,
    store: StoreThread,
}

impl ThreadEffects {
    /// Opens the database and the listeners.
    ///
    /// Errors when one of them, or the certificate, is not usable.
    pub(crate) fn start(
        config: &ServerConfig,
        shown: Option<&ShownCertificate>,
        clock: Clock,
        inbox: &Sender<Message>,
    ) -> Result<Self, StartError> {
        let client_tls = tls::client_config(&config.extra_roots, config.use_platform_roots)?;
        let server_tls = shown.map(ShownCertificate::server_config).transpose()?;
        let store = Store::open(&config.database)?;
        let answers = inbox.clone();
        let store = StoreThread::spawn(store, move |id, answer| {
            let _ = answers.send(Message::Outcome(Input::Answer(id, answer)));
        });
        let start_listener = |listener: &TcpListener| {
            let inbox = inbox.clone();
            let handler = Arc::new(move |request| answer(&inbox, request));
            HttpListener::start(
                listener.try_clone()?,
                server_tls.clone(),
                config.connections,
                handler,
            )
        };
        let listeners = config.listeners.iter().map(start_listener);
        Ok(Self {
            inbox: inbox.clone(),
            listeners: listeners.collect::<Result<_, _>>()?,
            caller: Arc::new(Caller::new(client_tls, clock, config.calls_max)),
            calls: ThreadPool::new("comity-call", config.calls_max),
            names: NameThreads::new(config.resolver.clone(), clock),
            computations: ThreadPool::new("comity-compute", cores()),
            questions: ThreadPool::new("comity-question", QUESTIONS_MAX),
            store,
        })
    }

    pub(crate) fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .map(HttpListener::local_address)
            .collect()
    }

    /// Breaks everything off; queries that the database has not begun are lost.
    pub(crate) fn abandon(self) {
        self.store.abandon();
        self.caller.close();
    }

    /// Lets the last answers out and closes the database in good order.
    pub(crate) fn close(self) {
        for listener in self.listeners {
            listener.stop(LAST_ANSWERS);
        }
        self.caller.close();
        self.store.close();
    }
}

impl Effects for ThreadEffects {
    fn call(&mut self, call: Box<Call>) {
        let (inbox, caller) = (self.inbox.clone(), self.caller.clone());
        self.calls.run(move || {
            let outcome = Input::Response(call.id, caller.call(&call));
            let _ = inbox.send(Message::Outcome(outcome));
        });
    }

    fn look_up(&mut self, id: LookupId, lookup: Lookup, deadline: Monotonic) {
        let inbox = self.inbox.clone();
        self.names.look_up(lookup, deadline, move |found| {
            let _ = inbox.send(Message::Outcome(Input::Found(id, found)));
        });
    }

    fn query(&mut self, id: QueryId, query: Query) {
        self.store.submit(id, query);
    }

    fn compute(&mut self, id: ComputationId, computation: Computation) {
        let inbox = self.inbox.clone();
        self.computations.run(move || {
            let _ = inbox.send(Message::Outcome(Input::Computed(id, computation.run())));
        });
    }

    fn ask(&mut self, id: QuestionId, question: Question, handler: QuestionHandler) {
        let inbox = self.inbox.clone();
        self.questions.run(move || {
            let told = catch_unwind(AssertUnwindSafe(|| handler(question)));
            let told = told.unwrap_or(Told::NotFound);
            let _ = inbox.send(Message::Outcome(Input::Told(id, told)));
        });
    }

    fn store_statistics(&self) -> comity_store::Statistics {
        self.store.statistics()
    }

    fn stop_listening(&mut self) {
        self.listeners
            .iter_mut()
            .for_each(HttpListener::stop_accepting);
    }
}

/// Has the core answer a request of another server, and waits for it.
fn answer(inbox: &Sender<Message>, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let (sender, response) = mpsc::sync_channel(1);
    let waiter = Box::new(move |response| drop(sender.send(response)));
    let _ = inbox.send(Message::Request(request, waiter));
    response.recv().unwrap_or_else(|_| unavailable())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
