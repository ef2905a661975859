//! What the server makes of every kind of request.

use proptest::prelude::*;

use super::super::limits::{CHUNK_LINE_BYTES_MAX, HEADERS_MAX, TRAILER_BYTES_MAX};
use super::*;

const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 4096,
    body_bytes: 1000,
};

/// A well-formed head of a request with a chunked body.
const CHUNKED: &str = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What a connection made of its bytes, every request and error being answered with `ok`.
#[derive(Debug, PartialEq)]
struct Story {
    requests: Vec<(String, String, Bytes)>,
    error: Option<BadRequest>,
    phase: ServerPhase,
}

fn ok() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"ok"))
}

fn story<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let mut connection = ServerConnection::new(LIMITS);
    let (mut requests, mut error) = (Vec::new(), None);
    for piece in pieces {
        connection.receive(piece);
        loop {
            match connection.next_request() {
                Ok(None) => break,
                Ok(Some(request)) => requests.push((
                    request.method().to_string(),
                    request.uri().to_string(),
                    request.into_body(),
                )),
                Err(bad) => error = Some(bad),
            }
            connection.respond(&ok()).unwrap();
        }
    }
    Story {
        requests,
        error,
        phase: connection.phase(),
    }
}

fn at_once(bytes: &[u8]) -> Story {
    story([bytes])
}

/// Feeds `bytes` at once, one by one and in two parts, which must agree, and says what came of it.
fn read(bytes: impl AsRef<[u8]>) -> Story {
    let bytes = bytes.as_ref();
    let (expected, shown) = (at_once(bytes), bytes.escape_ascii());
    assert_eq!(story(bytes.chunks(1)), expected, "{shown}");
    for cut in 0..bytes.len().min(200) {
        let (start, end) = bytes.split_at(cut);
        assert_eq!(story([start, end]), expected, "{shown} cut at {cut}");
    }
    expected
}

fn bodies(bytes: impl AsRef<[u8]>) -> Vec<Bytes> {
    let story = read(bytes);
    assert_eq!(story.error, None);
    story
        .requests
        .into_iter()
        .map(|(_, _, body)| body)
        .collect()
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n")
}

#[test]
fn xmtx_6_the_target_is_kept_exactly_as_sent() {
    for target in [
        "/",
        "//a//",
        "/%2F%2f?x=%20&y=+",
        "/a:b@c!$&'()*+,;=~",
        "/?",
        "/a/../b",
        "/é",
    ] {
        let story = read(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            story.requests,
            [("GET".into(), target.into(), Bytes::new())]
        );
    }
}

#[test]
fn bodies_come_by_length_in_chunks_or_not_at_all() {
    let table = [
        (get(""), ""),
        (get("Content-Length: 0\r\n"), ""),
        (get("Content-Length: 5\r\n") + "hello", "hello"),
        (
            get("content-length:\t007 \r\n") + "\r\n\r\n{}\n",
            "\r\n\r\n{}\n",
        ),
        (CHUNKED.to_owned() + "0\r\n\r\n", ""),
        (
            CHUNKED.to_owned() + "5\r\nhello\r\n00A\r\n, world\r\n.\r\n0\r\n\r\n",
            "hello, world\r\n.",
        ),
        (
            CHUNKED.to_owned() + "1;a=\"b c\"\r\nx\r\n0;e\r\nDigest: y\r\nMore: z\r\n\r\n",
            "x",
        ),
        (
            CHUNKED.replace("chunked", "Chunked") + "1\r\nx\r\n0\r\n\r\n",
            "x",
        ),
    ];
    for (bytes, body) in table {
        assert_eq!(bodies(&bytes), [body], "{bytes:?}");
    }
}

#[test]
fn a_request_without_framing_headers_ends_with_its_head() {
    let story = read("POST /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    let empty = |method: &str, target: &str| (method.into(), target.into(), Bytes::new());
    assert_eq!(story.requests, [empty("POST", "/a"), empty("GET", "/b")]);
    assert_eq!(story.phase, ServerPhase::Idle);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    assert_eq!(read("\r\n\r\n".to_owned() + &get("")).requests.len(), 1);
    assert_eq!(read("\r\n\r\n").phase, ServerPhase::Idle);
}

#[test]
fn pipelined_requests_are_yielded_one_at_a_time() {
    let mut connection = ServerConnection::new(LIMITS);
    connection.receive((get("") + &get("")).as_bytes());
    assert!(connection.next_request().unwrap().is_some());
    assert_eq!(connection.phase(), ServerPhase::Answering);
    assert!(connection.next_request().unwrap().is_none());
    connection.respond(&ok()).unwrap();
    assert_eq!(connection.phase(), ServerPhase::Receiving);
    assert!(connection.next_request().unwrap().is_some());
    connection.respond(&ok()).unwrap();
    assert_eq!(connection.phase(), ServerPhase::Idle);
}

#[test]
fn the_phase_tells_what_is_awaited() {
    let mut connection = ServerConnection::new(LIMITS);
    let table = [
        ("", ServerPhase::Idle),
        ("P", ServerPhase::Receiving),
        (
            "UT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n",
            ServerPhase::Receiving,
        ),
        ("x", ServerPhase::Answering),
    ];
    for (bytes, phase) in table {
        connection.receive(bytes.as_bytes());
        connection.next_request().unwrap();
        assert_eq!(connection.phase(), phase, "after {bytes:?}");
    }
}

#[test]
fn the_connection_lives_on_unless_someone_closes_it() {
    let table = [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ServerPhase::Idle),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
            ServerPhase::Idle,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n",
            ServerPhase::Idle,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            ServerPhase::Closed,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: te , Close\r\n\r\n",
            ServerPhase::Closed,
        ),
        (
            "GET / HTTP/1.1\r\nConnection: a\r\nConnection: close\r\nHost: h\r\n\r\n",
            ServerPhase::Closed,
        ),
        ("GET / HTTP/1.0\r\nHost: h\r\n\r\n", ServerPhase::Closed),
        ("GET / HTTP/1.0\r\n\r\n", ServerPhase::Closed),
    ];
    for (bytes, phase) in table {
        let story = read(bytes);
        assert_eq!((story.error, story.phase), (None, phase), "{bytes:?}");
    }
}

#[test]
fn nothing_after_the_last_request_is_read() {
    let story = read(get("Connection: close\r\n") + &get(""));
    assert_eq!(
        (story.requests.len(), story.phase),
        (1, ServerPhase::Closed)
    );
}

#[test]
fn answers_state_their_length() {
    let mut chatty = ok();
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("content-length", "9"),
        ("x-a", "b"),
    ] {
        chatty.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut closing = ok();
    closing
        .headers_mut()
        .insert("connection", "close".parse().unwrap());
    let mut empty = ok();
    *empty.status_mut() = http::StatusCode::NO_CONTENT;
    let table = [
        (
            "GET",
            "1.1",
            ok(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "HEAD",
            "1.1",
            ok(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
        ),
        (
            "GET",
            "1.1",
            chatty,
            "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok",
        ),
        ("GET", "1.1", empty, "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "1.1",
            closing,
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "GET",
            "1.0",
            ok(),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        ),
    ];
    for (method, version, response, bytes) in table {
        let mut connection = ServerConnection::new(LIMITS);
        connection.receive(format!("{method} / HTTP/{version}\r\nHost: h\r\n\r\n").as_bytes());
        connection.next_request().unwrap().unwrap();
        assert_eq!(connection.respond(&response).unwrap(), bytes);
    }
}

#[test]
fn only_a_request_can_be_answered() {
    let mut connection = ServerConnection::new(LIMITS);
    assert_eq!(connection.respond(&ok()), Err(NoRequestToAnswer));
    connection.receive(get("Connection: close\r\n").as_bytes());
    connection.next_request().unwrap().unwrap();
    connection.respond(&ok()).unwrap();
    assert_eq!(connection.respond(&ok()), Err(NoRequestToAnswer));
}

#[test]
fn an_unreadable_request_is_answered_and_the_connection_closed() {
    let mut connection = ServerConnection::new(LIMITS);
    connection.receive(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.next_request().unwrap_err(), BadRequest::Host);
    assert_eq!(connection.phase(), ServerPhase::Answering);
    let answer = connection.respond(&ok()).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\nconnection: close\r\n"));
    assert_eq!(connection.phase(), ServerPhase::Closed);
}

#[test]
fn a_client_that_waits_with_its_body_is_told_to_go_on_once() {
    let expecting = |more: &str| get(&format!("Expect: 100-Continue\r\n{more}"));
    let table = [
        (expecting("Content-Length: 2\r\n"), true),
        (expecting("Transfer-Encoding: chunked\r\n"), true),
        (expecting(""), false),
        (expecting("Content-Length: 0\r\n"), false),
        (expecting("Content-Length: 2\r\n") + "x", false),
        (
            expecting("Content-Length: 2\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            false,
        ),
        (get("Content-Length: 2\r\n"), false),
    ];
    for (bytes, told) in table {
        let mut connection = ServerConnection::new(LIMITS);
        connection.receive(bytes.as_bytes());
        connection.next_request().unwrap();
        let interim = connection.take_interim_response();
        assert_eq!(
            interim,
            told.then(|| "HTTP/1.1 100 Continue\r\n\r\n".into()),
            "{bytes:?}"
        );
        assert_eq!(connection.take_interim_response(), None);
    }
}

#[test]
fn a_body_too_large_is_refused_before_the_client_is_told_to_go_on() {
    let mut connection = ServerConnection::new(LIMITS);
    connection.receive(get("Expect: 100-continue\r\nContent-Length: 1001\r\n").as_bytes());
    assert_eq!(
        connection.next_request().unwrap_err(),
        FramingError::BodyTooLarge.into()
    );
    assert_eq!(connection.take_interim_response(), None);
}

#[test]
fn heads_that_two_readers_could_read_differently_are_refused() {
    use FramingError::*;
    let table = [
        (
            get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            AmbiguousLength,
        ),
        (
            get("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            AmbiguousLength,
        ),
        (
            get("Content-Length: 3\r\nContent-Length: 4\r\n"),
            RepeatedContentLength,
        ),
        (
            get("Content-Length: 3\r\ncontent-length: 3\r\n"),
            RepeatedContentLength,
        ),
        (get("Content-Length: 3, 3\r\n"), MalformedContentLength),
        (get("Content-Length: +3\r\n"), MalformedContentLength),
        (get("Content-Length: -3\r\n"), MalformedContentLength),
        (get("Content-Length: 0x3\r\n"), MalformedContentLength),
        (get("Content-Length: 3 3\r\n"), MalformedContentLength),
        (get("Content-Length:\r\n"), MalformedContentLength),
        (
            get("Content-Length: 18446744073709551616\r\n"),
            MalformedContentLength,
        ),
        (
            get("Transfer-Encoding: chunked, gzip\r\n"),
            UnsupportedTransferEncoding,
        ),
        (
            get("Transfer-Encoding: gzip, chunked\r\n"),
            UnsupportedTransferEncoding,
        ),
        (
            get("Transfer-Encoding: xchunked\r\n"),
            UnsupportedTransferEncoding,
        ),
        (
            get("Transfer-Encoding: \"chunked\"\r\n"),
            UnsupportedTransferEncoding,
        ),
        (
            get("Transfer-Encoding: identity\r\n"),
            UnsupportedTransferEncoding,
        ),
        (get("Transfer-Encoding:\r\n"), UnsupportedTransferEncoding),
        (
            get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            UnsupportedTransferEncoding,
        ),
        (
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            UnsupportedTransferEncoding,
        ),
        (get("A: b\n"), BareLineFeed),
        ("GET / HTTP/1.1\nHost: h\r\n\r\n".to_owned(), BareLineFeed),
        (
            "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            BareLineFeed,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n".to_owned(), BareLineFeed),
        (
            "\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            BareLineFeed,
        ),
        (
            "GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(),
            UnsupportedVersion,
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            UnsupportedVersion,
        ),
    ];
    for (bytes, error) in table {
        let story = read(&bytes);
        assert_eq!(story.error, Some(error.into()), "{bytes:?}");
        assert_eq!(
            (story.requests.len(), story.phase),
            (0, ServerPhase::Closed)
        );
    }
}

#[test]
fn heads_that_break_the_grammar_are_refused() {
    let table = [
        get("A : b\r\n"),
        get("A: b\r\n folded\r\n"),
        get("A: b\r\n\tfolded\r\n"),
        get("A: b\rc\r\n"),
        get("A: b\0c\r\n"),
        get("A\r\n"),
        get(": b\r\n"),
        get("Content-Length\x0b: 3\r\n"),
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n".to_owned(),
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET /  HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET / b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET /\r\nHost: h\r\n\r\n".to_owned(),
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "\x16\x03\x01\r\n\r\n".to_owned(),
    ];
    for bytes in table {
        let error = read(&bytes).error;
        assert!(
            matches!(
                error,
                Some(BadRequest::Framing(FramingError::MalformedHead(_)))
            ),
            "{bytes:?} gave {error:?}"
        );
    }
}

#[test]
fn heads_that_are_read_but_not_served_are_refused() {
    let line = |line: &str| format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
    let table = [
        (line("GET http://h/"), BadRequest::Target),
        (line("GET *"), BadRequest::Target),
        (line("OPTIONS *"), BadRequest::Target),
        (line("CONNECT h:443"), BadRequest::Target),
        (line("GET a"), BadRequest::Target),
        (line("GET /a#b"), BadRequest::Target),
        (line("GET /<>"), BadRequest::Target),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), BadRequest::Host),
        (get("Host: h\r\n"), BadRequest::Host),
        (
            "GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n".to_owned(),
            BadRequest::Host,
        ),
        (get("Expect: 200-ok\r\n"), BadRequest::Expectation),
        (
            get("Expect: 100-continue\r\nExpect: more\r\n"),
            BadRequest::Expectation,
        ),
    ];
    for (bytes, error) in table {
        assert_eq!(read(&bytes).error, Some(error), "{bytes:?}");
    }
}

#[test]
fn loose_chunks_are_refused() {
    use FramingError::*;
    let long_extension = format!("1;{}\r\n", "e".repeat(CHUNK_LINE_BYTES_MAX));
    let endless_size = "0".repeat(CHUNK_LINE_BYTES_MAX);
    let endless_trailer = format!("0\r\n{}", "a".repeat(TRAILER_BYTES_MAX));
    let many_trailers = format!("0\r\n{}", "a:b\r\n".repeat(HEADERS_MAX + 1));
    let long_trailers = format!("0\r\na:{}\r\na", "b".repeat(TRAILER_BYTES_MAX - 5));
    let table = [
        ("+5\r\nhello\r\n", MalformedChunk),
        ("-5\r\nhello\r\n", MalformedChunk),
        (" 5\r\nhello\r\n", MalformedChunk),
        ("5 \r\nhello\r\n", MalformedChunk),
        ("5 ;a\r\nhello\r\n", MalformedChunk),
        ("0x5\r\nhello\r\n", MalformedChunk),
        ("5,\r\nhello\r\n", MalformedChunk),
        ("\r\n", MalformedChunk),
        (";a\r\n", MalformedChunk),
        ("5;\0\r\nhello\r\n", MalformedChunk),
        ("5;a\rb\r\nhello\r\n", MalformedChunk),
        ("é\r\n", MalformedChunk),
        ("10000000000000000\r\n", MalformedChunk),
        (&long_extension, MalformedChunk),
        (&endless_size, MalformedChunk),
        ("5\nhello\r\n", BareLineFeed),
        ("5;a\nb\r\nhello\r\n", BareLineFeed),
        ("5\r\nhello\n0\r\n\r\n", BareLineFeed),
        ("5\r\nhello0\r\n\r\n", MalformedChunk),
        ("5\r\nhello!\r\n0\r\n\r\n", MalformedChunk),
        ("0\r\na: b\n\r\n", BareLineFeed),
        ("0\r\n\n", BareLineFeed),
        ("0\r\nno field\r\n\r\n", MalformedTrailer),
        ("0\r\na b: c\r\n\r\n", MalformedTrailer),
        ("0\r\na: b\r\n folded\r\n\r\n", MalformedTrailer),
        ("0\r\na: \0\r\n\r\n", MalformedTrailer),
        ("0\r\na: b\r\r\n\r\n", MalformedTrailer),
        (&endless_trailer, TrailersTooLong),
        (&many_trailers, TrailersTooLong),
        (&long_trailers, TrailersTooLong),
        ("FFFFFFFFFFFFFFFF\r\n", BodyTooLarge),
        ("3e9\r\n", BodyTooLarge),
        ("1\r\nx\r\nFFFFFFFFFFFFFFFF\r\n", BodyTooLarge),
        ("1\r\nx\r\n3e8\r\n", BodyTooLarge),
    ];
    for (chunks, error) in table {
        let story = read(CHUNKED.to_owned() + chunks);
        assert_eq!(story.error, Some(error.into()), "{chunks:?}");
        assert_eq!(
            (story.requests.len(), story.phase),
            (0, ServerPhase::Closed)
        );
    }
}

#[test]
fn a_head_may_be_as_long_as_the_limit_but_no_longer() {
    let padded = |bytes: usize| {
        get(&format!(
            "A: {}\r\n",
            "b".repeat(bytes - get("A: \r\n").len())
        ))
    };
    assert_eq!(padded(LIMITS.head_bytes).len(), LIMITS.head_bytes);
    assert_eq!(read(padded(LIMITS.head_bytes)).error, None);
    let too_long = Some(FramingError::HeadTooLong.into());
    assert_eq!(read(padded(LIMITS.head_bytes + 1)).error, too_long);
    assert_eq!(read("a".repeat(LIMITS.head_bytes)).error, too_long);
}

#[test]
fn a_head_may_have_so_many_headers_but_no_more() {
    let with = |count: usize| get(&"a:b\r\n".repeat(count - 1));
    assert_eq!(read(with(HEADERS_MAX)).error, None);
    let error = Some(FramingError::TooManyHeaders.into());
    assert_eq!(read(with(HEADERS_MAX + 1)).error, error);
}

#[test]
fn a_body_may_be_as_large_as_the_limit_but_no_larger() {
    let (body, half) = ("x".repeat(1000), "x".repeat(500));
    assert_eq!(
        bodies(get("Content-Length: 1000\r\n") + &body),
        [body.as_str()]
    );
    let chunks = format!("1f4\r\n{half}\r\n1f4\r\n{half}\r\n0\r\n\r\n");
    assert_eq!(bodies(CHUNKED.to_owned() + &chunks), [body.as_str()]);
    for length in ["1001", "18446744073709551615"] {
        let error = read(get(&format!("Content-Length: {length}\r\n"))).error;
        assert_eq!(error, Some(FramingError::BodyTooLarge.into()));
    }
}

/// Pieces from which both good and broken streams arise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(get("").into_bytes()),
        Just((get("Content-Length: 3\r\n") + "abc").into_bytes()),
        Just((CHUNKED.to_owned() + "3\r\nabc\r\n0\r\n\r\n").into_bytes()),
        Just(CHUNKED.as_bytes().to_vec()),
        Just(b"2\r\nab\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\nHost: ".to_vec()),
        Just(get("Connection: close\r\n").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        bytes in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        let pieces = ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        let expected = at_once(&bytes);
        prop_assert_eq!(&story(pieces), &expected);
        prop_assert_eq!(&story(bytes.chunks(1)), &expected);
    }
}
