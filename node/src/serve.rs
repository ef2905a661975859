//! `comity serve`: a server until it is told to stop.

use std::{
    error::Error,
    fs, io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use comity_sync::{ConnectionLimits, http::HttpListener, tls::ShownCertificate};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    accounts::Accounts,
    certificate_files::{CertificateFiles, certificate},
    cli::{CommandResult, ServeArguments},
    client_api::Api,
    config::Config,
    federation_server::{FederationServer, Parts},
    logging, observing, signing_key,
};

/// How long clients' requests may take to end when the server stops.
const CLIENT_GRACE: Duration = Duration::from_secs(5);

/// How often to look whether the federation has stopped by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Serves until SIGTERM, Ctrl-C, or a failure of the database.
///
/// # Errors
/// When the configuration is wrong, something it names is not usable, or the database failed.
pub fn run(arguments: &ServeArguments) -> CommandResult {
    let config = Config::load(&arguments.config)?;
    logging::start(&config.log_filter, config.log_format);
    let signals = signals()?;
    let mut server = Server::start(&config, arguments.runtime.unwrap_or(config.runtime))?;
    let reason = server.wait_for_the_end(&signals);
    server.stop();
    match reason {
        None => Ok(()),
        Some(reason) => Err(reason.into()),
    }
}

/// The federation and the API for clients, running.
struct Server {
    federation: FederationServer,
    api: Arc<Api>,
    clients: HttpListener,
    certificates: CertificateFiles,
    observers: Option<HttpListener>,
}

impl Server {
    fn start(config: &Config, runtime: crate::config::Runtime) -> Result<Self, Box<dyn Error>> {
        let accounts = Arc::new(Accounts::open(&config.database_directory)?);
        let client_listener = bind(config.client.listen)?;
        let federation = FederationServer::start(runtime, federation_parts(config)?)?;
        let api = Api::new(
            config.server_name.clone(),
            federation.homeserver(),
            accounts,
            config.federation.unwelcome.clone(),
        )?;
        let api = Arc::new(api.operated_by(config.client.operators.clone()));
        let certificates = CertificateFiles::of(config)?;
        let clients = serve_clients(&certificates, client_listener, api.clone())?;
        let observers = config
            .observe
            .map(|address| serve_observers(address, &federation));
        let observers = observers.transpose()?;
        tracing::info!(
            server_name = %config.server_name,
            runtime = runtime.name(),
            federation = ?config.federation.listen,
            clients = %clients.local_address(),
            "serving"
        );
        Ok(Self {
            federation,
            api,
            clients,
            certificates,
            observers,
        })
    }

    /// Why the federation stopped by itself; `None` if a signal came. Certificates are read again
    /// meanwhile.
    fn wait_for_the_end(&mut self, signals: &mpsc::Receiver<i32>) -> Option<String> {
        loop {
            match signals.recv_timeout(LOOK_EVERY) {
                Ok(SIGHUP) => self.certificates.read_again(&self.federation),
                Ok(signal) => {
                    tracing::info!(signal, "stopping");
                    return None;
                }
                Err(_) => {
                    if self.certificates.have_changed() {
                        self.certificates.read_again(&self.federation);
                    }
                    if let Some(reason) = self.federation.stop_reason() {
                        return Some(reason);
                    }
                }
            }
        }
    }

    fn stop(self) {
        self.api.stop_waiting();
        self.clients.stop(CLIENT_GRACE);
        if let Some(observers) = self.observers {
            observers.stop(Duration::ZERO);
        }
        self.federation.shutdown();
        tracing::info!("stopped");
    }
}

fn signals() -> io::Result<mpsc::Receiver<i32>> {
    let (sender, receiver) = mpsc::channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let forward = move || {
        for signal in signals.forever() {
            let _ = sender.send(signal);
        }
    };
    thread::Builder::new()
        .name("comity-signals".to_owned())
        .spawn(forward)?;
    Ok(receiver)
}

fn federation_parts(config: &Config) -> Result<Parts, Box<dyn Error>> {
    let federation = &config.federation;
    Ok(Parts {
        server_name: config.server_name.clone(),
        signing_key: signing_key::read(&federation.signing_key)
            .map_err(|error| format!("{}: {error}", federation.signing_key.display()))?,
        database_directory: config.database_directory.clone(),
        settings: federation.settings,
        keys: federation.keys.clone(),
        delegates_to: federation.delegates_to.clone(),
        listeners: federation
            .listen
            .iter()
            .copied()
            .map(bind)
            .collect::<Result<_, _>>()?,
        connections: federation.connections,
        certificate: federation.tls.as_ref().map(certificate).transpose()?,
        recording: config.recording.clone(),
        extra_ca: federation
            .extra_ca
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>()?,
    })
}

fn serve_clients(
    certificates: &CertificateFiles,
    listener: TcpListener,
    api: Arc<Api>,
) -> Result<HttpListener, Box<dyn Error>> {
    let tls = certificates.of_clients();
    let tls = tls.map(ShownCertificate::server_config).transpose()?;
    let handler = Arc::new(move |request| api.handle(&request));
    // Many people may have one address, and each of their clients waits on its connection.
    let limits = ConnectionLimits::behind_proxy();
    Ok(HttpListener::start(listener, tls, limits, handler)?)
}

fn serve_observers(
    address: SocketAddr,
    federation: &FederationServer,
) -> Result<HttpListener, Box<dyn Error>> {
    let homeserver = federation.homeserver();
    let handler = Arc::new(move |request| observing::answer(homeserver.as_ref(), &request));
    let (listener, limits) = (bind(address)?, ConnectionLimits::behind_proxy());
    Ok(HttpListener::start(listener, None, limits, handler)?)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// The bytes of a file; an error names it.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
