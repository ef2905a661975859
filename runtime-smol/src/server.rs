//! A running server and the task that owns its core.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use comity_runtime::{
    Certificate, Clock, Driver, Message, ServerConfig, StartError, State, StopReason,
    tls::ShownCertificate,
};
use futures_rustls::rustls;
use smol::{
    Task, Timer,
    channel::{self, Receiver, RecvError, Sender},
    future,
};

use crate::{effects::TaskEffects, handle::Handle};

/// How long [`Server::shutdown`] waits for what is under way.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A server that federates until it is shut down. Dropping it stops it hard, but does not wait
/// until it has stopped.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    inbox: Sender<Message>,
    addresses: Vec<SocketAddr>,
    shown: Option<ShownCertificate>,
    core_task: Option<Task<()>>,
}

impl Server {
    /// Opens the database and begins to serve.
    ///
    /// Errors when the database, the certificate or a listener is not usable. If the database
    /// fails later the server stops; [`Handle::stop_reason`] tells.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let (inbox, messages) = channel::unbounded();
        let (clock, stop_reason) = (Clock::start(), StopReason::default());
        let shown = config.certificate.as_ref().map(ShownCertificate::new);
        let shown = shown.transpose()?;
        let effects = TaskEffects::start(&config, shown.as_ref(), clock, &inbox).await?;
        let addresses = effects.local_addresses();
        let recorder = config.recorder()?;
        let driver = Driver::start(config.core, clock, effects, stop_reason.clone(), recorder);
        let handle = Handle::new(inbox.clone(), stop_reason);
        let core_task = smol::spawn(drive(driver, messages));
        Ok(Self {
            handle,
            inbox,
            addresses,
            shown,
            core_task: Some(core_task),
        })
    }

    /// What the application talks to the server with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where the server listens, in the order of [`ServerConfig::listeners`].
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Shows another certificate to everybody who connects from now on. Does nothing for a server
    /// that was started without one.
    ///
    /// Errors when the key does not fit the certificate; the old one is then still shown.
    pub fn show_certificate(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        let replace = |shown: &ShownCertificate| shown.replace(certificate);
        self.shown.as_ref().map_or(Ok(()), replace)
    }

    /// Takes nothing new, finishes what is under way, but for no longer than a few seconds, and
    /// closes the database. What is queued for other servers is sent after the next start.
    pub async fn shutdown(mut self) {
        self.end(Message::ShutDown(SHUTDOWN_GRACE)).await;
    }

    /// Stops as a crash would: connections break, and what the database has not yet written is
    /// not written.
    pub async fn stop_hard(mut self) {
        self.end(Message::Stop).await;
    }

    async fn end(&mut self, how: Message) {
        if let Some(core_task) = self.core_task.take() {
            let _ = self.inbox.try_send(how);
            if core_task.fallible().await.is_none() {
                tracing::error!("the core's task panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(core_task) = self.core_task.take() {
            let _ = self.inbox.try_send(Message::Stop);
            core_task.detach();
        }
    }
}

async fn drive(mut driver: Driver<TaskEffects>, messages: Receiver<Message>) {
    while !driver.state().is_over() {
        match next_message(&messages, driver.deadline()).await {
            Some(Ok(message)) => driver.handle(message),
            None => driver.wake(),
            Some(Err(RecvError)) => driver.handle(Message::Stop),
        }
        future::yield_now().await;
    }
    match driver.state() {
        State::Closed => driver.into_effects().close().await,
        State::Running | State::Closing(_) | State::Stopped => {
            driver.into_effects().abandon().await;
        }
    }
}

/// The next message; `None` once the deadline has come.
async fn next_message(
    messages: &Receiver<Message>,
    deadline: Option<Instant>,
) -> Option<Result<Message, RecvError>> {
    let message = async { Some(messages.recv().await) };
    let timer = deadline.map_or_else(Timer::never, Timer::at);
    future::or(message, async {
        timer.await;
        None
    })
    .await
}
