//! Reading a head: start line, headers, and what they say about body and connection.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use super::error::FramingError;
use super::limits::HEADERS_MAX;
use super::receive_buffer::{NoLineEnd, ReceiveBuffer};

/// A request's start line and headers; the target is still the bytes the peer sent.
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) target: Bytes,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// A response's start line and headers.
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// How the headers say the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeclaredLength {
    /// Neither framing header: nothing follows a request, a response ends with the connection.
    Unstated,
    /// So many bytes.
    Bytes(u64),
    /// Chunks.
    Chunked,
}

/// Takes a head out of what was received, once it is complete.
pub(super) fn take(
    input: &mut ReceiveBuffer,
    bytes_max: usize,
) -> Result<Option<BytesMut>, FramingError> {
    input.take_head(bytes_max).map_err(|error| match error {
        NoLineEnd::BareLineFeed => FramingError::BareLineFeed,
        NoLineEnd::TooLong => FramingError::HeadTooLong,
    })
}

/// Reads a complete request head.
pub(super) fn parse_request(head: &[u8]) -> Result<RequestHead, FramingError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(head).map_err(|error| match error {
        httparse::Error::Version if !names_a_version(head) => {
            FramingError::MalformedHead("request line".to_owned())
        }
        other => head_error(other),
    })?;
    let (Some(method), Some(target), Some(version), true) = (
        parsed.method,
        parsed.path,
        parsed.version,
        status.is_complete(),
    ) else {
        return Err(FramingError::MalformedHead("incomplete".to_owned()));
    };
    Ok(RequestHead {
        method: method
            .parse()
            .map_err(|_| FramingError::MalformedHead("method".to_owned()))?,
        target: Bytes::copy_from_slice(target.as_bytes()),
        version: http_version(version),
        headers: header_map(parsed.headers)?,
    })
}

/// Reads a complete response head.
pub(super) fn parse_response(head: &[u8]) -> Result<ResponseHead, FramingError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = parsed.parse(head).map_err(head_error)?;
    let (Some(code), Some(version), true) = (parsed.code, parsed.version, status.is_complete())
    else {
        return Err(FramingError::MalformedHead("incomplete".to_owned()));
    };
    Ok(ResponseHead {
        status: StatusCode::from_u16(code)
            .map_err(|_| FramingError::MalformedHead("status code".to_owned()))?,
        version: http_version(version),
        headers: header_map(parsed.headers)?,
    })
}

/// What the framing headers say, refusing whatever two readers could read differently.
pub(super) fn declared_length(
    version: Version,
    headers: &HeaderMap,
) -> Result<DeclaredLength, FramingError> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().is_some() {
        return Err(FramingError::RepeatedContentLength);
    }
    match (length, coding) {
        (None, None) => Ok(DeclaredLength::Unstated),
        (Some(length), None) => content_length(length).map(DeclaredLength::Bytes),
        (Some(_), Some(_)) => Err(FramingError::AmbiguousLength),
        (None, Some(coding)) => {
            let only = codings.next().is_none() && version == Version::HTTP_11;
            if only && coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                Ok(DeclaredLength::Chunked)
            } else {
                Err(FramingError::UnsupportedTransferEncoding)
            }
        }
    }
}

/// Whether the `Connection` header lists `close`.
pub(super) fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn content_length(value: &HeaderValue) -> Result<u64, FramingError> {
    let text = value
        .to_str()
        .map_err(|_| FramingError::MalformedContentLength)?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FramingError::MalformedContentLength);
    }
    text.parse()
        .map_err(|_| FramingError::MalformedContentLength)
}

fn header_map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, FramingError> {
    let malformed = |name: &str| FramingError::MalformedHead(format!("header {name:?}"));
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(malformed(header.name));
        };
        map.append(name, value);
    }
    Ok(map)
}

fn head_error(error: httparse::Error) -> FramingError {
    match error {
        httparse::Error::TooManyHeaders => FramingError::TooManyHeaders,
        httparse::Error::Version => FramingError::UnsupportedVersion,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => FramingError::MalformedHead(error.to_string()),
    }
}

/// Whether a request line at least looks like one of some HTTP version.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    words
        .next()
        .is_some_and(|version| version.starts_with(b"HTTP/"))
        && words.next().is_none()
}

fn http_version(minor: u8) -> Version {
    if minor == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    }
}
