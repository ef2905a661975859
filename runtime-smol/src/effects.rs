//! Performs the core's actions in tasks.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use comity_core::{
    Input,
    action::Call,
    engine::compute::Computation,
    input::{ComputationId, LookupId, QueryId, QuestionId},
    messaging::notice::{Question, Told},
    persistence::queries::Query,
    time::Monotonic,
    transport::names::{Lookup, LookupError},
};
use comity_runtime::{
    Clock, Effects, Message, QuestionHandler, Resolver, ServerConfig, StartError,
    tls::{self, ShownCertificate},
};
use comity_store::{Store, StoreThread};
use smol::{channel::Sender, unblock};

use crate::{call::Caller, deadline::by, listener::Listener, task_group::TaskGroup};

/// How long connections may take to write their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Whatever a server runs beside its core. Dropping it stops all of that at once.
pub(crate) struct TaskEffects {
    inbox: Sender<Message>,
    listeners: Vec<Listener>,
    caller: Arc<Caller>,
    resolver: Resolver,
    clock: Clock,
    store: StoreThread,
    tasks: TaskGroup,
}

impl TaskEffects {
    /// Opens the database and the listeners.
    ///
    /// Errors when one of them, or the certificate, is not usable.
    pub(crate) async fn start(
        config: &ServerConfig,
        shown: Option<&ShownCertificate>,
        clock: Clock,
        inbox: &Sender<Message>,
    ) -> Result<Self, StartError> {
        let (extra_roots, platform_roots) = (config.extra_roots.clone(), config.use_platform_roots);
        let client_tls = unblock(move || tls::client_config(&extra_roots, platform_roots)).await?;
        let server_tls = shown.map(ShownCertificate::server_config).transpose()?;
        let database = config.database.clone();
        let store = unblock(move || Store::open(&database)).await?;
        let answers = inbox.clone();
        let store = StoreThread::spawn(store, move |id, answer| {
            let _ = answers.try_send(Message::Outcome(Input::Answer(id, answer)));
        });
        let tasks = TaskGroup::new();
        let start_listener = |socket: &TcpListener| {
            let (tls, limits) = (server_tls.clone(), config.connections);
            Listener::start(
                socket.try_clone()?,
                tls,
                limits,
                inbox.clone(),
                tasks.spawner(),
            )
        };
        let listeners = config.listeners.iter().map(start_listener);
        Ok(Self {
            inbox: inbox.clone(),
            listeners: listeners.collect::<io::Result<_>>()?,
            caller: Arc::new(Caller::new(client_tls, clock, config.calls_max)),
            resolver: config.resolver.clone(),
            clock,
            store,
            tasks,
        })
    }

    pub(crate) fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::local_address).collect()
    }

    /// Breaks everything off; queries that the database has not begun are lost.
    pub(crate) async fn abandon(self) {
        unblock(|| self.store.abandon()).await;
        drop(self.tasks);
        for listener in self.listeners {
            listener.stop(Duration::ZERO).await;
        }
    }

    /// Lets the last answers out and closes the database in good order.
    pub(crate) async fn close(self) {
        for listener in self.listeners {
            listener.stop(LAST_ANSWERS).await;
        }
        drop(self.tasks);
        unblock(|| self.store.close()).await;
    }

    /// Runs `work` on a thread that may block, and gives its outcome to the core.
    fn run_blocking(&self, work: impl FnOnce() -> Input + Send + 'static) {
        let inbox = self.inbox.clone();
        self.tasks.spawner().spawn(async move {
            let outcome = unblock(work).await;
            let _ = inbox.try_send(Message::Outcome(outcome));
        });
    }
}

impl Effects for TaskEffects {
    fn call(&mut self, call: Box<Call>) {
        let (inbox, caller) = (self.inbox.clone(), self.caller.clone());
        self.tasks.spawner().spawn(async move {
            let outcome = Input::Response(call.id, caller.call(&call).await);
            let _ = inbox.try_send(Message::Outcome(outcome));
        });
    }

    fn look_up(&mut self, id: LookupId, lookup: Lookup, deadline: Monotonic) {
        let (inbox, resolver) = (self.inbox.clone(), self.resolver.clone());
        let deadline = self.clock.instant(deadline);
        self.tasks.spawner().spawn(async move {
            let look_up = unblock(move || resolver.look_up(&lookup, deadline));
            let found = by(deadline, async { Ok(look_up.await) }).await;
            let found = found.unwrap_or_else(|error| Err(LookupError(error.to_string())));
            let _ = inbox.try_send(Message::Outcome(Input::Found(id, found)));
        });
    }

    fn query(&mut self, id: QueryId, query: Query) {
        self.store.submit(id, query);
    }

    fn compute(&mut self, id: ComputationId, computation: Computation) {
        self.run_blocking(move || Input::Computed(id, computation.run()));
    }

    fn ask(&mut self, id: QuestionId, question: Question, handler: QuestionHandler) {
        self.run_blocking(move || {
            let told = catch_unwind(AssertUnwindSafe(|| handler(question)));
            Input::Told(id, told.unwrap_or(Told::NotFound))
        });
    }

    fn store_statistics(&self) -> comity_store::Statistics {
        self.store.statistics()
    }

    fn stop_listening(&mut self) {
        self.listeners.iter_mut().for_each(Listener::stop_accepting);
    }
}
