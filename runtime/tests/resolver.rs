//! Services are looked up at name servers, here at one on this machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use comity_core::transport::names::{Found, Lookup, LookupError, Records, Service};
use comity_runtime::Resolver;

const TRUNCATED: u8 = 0x02;
const SERVER_FAILURE: u8 = 0x02;

/// A name server that answers one question: over UDP what `answer` makes of it, if anything, and
/// over TCP always with the service.
fn name_server(answer: fn(&[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        let (length, asker) = socket.recv_from(&mut question).unwrap();
        for message in answer(&question[..length]) {
            socket.send_to(&message, asker).unwrap();
        }
    });
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).unwrap();
        let answer = with_service(&question);
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&length).unwrap();
        stream.write_all(&answer).unwrap();
    });
    address
}

/// The question turned into a response, without its additional record.
fn response(question: &[u8]) -> Vec<u8> {
    let mut message = question[..question.len() - 11].to_vec();
    message[2] |= 0x80;
    message[11] = 0;
    message
}

fn with_service(question: &[u8]) -> Vec<u8> {
    let mut message = response(question);
    message[7] = 1;
    message.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 44, 0, 10]);
    message.extend([0, 1, 0, 2, 0x21, 0x00, 2, b'm', b'x', 0]);
    message
}

fn look_up(name_servers: Vec<SocketAddr>, patience: Duration) -> Result<Found, LookupError> {
    let resolver = Resolver::with_name_servers(name_servers);
    let lookup = Lookup::Services("_matrix-fed._tcp.a.example".to_owned());
    resolver.look_up(&lookup, Instant::now() + patience)
}

fn service() -> Found {
    let service = Service {
        priority: 1,
        weight: 2,
        port: 8448,
        target: "mx".to_owned(),
    };
    Found {
        records: Records::Services(vec![service]),
        good_for: Duration::from_secs(300),
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn disc_8_a_service_is_found_with_the_life_of_its_record() {
    let name_server = name_server(|question| vec![with_service(question)]);
    assert_eq!(look_up(vec![name_server], LONG), Ok(service()));
}

#[test]
fn an_answer_to_another_question_is_passed_over() {
    let name_server = name_server(|question| {
        let mut forged = with_service(question);
        forged[1] ^= 1;
        vec![forged, with_service(question)]
    });
    assert_eq!(look_up(vec![name_server], LONG), Ok(service()));
}

#[test]
fn a_cut_answer_is_had_whole_over_tcp() {
    let name_server = name_server(|question| {
        let mut cut = response(question);
        cut[2] |= TRUNCATED;
        vec![cut]
    });
    assert_eq!(look_up(vec![name_server], LONG), Ok(service()));
}

#[test]
fn when_one_name_server_fails_the_next_is_asked() {
    let failing = name_server(|question| {
        let mut failed = response(question);
        failed[3] |= SERVER_FAILURE;
        vec![failed]
    });
    let good = name_server(|question| vec![with_service(question)]);
    assert_eq!(look_up(vec![failing, good], LONG), Ok(service()));
}

#[test]
fn a_name_server_that_says_nothing_is_not_waited_for_past_the_deadline() {
    let silent = name_server(|_| Vec::new());
    look_up(vec![silent], Duration::from_millis(50)).unwrap_err();
}
