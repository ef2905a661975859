//! Both runtimes behind one trait, throwaway certificates, and a client that sends raw bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::LazyLock,
    time::Duration,
};

use comity_core::{
    messaging::{
        command::{Command, CommandError, Reply},
        notice::{Notice, Question, Told},
        settings::Settings,
    },
    pdu::signing::SigningKey,
};
use comity_runtime::{Certificate, Lagged, NoNotice, ServerConfig, tls};
use rustls::{ClientConnection, StreamOwned, pki_types::CertificateDer};
use smol::stream::StreamExt;

/// A server of either runtime, made blocking.
pub trait Runtime: Sized {
    type Handle: Handle;

    fn start(config: ServerConfig) -> Self;
    fn address(&self) -> SocketAddr;
    fn handle(&self) -> Self::Handle;
    fn show(&self, certificate: &Certificate) -> Result<(), rustls::Error>;
    fn shutdown(self);
    fn stop_hard(self);
}

/// A handle of either runtime, made blocking.
pub trait Handle {
    type Notices;

    fn command(&self, command: Command) -> Result<Reply, CommandError>;
    fn notices(&self) -> Self::Notices;
    fn next_notice(notices: &mut Self::Notices) -> Result<Notice, NoNotice>;
    fn on_notice(&self, callback: impl FnMut(Result<Notice, Lagged>) + Send + 'static);
    fn on_question(&self, answer: impl Fn(Question) -> Told + Send + Sync + 'static);
    fn stop_reason(&self) -> Option<&str>;
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

impl Runtime for comity_sync::Server {
    type Handle = comity_sync::Handle;

    fn start(config: ServerConfig) -> Self {
        Self::start(config).unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.local_addresses()[0]
    }

    fn handle(&self) -> Self::Handle {
        self.handle()
    }

    fn show(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        self.show_certificate(certificate)
    }

    fn shutdown(self) {
        self.shutdown();
    }

    fn stop_hard(self) {
        self.stop_hard();
    }
}

impl Handle for comity_sync::Handle {
    type Notices = comity_sync::NoticeStream;

    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.command(command)
    }

    fn notices(&self) -> Self::Notices {
        self.notices()
    }

    fn next_notice(notices: &mut Self::Notices) -> Result<Notice, NoNotice> {
        notices.next_within(PATIENCE)
    }

    fn on_notice(&self, callback: impl FnMut(Result<Notice, Lagged>) + Send + 'static) {
        self.on_notice(callback).unwrap();
    }

    fn on_question(&self, answer: impl Fn(Question) -> Told + Send + Sync + 'static) {
        self.on_question(answer);
    }

    fn stop_reason(&self) -> Option<&str> {
        self.stop_reason()
    }
}

impl Runtime for comity_smol::Server {
    type Handle = comity_smol::Handle;

    fn start(config: ServerConfig) -> Self {
        smol::block_on(Self::start(config)).unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.local_addresses()[0]
    }

    fn handle(&self) -> Self::Handle {
        self.handle()
    }

    fn show(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        self.show_certificate(certificate)
    }

    fn shutdown(self) {
        smol::block_on(self.shutdown());
    }

    fn stop_hard(self) {
        smol::block_on(self.stop_hard());
    }
}

impl Handle for comity_smol::Handle {
    type Notices = comity_smol::NoticeStream;

    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.command_blocking(command)
    }

    fn notices(&self) -> Self::Notices {
        self.notices()
    }

    fn next_notice(notices: &mut Self::Notices) -> Result<Notice, NoNotice> {
        let next = async {
            notices
                .next()
                .await
                .map_or(Err(NoNotice::Ended), |next| Ok(next?))
        };
        let timeout = async {
            smol::Timer::after(PATIENCE).await;
            Err(NoNotice::TimedOut)
        };
        smol::block_on(smol::future::or(next, timeout))
    }

    fn on_notice(&self, callback: impl FnMut(Result<Notice, Lagged>) + Send + 'static) {
        self.on_notice(callback);
    }

    fn on_question(&self, answer: impl Fn(Question) -> Told + Send + Sync + 'static) {
        self.on_question(answer);
    }

    fn stop_reason(&self) -> Option<&str> {
        self.stop_reason()
    }
}

/// A certificate for 127.0.0.1 that is its own root.
static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(certificate);

/// Another such certificate.
pub fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

pub fn root() -> CertificateDer<'static> {
    CERTIFICATE.chain[0].clone()
}

pub fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A server named after the address of `listener`, whose database is in `folder`.
pub fn config(listener: TcpListener, folder: &Path) -> ServerConfig {
    let name = listener.local_addr().unwrap().to_string();
    let database = folder.join(format!("{name}.sqlite"));
    let core = comity_core::Config {
        server_name: name.try_into().unwrap(),
        signing_key: SigningKey::from_seed("ed25519:1", &[7; 32]).unwrap().into(),
        seed: [9; 32],
        // No requests but those that a test causes.
        settings: Settings {
            pull_streams: false,
            ..Settings::default()
        },
        keys: Default::default(),
        delegates_to: None,
    };
    let mut config = ServerConfig::new(core, database, vec![listener], CERTIFICATE.clone());
    config.use_platform_roots = false;
    config.extra_roots = vec![root()];
    config
}

/// A client that writes what it likes.
pub struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: String,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::trusting(root(), address)
    }

    /// A client that knows one certificate.
    pub fn trusting(root: CertificateDer<'static>, address: SocketAddr) -> Self {
        let config = tls::client_config(&[root], false).unwrap();
        let session = ClientConnection::new(config, address.ip().into()).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: StreamOwned::new(session, socket),
            received: String::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// The status of the next response, whose body is read and dropped.
    pub fn status(&mut self) -> u16 {
        loop {
            if let Some((status, end)) = split_response(&self.received) {
                self.received.drain(..end);
                return status;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "closed after {:?}", self.received);
            self.received
                .push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    }

    /// Waits until the server closes the connection, however it does.
    pub fn wait_for_close(&mut self) {
        let mut buffer = [0; 4096];
        while self
            .stream
            .sock
            .read(&mut buffer)
            .is_ok_and(|count| count > 0)
        {}
    }

    pub fn get(&mut self, path: &str) -> u16 {
        self.send(request(path)).unwrap();
        self.status()
    }
}

pub fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// The first response's status and where the response ends.
fn split_response(received: &str) -> Option<(u16, usize)> {
    let (head, rest) = received.split_once("\r\n\r\n")?;
    let length = head.split_once("content-length: ")?.1;
    let length: usize = length.lines().next()?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (rest.len() >= length).then_some((status, head.len() + 4 + length))
}
