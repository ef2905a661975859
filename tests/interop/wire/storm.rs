//! Foul weather: requests that are lost before or after they were heard, doubled, delayed, or heard
//! once more when later ones have long been answered.
//!
//! It ends TLS on both sides, since it must know where a request ends. What is doubled has to be
//! answered alike if it is a transaction (TXN-7).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use comity_core::transport::http1::{HttpLimits, ServerConnection};
use http::{Request, Response, header};
use rustls::StreamOwned;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::locked;
use crate::authority::{Authority, Identity};
use crate::failure::Failure;

/// How long a delayed request is under way: long enough to be overtaken.
const DELAY: Duration = Duration::from_millis(400);

/// After how long a request is heard once more.
const LATE: Duration = Duration::from_secs(2);

/// How long the server behind may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest answer that passes: a state of thousands of events.
const ANSWER_MAX: u64 = 64 << 20;

/// What befalls a request.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    LostBeforeItWasHeard,
    AnswerLost,
    Doubled,
    HeardAgainLater,
    Delayed,
}

/// In this order, over and over.
const MISHAPS: [Mishap; 9] = [
    Mishap::None,
    Mishap::Doubled,
    Mishap::AnswerLost,
    Mishap::None,
    Mishap::HeardAgainLater,
    Mishap::Delayed,
    Mishap::LostBeforeItWasHeard,
    Mishap::None,
    Mishap::HeardAgainLater,
];

/// The weather in front of one server.
pub struct Storm {
    tls: Arc<rustls::ServerConfig>,
    behind: Arc<Behind>,
    requests: AtomicUsize,
    mishaps: AtomicUsize,
}

/// The server that is meant.
struct Behind {
    agent: Agent,
    base_url: String,
    complaints: Mutex<Vec<String>>,
}

impl Storm {
    /// Before the server that listens on this port.
    pub fn before(port: u16, identity: &Identity, authority: &Authority) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(authority.roots()).build())
            .timeout_global(Some(PATIENCE))
            .build();
        let behind = Behind {
            agent: config.into(),
            base_url: format!("https://localhost:{port}"),
            complaints: Mutex::default(),
        };
        Ok(Self {
            tls: tls(identity)?,
            behind: Arc::new(behind),
            requests: AtomicUsize::new(0),
            mishaps: AtomicUsize::new(0),
        })
    }

    /// See [`super::Wire::toll`].
    pub fn toll(&self) -> (usize, Vec<String>) {
        let complaints = locked(&self.behind.complaints).clone();
        (self.mishaps.load(Ordering::Relaxed), complaints)
    }

    /// Carries the requests of one connection until it ends.
    pub fn serve(&self, connection: TcpStream) -> io::Result<()> {
        let session = rustls::ServerConnection::new(self.tls.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, connection);
        let mut http = ServerConnection::new(HttpLimits::default());
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(request) = http.next_request().map_err(io::Error::other)? {
                let Some(answer) = self.carry(request) else {
                    return Ok(());
                };
                let bytes = http.respond(&answer).map_err(io::Error::other)?;
                stream.write_all(&bytes)?;
            } else {
                if let Some(interim) = http.take_interim_response() {
                    stream.write_all(&interim)?;
                }
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => http.receive(buffer.get(..read).unwrap_or_default()),
                }
            }
        }
    }

    /// The answer, or none if the connection is to break.
    fn carry(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mishap = MISHAPS.get(number % MISHAPS.len())?;
        if !matches!(mishap, Mishap::None) {
            self.mishaps.fetch_add(1, Ordering::Relaxed);
        }
        match mishap {
            Mishap::None => self.behind.ask(&request),
            Mishap::LostBeforeItWasHeard => None,
            Mishap::AnswerLost => {
                self.behind.ask(&request);
                None
            }
            Mishap::Doubled => {
                let answer = self.behind.ask(&request)?;
                self.behind.ask_again(&request, &answer);
                Some(answer)
            }
            Mishap::HeardAgainLater => {
                let answer = self.behind.ask(&request)?;
                let (behind, first) = (self.behind.clone(), answer.clone());
                thread::spawn(move || {
                    thread::sleep(LATE);
                    behind.ask_again(&request, &first);
                });
                Some(answer)
            }
            Mishap::Delayed => {
                thread::sleep(DELAY);
                self.behind.ask(&request)
            }
        }
    }
}

impl Behind {
    /// The server's answer; none if it is down.
    fn ask(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let mut forwarded = Request::builder().method(request.method()).uri(format!(
            "{}{}",
            self.base_url,
            request.uri()
        ));
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = request.headers().get(&name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let forwarded = forwarded.body(request.body().to_vec()).ok()?;
        let mut answer = self.agent.run(forwarded).ok()?;
        let mut copy = Response::builder().status(answer.status());
        if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
            copy = copy.header(header::CONTENT_TYPE, kind);
        }
        let body = answer.body_mut().with_config().limit(ANSWER_MAX);
        copy.body(body.read_to_vec().ok()?.into()).ok()
    }

    /// A transaction that was answered 200 must not be answered 200 in another way. Synapse puts a
    /// sender off for whom another transaction is under way (TXN-8).
    fn ask_again(&self, request: &Request<Bytes>, first: &Response<Bytes>) {
        let is_transaction = request.uri().path().contains("/federation/v1/send/");
        let Some(second) = self.ask(request).filter(|_| is_transaction) else {
            return;
        };
        let taken = first.status().is_success() && second.status().is_success();
        if taken && second.body() != first.body() {
            let (uri, first, second) = (request.uri(), first.body(), second.body());
            let complaint = format!("{uri} was answered {first:?}, and then {second:?}");
            locked(&self.complaints).push(complaint);
        }
    }
}

fn tls(identity: &Identity) -> Result<Arc<rustls::ServerConfig>, Failure> {
    let chain = CertificateDer::pem_file_iter(&identity.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(Failure::while_doing("reading the certificate of a wire"))?;
    let key = PrivateKeyDer::from_pem_file(&identity.private_key)
        .map_err(Failure::while_doing("reading the key of a wire"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(Failure::while_doing("preparing the TLS of a wire"))?;
    Ok(Arc::new(config))
}
