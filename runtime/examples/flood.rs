//! What a flood from one server, and a million requests that are none, do to the others.
//!
//! ```sh
//! cargo run --release -p comity-runtime --example flood
//! ```
//!
//! Three servers run in this process: one is asked, and two publish the keys of those who ask. A
//! calm peer sends it a transaction after another and times each, first alone, then while another
//! process sends transactions of the third server on 64 connections as fast as they are answered.
//! Then, while the calm peer goes on, a process sends a million malformed requests.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{self, Child},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    keys::OwnKeys,
    messaging::settings::Settings,
    pdu::signing::SigningKey,
    transport::{
        http1::{ClientConnection, HttpLimits},
        x_matrix::{XMatrix, signing_object},
    },
};
use comity_runtime::{Certificate, ServerConfig};
use comity_sync::Server;
use http::{Method, Request, Response, StatusCode, header};
use ruma_common::OwnedServerName;
use serde_json::json;

const CONNECTIONS: usize = 64;
const MEASURED: usize = 500;
const MALFORMED: usize = 1_000_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["flood", asked, name, seed] => flood(asked, name, seed.parse()?),
        ["malformed", asked] => malformed(asked),
        _ => measure(),
    }
}

fn measure() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let certificate = Certificate::from_pem(
        made.cert.pem().as_bytes(),
        made.signing_key.serialize_pem().as_bytes(),
    )?;
    let start = |seed: u8| -> Outcome<(Server, OwnedServerName)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let name: OwnedServerName = listener.local_addr()?.to_string().try_into()?;
        let core = comity_core::Config {
            server_name: name.clone(),
            signing_key: signing_key(seed)?.into(),
            seed: [seed; 32],
            settings: Settings {
                pull_streams: false,
                ..Settings::default()
            },
            keys: Default::default(),
            delegates_to: None,
        };
        let database = folder.path().join(format!("{seed}.sqlite"));
        // The one that is asked speaks plain HTTP: TLS would be most of what is measured.
        let shown = (seed != 0).then(|| certificate.clone());
        let mut config = ServerConfig::new(core, database, vec![listener], shown);
        config.use_platform_roots = false;
        config.extra_roots = certificate.chain.clone();
        Ok((Server::start(config)?, name))
    };
    let (asked, calm, flooding) = (start(0)?, start(1)?, start(2)?);
    let address = asked.1.to_string();
    let mut peer = Peer::new(&address, calm.1, 1)?;

    peer.measure(100)?;
    tell("alone", peer.measure(MEASURED)?);
    let mut other = beside(&["flood", &address, flooding.1.as_str(), "2"])?;
    thread::sleep(Duration::from_secs(2));
    tell("beside a flood", peer.measure(MEASURED)?);
    other.kill()?;
    other.wait()?;
    thread::sleep(Duration::from_secs(3));

    tell("alone", peer.measure(MEASURED)?);
    println!("memory: {} MiB", resident()? / 1024);
    let mut other = beside(&["malformed", &address])?;
    thread::sleep(Duration::from_secs(1));
    tell("beside malformed requests", peer.measure(MEASURED)?);
    let ended = other.wait()?;
    println!("{MALFORMED} malformed requests: {ended}");
    tell("alone", peer.measure(MEASURED)?);
    println!("memory: {} MiB", resident()? / 1024);
    Ok(())
}

/// This program again, in a process that gives way to this one.
fn beside(arguments: &[&str]) -> io::Result<Child> {
    process::Command::new("nice")
        .args(["-n", "19"])
        .arg(env::current_exe()?)
        .args(arguments)
        .spawn()
}

/// Sends transactions on many connections until it is killed.
fn flood(asked: &str, name: &str, seed: u8) -> Outcome<()> {
    let name: OwnedServerName = name.try_into()?;
    let peers = (0..CONNECTIONS).map(|_| Peer::new(asked, name.clone(), seed));
    let threads: Vec<_> = peers
        .collect::<Outcome<Vec<_>>>()?
        .into_iter()
        .map(|mut peer| {
            thread::spawn(move || -> Outcome<()> {
                loop {
                    peer.send()?;
                }
            })
        })
        .collect();
    threads.into_iter().try_for_each(|thread| {
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err("a thread panicked".into()))
    })
}

/// Sends what looks like requests and is none; each costs a connection.
fn malformed(asked: &str) -> Outcome<()> {
    const KINDS: [&str; 6] = [
        "GET /\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "GET /_matrix/federation/v1/event/$x HTTP/1.1\r\nHost: a\r\n\
         Authorization: X-Matrix origin=,key,sig\r\nConnection: close\r\n\r\n",
    ];
    let address: SocketAddr = asked.parse()?;
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            thread::spawn(move || {
                for kind in KINDS.iter().cycle().take(MALFORMED / CONNECTIONS) {
                    let mut answer = Vec::new();
                    let _ = TcpStream::connect(address).and_then(|mut socket| {
                        socket.write_all(kind.as_bytes())?;
                        socket.read_to_end(&mut answer)
                    });
                }
            })
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// A server, as far as it sends empty transactions.
struct Peer {
    asked: OwnedServerName,
    keys: OwnKeys,
    socket: TcpStream,
    http: ClientConnection,
    sent: u64,
}

impl Peer {
    fn new(asked: &str, name: OwnedServerName, seed: u8) -> Outcome<Self> {
        let address: SocketAddr = asked.parse()?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            asked: asked.try_into()?,
            keys: OwnKeys::new(name, Arc::new(signing_key(seed)?)),
            socket,
            http: ClientConnection::new(),
            sent: 0,
        })
    }

    /// How long each of so many transactions took until it was accepted, in order of length.
    fn measure(&mut self, count: usize) -> Outcome<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            let status = self.send()?;
            took.push(start.elapsed());
            if status != StatusCode::OK {
                return Err(format!("the calm peer was refused: {status}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        took.sort();
        Ok(took)
    }

    fn send(&mut self) -> Outcome<StatusCode> {
        self.sent += 1;
        let local = self.socket.local_addr()?.port();
        let target = format!("/_matrix/federation/v1/send/{local}x{}", self.sent);
        let uri = target.parse()?;
        let content = json!({ "origin": self.keys.server_name(), "pdus": [] });
        let name = self.keys.server_name();
        let mut object = signing_object(&Method::PUT, &uri, name, &self.asked, Some(&content));
        self.keys.sign(&mut object);
        let key_id = self.keys.signing_key().key_id();
        let signature = object.get("signatures").and_then(|all| {
            let signature = all.get(name.as_str())?.get(key_id)?;
            signature.as_str().map(ToOwned::to_owned)
        });
        let header = XMatrix {
            origin: name.to_owned(),
            destination: Some(self.asked.clone()),
            key: key_id.try_into()?,
            signature: signature.ok_or("unsigned")?,
        };
        let request = Request::put(uri)
            .header(header::HOST, self.asked.as_str())
            .header(header::AUTHORIZATION, header.to_header_value()?)
            .body(Bytes::from(content.to_string()))?;
        Ok(self.exchange(&request)?.status())
    }

    fn exchange(&mut self, request: &Request<Bytes>) -> Outcome<Response<Bytes>> {
        let bytes = self.http.send(request, HttpLimits::default())?;
        self.socket.write_all(&bytes)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(response) = self.http.next_response()? {
                return Ok(response);
            }
            match self.socket.read(&mut buffer)? {
                0 => self.http.receive_eof(),
                count => self.http.receive(buffer.get(..count).unwrap_or_default()),
            }
        }
    }
}

fn signing_key(seed: u8) -> Outcome<SigningKey> {
    Ok(SigningKey::from_seed("ed25519:1", &[seed; 32])?)
}

fn tell(what: &str, took: Vec<Duration>) {
    let at = |percent: usize| {
        let index = took.len().saturating_sub(1) * percent / 100;
        took.get(index).copied().unwrap_or_default()
    };
    let (median, most, worst) = (at(50), at(95), at(100));
    println!("{what}: median {median:.2?}, 95 of 100 within {most:.2?}, longest {worst:.2?}");
}

/// How much memory this process has, in KiB.
fn resident() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no memory is told")?.parse()?)
}
