//! What the client makes of every kind of response.

use proptest::prelude::*;

use super::super::{ServerConnection, limits::TRAILER_BYTES_MAX};
use super::*;

const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 4096,
    body_bytes: 1000,
};

fn request(method: Method, body: &'static str) -> Request<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri("/a%2F?b")
        .header("host", "h:1");
    request.body(body.into()).unwrap()
}

/// A connection that has sent a request of `method`.
fn sent(method: Method) -> ClientConnection {
    let mut connection = ClientConnection::new();
    connection.send(&request(method, ""), LIMITS).unwrap();
    connection
}

/// What came of a response, and whether the connection can be used again.
#[derive(Debug, PartialEq)]
struct Story {
    response: Result<Option<(u16, Bytes)>, BadResponse>,
    reusable: bool,
}

/// Whether the peer closes after its bytes.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    Closed,
}

fn story<'a>(method: &Method, pieces: impl IntoIterator<Item = &'a [u8]>, end: End) -> Story {
    let mut connection = sent(method.clone());
    let mut response = Ok(None);
    for piece in pieces {
        connection.receive(piece);
        if response == Ok(None) {
            response = next_response(&mut connection);
        }
    }
    if end == End::Closed {
        connection.receive_eof();
        if response == Ok(None) {
            response = next_response(&mut connection);
        }
    }
    Story {
        response,
        reusable: connection.is_reusable(),
    }
}

fn next_response(connection: &mut ClientConnection) -> Result<Option<(u16, Bytes)>, BadResponse> {
    let response = connection.next_response()?;
    Ok(response.map(|response| (response.status().as_u16(), response.into_body())))
}

/// Feeds `bytes` at once and one by one, which must agree, and says what came of it.
fn read(method: Method, bytes: impl AsRef<[u8]>, end: End) -> Story {
    let bytes = bytes.as_ref();
    let at_once = story(&method, [bytes], end);
    assert_eq!(
        story(&method, bytes.chunks(1), end),
        at_once,
        "{}",
        bytes.escape_ascii()
    );
    at_once
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}")
}

#[test]
fn xmtx_6_the_target_goes_out_exactly_as_given() {
    let mut connection = ClientConnection::new();
    let bytes = connection.send(&request(Method::GET, ""), LIMITS).unwrap();
    assert_eq!(bytes, "GET /a%2F?b HTTP/1.1\r\nhost: h:1\r\n\r\n");
}

#[test]
fn requests_state_the_length_of_their_bodies() {
    let table = [
        (
            Method::PUT,
            "{}",
            "PUT /a%2F?b HTTP/1.1\r\nhost: h:1\r\ncontent-length: 2\r\n\r\n{}",
        ),
        (
            Method::POST,
            "",
            "POST /a%2F?b HTTP/1.1\r\nhost: h:1\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            Method::DELETE,
            "",
            "DELETE /a%2F?b HTTP/1.1\r\nhost: h:1\r\n\r\n",
        ),
    ];
    for (method, body, bytes) in table {
        assert_eq!(
            ClientConnection::new()
                .send(&request(method, body), LIMITS)
                .unwrap(),
            bytes
        );
    }
}

#[test]
fn the_framing_headers_of_a_request_are_ours() {
    let mut chatty = request(Method::PUT, "{}");
    for (name, value) in [
        ("content-length", "9"),
        ("transfer-encoding", "chunked"),
        ("x-a", "b"),
    ] {
        chatty.headers_mut().insert(name, value.parse().unwrap());
    }
    let bytes = ClientConnection::new().send(&chatty, LIMITS).unwrap();
    let expected = "PUT /a%2F?b HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(bytes, expected);
}

#[test]
fn the_host_is_the_header_else_the_authority() {
    let with = |uri: &str| Request::builder().uri(uri).body(Bytes::new()).unwrap();
    let sent = ClientConnection::new().send(&with("https://h:2"), LIMITS);
    assert_eq!(sent.unwrap(), "GET / HTTP/1.1\r\nhost: h:2\r\n\r\n");
    assert_eq!(
        ClientConnection::new().send(&with("/"), LIMITS),
        Err(CannotSend::NoHost)
    );
}

#[test]
fn a_response_ends_as_its_head_says() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let table = [
        (Method::GET, ok("Content-Length: 2\r\n", "hi"), "hi"),
        (Method::GET, ok("Content-Length: 0\r\n", ""), ""),
        (
            Method::GET,
            ok(chunked, "1;x\r\nh\r\n1\r\ni\r\n0\r\nA: b\r\n\r\n"),
            "hi",
        ),
        (Method::HEAD, ok("Content-Length: 2\r\n", ""), ""),
        (Method::HEAD, ok(chunked, ""), ""),
        (Method::HEAD, ok("", ""), ""),
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "",
        ),
        (
            Method::GET,
            "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n".to_owned(),
            "",
        ),
        (
            Method::GET,
            "HTTP/1.1 500\r\nContent-Length: 1\r\n\r\n!".to_owned(),
            "!",
        ),
    ];
    for (method, bytes, body) in table {
        let story = read(method, &bytes, End::Open);
        let found = story
            .response
            .unwrap()
            .unwrap_or_else(|| panic!("incomplete: {bytes:?}"));
        assert_eq!((found.1, story.reusable), (body.into(), true), "{bytes:?}");
    }
}

#[test]
fn a_response_without_a_length_ends_with_the_connection() {
    assert_eq!(
        read(Method::GET, ok("", "hi"), End::Open).response,
        Ok(None)
    );
    let story = read(Method::GET, ok("", "hi"), End::Closed);
    assert_eq!(
        story,
        Story {
            response: Ok(Some((200, "hi".into()))),
            reusable: false
        }
    );
}

#[test]
fn interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let story = read(
        Method::PUT,
        interim.to_owned() + &ok("Content-Length: 2\r\n", "hi"),
        End::Open,
    );
    assert_eq!(story.response, Ok(Some((200, "hi".into()))));
    let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(usize::from(INTERIM_RESPONSES_MAX) + 1);
    let story = read(Method::PUT, many, End::Open);
    assert_eq!(story.response, Err(BadResponse::TooManyInterimResponses));
}

#[test]
fn a_connection_is_kept_only_if_both_sides_agree() {
    let table = [
        (ok("Content-Length: 1\r\n", "x"), End::Open, true),
        (
            ok("Content-Length: 1\r\nConnection: close\r\n", "x"),
            End::Open,
            false,
        ),
        (
            ok("Content-Length: 1\r\nConnection: x, CLOSE\r\n", "x"),
            End::Open,
            false,
        ),
        (
            ok("Content-Length: 1\r\n", "x").replace("1.1", "1.0"),
            End::Open,
            false,
        ),
        (ok("Content-Length: 1\r\n", "x"), End::Closed, false),
        (
            ok("Content-Length: 1\r\n", "xHTTP/1.1 200 OK\r\n"),
            End::Open,
            false,
        ),
    ];
    for (bytes, end, reusable) in table {
        let story = read(Method::GET, &bytes, end);
        assert_eq!(
            story,
            Story {
                response: Ok(Some((200, "x".into()))),
                reusable
            },
            "{bytes:?}"
        );
    }
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let mut connection = sent(Method::GET);
    let second = request(Method::GET, "");
    assert_eq!(connection.send(&second, LIMITS), Err(CannotSend::NotFree));
    connection.receive(ok("Content-Length: 1\r\n", "1").as_bytes());
    assert_eq!(connection.send(&second, LIMITS), Err(CannotSend::NotFree));
    assert_eq!(connection.next_response().unwrap().unwrap().body(), "1");
    connection.send(&second, LIMITS).unwrap();
    connection.receive(ok("Content-Length: 1\r\n", "2").as_bytes());
    assert_eq!(connection.next_response().unwrap().unwrap().body(), "2");
}

#[test]
fn bytes_that_answer_nothing_end_the_connection() {
    let mut connection = ClientConnection::new();
    assert_eq!(next_response(&mut connection), Ok(None));
    connection.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert!(!connection.is_reusable());
    assert_eq!(
        next_response(&mut connection),
        Err(BadResponse::Unsolicited)
    );
    assert_eq!(next_response(&mut connection), Ok(None));
}

#[test]
fn a_connection_closed_early_tells_whether_a_response_had_begun() {
    let table = [
        ("", BadResponse::ClosedBeforeResponse),
        ("H", BadResponse::ClosedWithinResponse),
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            BadResponse::ClosedWithinResponse,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
            BadResponse::ClosedWithinResponse,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            BadResponse::ClosedWithinResponse,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            BadResponse::ClosedWithinResponse,
        ),
    ];
    for (bytes, error) in table {
        let story = read(Method::GET, bytes, End::Closed);
        assert_eq!(
            story,
            Story {
                response: Err(error),
                reusable: false
            },
            "{bytes:?}"
        );
    }
}

#[test]
fn responses_that_cannot_be_read_in_one_way_only_are_refused() {
    use FramingError::*;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let endless_trailer = format!("0\r\n{}", "a".repeat(TRAILER_BYTES_MAX));
    let table = [
        (
            ok("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", ""),
            AmbiguousLength,
        ),
        (
            ok("Content-Length: 1\r\nContent-Length: 2\r\n", ""),
            RepeatedContentLength,
        ),
        (ok("Content-Length: x\r\n", ""), MalformedContentLength),
        (
            ok("Transfer-Encoding: gzip\r\n", ""),
            UnsupportedTransferEncoding,
        ),
        (
            ok(chunked, "").replace("1.1", "1.0"),
            UnsupportedTransferEncoding,
        ),
        (ok(chunked, "+1\r\nx\r\n"), MalformedChunk),
        (ok(chunked, "3e9\r\n"), BodyTooLarge),
        (ok(chunked, &endless_trailer), TrailersTooLong),
        (ok("Content-Length: 1001\r\n", ""), BodyTooLarge),
        (ok("", &"x".repeat(1001)), BodyTooLarge),
        (ok("A: b\n", ""), BareLineFeed),
        (ok(&"a:b\r\n".repeat(101), ""), TooManyHeaders),
        ("x".repeat(4096), HeadTooLong),
        ("HTTP/2 200\r\n\r\n".to_owned(), UnsupportedVersion),
    ];
    for (bytes, error) in table {
        let story = read(Method::GET, &bytes, End::Open);
        assert_eq!(
            story,
            Story {
                response: Err(error.into()),
                reusable: false
            },
            "{bytes:?}"
        );
    }
}

#[test]
fn heads_of_responses_that_break_the_grammar_are_refused() {
    for head in [
        ok("A : b\r\n", ""),
        ok("A: b\r\n folded\r\n", ""),
        ok("A: b\0\r\n", ""),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 Low\r\n\r\n".to_owned(),
        "SSH-2.0-x\r\n\r\n".to_owned(),
    ] {
        let error = read(Method::GET, &head, End::Open).response;
        assert!(
            matches!(
                error,
                Err(BadResponse::Framing(
                    FramingError::MalformedHead(_) | FramingError::UnsupportedVersion
                ))
            ),
            "{head:?} gave {error:?}"
        );
    }
}

#[test]
fn a_switch_of_protocols_is_refused() {
    let story = read(
        Method::GET,
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        End::Open,
    );
    assert_eq!(story.response, Err(BadResponse::SwitchedProtocols));
}

#[test]
fn what_one_side_packs_the_other_unpacks() {
    let body = Bytes::from("so much of the same ".repeat(200));
    let mut server = ServerConnection::new(HttpLimits::default());
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    server.next_request().unwrap().unwrap();
    let bytes = server.respond(&Response::new(body.clone())).unwrap();
    assert!(bytes.len() < body.len() / 4);

    let mut client = ClientConnection::new();
    let asked = request(Method::GET, "");
    client.send(&asked, HttpLimits::default()).unwrap();
    client.receive(&bytes);
    let response = client.next_response().unwrap().unwrap();
    assert_eq!(response.body(), &body);
    assert!(!response.headers().contains_key("content-encoding"));
    assert!(client.is_reusable());

    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let packed = bytes.slice(head_end.unwrap() + 4..);
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    server.receive(head.as_bytes());
    server.receive(&packed);
    assert_eq!(server.next_request().unwrap().unwrap().body(), &body);
}

#[test]
fn nothing_is_packed_for_who_did_not_ask() {
    let body = Bytes::from("so much of the same ".repeat(200));
    let mut server = ServerConnection::new(HttpLimits::default());
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.next_request().unwrap().unwrap();
    let bytes = server.respond(&Response::new(body.clone())).unwrap();
    assert!(bytes.ends_with(&body));
}

#[test]
fn what_the_server_side_writes_the_client_side_reads() {
    let mut client = ClientConnection::new();
    let mut server = ServerConnection::new(LIMITS);
    for body in ["{}", "", "\r\n\r\n"] {
        server.receive(&client.send(&request(Method::PUT, body), LIMITS).unwrap());
        let received = server.next_request().unwrap().unwrap();
        assert_eq!(
            (received.uri().to_string().as_str(), received.body()),
            ("/a%2F?b", &body.into())
        );
        client.receive(
            &server
                .respond(&Response::new(received.into_body()))
                .unwrap(),
        );
        assert_eq!(client.next_response().unwrap().unwrap().body(), body);
        assert!(client.is_reusable());
    }
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        bytes in stream(),
        size in 1_usize..9,
        closed in any::<bool>(),
    ) {
        let end = if closed { End::Closed } else { End::Open };
        let expected = read(Method::GET, &bytes, end);
        prop_assert_eq!(story(&Method::GET, bytes.chunks(size), end), expected);
    }
}

/// Pieces from which both good and broken streams arise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(ok("Content-Length: 3\r\n", "abc").into_bytes()),
        Just(ok("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n").into_bytes()),
        Just(ok("", "abc").into_bytes()),
        Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}
