//! The HTTP listener, without TLS and with a handler of the test's own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_sync::{
    ConnectionLimits,
    http::{Handler, HttpListener},
};
use http::{Request, Response};

const LONG: Duration = Duration::from_secs(20);

fn listen(handler: Handler) -> HttpListener {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    HttpListener::start(socket, None, ConnectionLimits::default(), handler).unwrap()
}

/// A handler that echoes the target, but for `/panic`, and waits where the target is `/wait`
/// until it is let go.
fn handler() -> (Handler, Receiver<()>, Sender<()>) {
    let (started, has_started) = mpsc::channel();
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let handle = move |request: Request<Bytes>| {
        let target = request.uri().to_string();
        assert_ne!(target, "/panic", "as told");
        if target == "/wait" {
            started.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
        Response::new(target.into())
    };
    (Arc::new(handle), has_started, let_go)
}

fn send(address: SocketAddr, target: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n");
    socket
        .write_all(format!("{request}\r\n").as_bytes())
        .unwrap();
    socket
}

/// What comes until `end` does or the connection closes.
fn read_to(socket: &mut TcpStream, end: &str) -> String {
    let mut received = String::new();
    let mut byte = [0];
    while !received.ends_with(end) && socket.read(&mut byte).is_ok_and(|count| count > 0) {
        received.push(char::from(byte[0]));
    }
    received
}

#[test]
fn the_handler_sees_the_target_as_it_was_sent() {
    let (handler, _, _) = handler();
    let listener = listen(handler);
    let target = "/a%2Fb/%zz?q=%20+x&&";
    let answer = read_to(&mut send(listener.local_address(), target), target);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_panic_ends_only_its_own_connection() {
    let (handler, _, _) = handler();
    let listener = listen(handler);
    assert_eq!(
        read_to(&mut send(listener.local_address(), "/panic"), "/panic"),
        ""
    );
    let answer = read_to(&mut send(listener.local_address(), "/ok"), "/ok");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn stopping_lets_a_request_under_way_be_answered() {
    let (handler, has_started, let_go) = handler();
    let listener = listen(handler);
    let address = listener.local_address();
    let mut idle = send(address, "/idle");
    read_to(&mut idle, "/idle");
    let mut waiting = send(address, "/wait");
    has_started.recv_timeout(LONG).unwrap();

    let stopping = thread::spawn(move || listener.stop(LONG));
    assert_eq!(
        read_to(&mut idle, "-"),
        "",
        "the idle connection closes at once"
    );
    let_go.send(()).unwrap();
    let answer = read_to(&mut waiting, "/wait");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    drop(waiting);
    stopping.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn dropping_breaks_what_is_under_way() {
    let (handler, has_started, _let_go) = handler();
    let listener = listen(handler);
    let mut waiting = send(listener.local_address(), "/wait");
    has_started.recv_timeout(LONG).unwrap();
    let start = Instant::now();
    drop(listener);
    assert_eq!(read_to(&mut waiting, "/wait"), "");
    assert!(start.elapsed() < LONG / 2);
}
