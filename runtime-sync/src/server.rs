//! A running server and the thread that owns its core.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use comity_runtime::{
    Certificate, Clock, Driver, Message, ServerConfig, StartError, State, StopReason,
    tls::ShownCertificate,
};

use crate::{effects::ThreadEffects, handle::Handle};

/// How long [`Server::shutdown`] waits for what is under way.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A server that federates until it is shut down. Dropping it stops it hard.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    inbox: Sender<Message>,
    addresses: Vec<SocketAddr>,
    shown: Option<ShownCertificate>,
    core_thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the database and begins to serve.
    ///
    /// Errors when the database, the certificate or a listener is not usable. If the database
    /// fails later the server stops; [`Handle::stop_reason`] tells.
    pub fn start(config: ServerConfig) -> Result<Self, StartError> {
        let (inbox, messages) = mpsc::channel();
        let (clock, stop_reason) = (Clock::start(), StopReason::default());
        let shown = config.certificate.as_ref().map(ShownCertificate::new);
        let shown = shown.transpose()?;
        let effects = ThreadEffects::start(&config, shown.as_ref(), clock, &inbox)?;
        let addresses = effects.local_addresses();
        let recorder = config.recorder()?;
        let driver = Driver::start(config.core, clock, effects, stop_reason.clone(), recorder);
        let handle = Handle::new(inbox.clone(), stop_reason);
        let core_thread = spawn_core(driver, messages)?;
        Ok(Self {
            handle,
            inbox,
            addresses,
            shown,
            core_thread: Some(core_thread),
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
    pub fn shutdown(mut self) {
        self.end(Message::ShutDown(SHUTDOWN_GRACE));
    }

    /// Stops as a crash would: connections break, and what the database has not yet written is
    /// not written.
    pub fn stop_hard(mut self) {
        self.end(Message::Stop);
    }

    fn end(&mut self, how: Message) {
        if let Some(core_thread) = self.core_thread.take() {
            let _ = self.inbox.send(how);
            if core_thread.join().is_err() {
                tracing::error!("the core's thread panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Message::Stop);
    }
}

fn spawn_core(
    driver: Driver<ThreadEffects>,
    messages: Receiver<Message>,
) -> io::Result<JoinHandle<()>> {
    let name = "comity-core".to_owned();
    thread::Builder::new()
        .name(name)
        .spawn(move || drive(driver, &messages))
}

fn drive(mut driver: Driver<ThreadEffects>, messages: &Receiver<Message>) {
    while !driver.state().is_over() {
        match next_message(messages, driver.deadline()) {
            Ok(message) => driver.handle(message),
            Err(RecvTimeoutError::Timeout) => driver.wake(),
            Err(RecvTimeoutError::Disconnected) => driver.handle(Message::Stop),
        }
    }
    match driver.state() {
        State::Closed => driver.into_effects().close(),
        State::Running | State::Closing(_) | State::Stopped => driver.into_effects().abandon(),
    }
}

fn next_message(
    messages: &Receiver<Message>,
    deadline: Option<Instant>,
) -> Result<Message, RecvTimeoutError> {
    match deadline {
        Some(deadline) => messages.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        None => messages.recv().map_err(RecvTimeoutError::from),
    }
}
