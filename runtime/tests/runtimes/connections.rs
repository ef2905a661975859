//! Connections, commands and the ends of a server's life.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use comity_core::{
    messaging::command::{Command, CommandError, Reply},
    persistence::queries::Read,
};
use comity_runtime::{Certificate, ConnectionLimits, NoNotice};

use crate::testing::{Client, Handle, Runtime, bind, certificate, config, request};

const VERSION: &str = "/_matrix/federation/v1/version";

/// Runs each of these functions once for each runtime.
macro_rules! on_each_runtime {
    ($($promise:ident,)*) => {
        mod sync { $(#[test] fn $promise() { super::$promise::<comity_sync::Server>(); })* }
        mod smol { $(#[test] fn $promise() { super::$promise::<comity_smol::Server>(); })* }
    };
}

on_each_runtime! {
    a_request_over_tls_is_answered,
    a_connection_serves_one_request_after_another,
    pipelined_requests_are_answered_in_order,
    a_request_that_trickles_in_is_cut_off,
    a_connection_without_requests_is_closed,
    a_handshake_that_never_comes_is_cut_off,
    an_oversized_body_is_refused,
    a_full_house_drops_who_has_been_idle_for_longest,
    a_new_certificate_is_shown_without_a_restart,
    plain_http_is_spoken_to_a_proxy,
    malformed_requests_leave_the_server_up_and_its_peers_served,
    a_command_is_answered,
    a_stopped_server_says_so,
    shutting_down_frees_port_and_database,
    stopping_hard_frees_port_and_database,
}

fn a_request_over_tls_is_answered<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    assert_eq!(Client::connect(server.address()).get(VERSION), 200);
}

fn a_connection_serves_one_request_after_another<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        assert_eq!(client.get(VERSION), 200);
    }
}

fn pipelined_requests_are_answered_in_order<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let mut client = Client::connect(server.address());
    let requests = [VERSION, "/nothing/here", VERSION].map(request).concat();
    client.send(requests).unwrap();
    assert_eq!(
        [client.status(), client.status(), client.status()],
        [200, 404, 200]
    );
}

fn a_request_that_trickles_in_is_cut_off<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(with_limits(folder.path(), |limits| {
        limits.pace.head = Duration::from_millis(300);
    }));
    let mut client = Client::connect(server.address());
    let start = Instant::now();
    let cut_off = request(VERSION).bytes().any(|byte| {
        thread::sleep(Duration::from_millis(30));
        client.send([byte]).is_err()
    });
    assert!(
        cut_off,
        "the whole request was read in {:?}",
        start.elapsed()
    );
}

fn a_connection_without_requests_is_closed<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(with_limits(folder.path(), |limits| {
        limits.pace.idle = Duration::from_millis(300);
    }));
    let mut client = Client::connect(server.address());
    assert_eq!(client.get(VERSION), 200);
    client.wait_for_close();
}

fn a_handshake_that_never_comes_is_cut_off<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(with_limits(folder.path(), |limits| {
        limits.handshake = Duration::from_millis(300);
    }));
    Client::connect(server.address()).wait_for_close();
}

fn an_oversized_body_is_refused<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(with_limits(folder.path(), |limits| {
        limits.http.body_bytes = 1000
    }));
    let mut client = Client::connect(server.address());
    let head = "PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n";
    client.send(head).unwrap();
    client.send([b'x'; 100_000]).unwrap();
    assert_eq!(client.status(), 413);
    client.wait_for_close();
}

fn a_full_house_drops_who_has_been_idle_for_longest<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(with_limits(folder.path(), |limits| limits.connections = 2));
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Client::connect(server.address());
            assert_eq!(client.get(VERSION), 200);
            client
        })
        .collect();
    clients[0].wait_for_close();
    assert_eq!(
        [clients[1].get(VERSION), clients[2].get(VERSION)],
        [200, 200]
    );
}

fn a_new_certificate_is_shown_without_a_restart<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let mut before = Client::connect(server.address());
    assert_eq!(before.get(VERSION), 200);
    let (new, other) = (certificate(), certificate());
    server.show(&new).unwrap();
    let mixed = Certificate {
        chain: other.chain.clone(),
        ..new.clone()
    };
    server.show(&mixed).unwrap_err();
    let mut after = Client::trusting(new.chain[0].clone(), server.address());
    assert_eq!(after.get(VERSION), 200);
    assert_eq!(before.get(VERSION), 200);
    let mut stranger = Client::connect(server.address());
    let refused = stranger.send(request(VERSION)).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

fn plain_http_is_spoken_to_a_proxy<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(bind(), folder.path());
    config.certificate = None;
    let server = R::start(config);
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let close = "GET /_matrix/federation/v1/version HTTP/1.0\r\n\r\n";
    socket.write_all(close.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// A thousand here; a million in `cargo run --release -p comity-runtime --example flood`.
fn malformed_requests_leave_the_server_up_and_its_peers_served<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(bind(), folder.path());
    config.certificate = None;
    let server = R::start(config);
    let malformed = [
        "GET /\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
    ];
    let mut peer = TcpStream::connect(server.address()).unwrap();
    for bytes in malformed.iter().cycle().take(1000) {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
    }
    peer.write_all(request(VERSION).as_bytes()).unwrap();
    let mut answer = [0; 15];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

fn a_command_is_answered<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let reply = server.handle().command(Command::Read(Read::NewestPosition));
    assert!(matches!(reply, Ok(Reply::Read(_))), "{reply:?}");
}

fn a_stopped_server_says_so<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let (handle, mut notices) = (server.handle(), server.handle().notices());
    assert_eq!(handle.stop_reason(), None);
    server.shutdown();
    assert!(handle.stop_reason().is_some());
    assert_eq!(R::Handle::next_notice(&mut notices), Err(NoNotice::Ended));
    let refused = handle.command(Command::Statistics);
    assert!(
        matches!(refused, Err(CommandError::Stopped(_))),
        "{refused:?}"
    );
}

fn shutting_down_frees_port_and_database<R: Runtime>() {
    starts_again_after::<R>(R::shutdown);
}

fn stopping_hard_frees_port_and_database<R: Runtime>() {
    starts_again_after::<R>(R::stop_hard);
}

fn starts_again_after<R: Runtime>(stop: fn(R)) {
    let folder = tempfile::tempdir().unwrap();
    let server = R::start(config(bind(), folder.path()));
    let address = server.address();
    let mut client = Client::connect(address);
    assert_eq!(client.get(VERSION), 200);
    stop(server);
    client.wait_for_close();
    let server = R::start(config(TcpListener::bind(address).unwrap(), folder.path()));
    assert_eq!(Client::connect(server.address()).get(VERSION), 200);
}

fn with_limits(
    folder: &std::path::Path,
    set: impl FnOnce(&mut ConnectionLimits),
) -> comity_runtime::ServerConfig {
    let mut config = config(bind(), folder);
    set(&mut config.connections);
    config
}
