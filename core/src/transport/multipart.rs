//! A file between two servers: a `multipart/mixed` of what is known of the file, which is nothing
//! yet, and the file or where it is (RFC 2046, section 5.1; MEDIA-1).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, header,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION},
};

use super::remote_response::{RemoteBody, RemoteError};
use crate::messaging::media::{Media, MediaContent};

/// Headers of one part.
const PART_HEADERS_MAX: usize = 16;

/// How long a boundary may be.
const BOUNDARY_MAX: usize = 70;

/// A 200 with a file. The boundary must not be known to who made the file.
#[must_use]
pub fn response(media: &Media, boundary: &str) -> Response<Bytes> {
    let mut body = format!("--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n");
    body.push_str(&format!("--{boundary}\r\n"));
    let location = match &media.content {
        MediaContent::Location(location) => Some(location),
        MediaContent::Bytes(_) => None,
    };
    for (name, value) in [
        (CONTENT_TYPE, media.content_type.as_ref()),
        (CONTENT_DISPOSITION, media.content_disposition.as_ref()),
        (LOCATION, location),
    ] {
        if let Some(value) = value.filter(|value| HeaderValue::from_str(value).is_ok()) {
            body.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    body.push_str("\r\n");
    let mut body = body.into_bytes();
    if let MediaContent::Bytes(bytes) = &media.content {
        body.extend_from_slice(bytes);
    }
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let mut response = Response::new(Bytes::from(body));
    if let Ok(value) = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}")) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Reads another server's answer.
///
/// # Errors
/// [`RemoteError::Nonsense`] if it has not exactly two parts (LIMIT-19).
pub fn read(answer: &RemoteBody) -> Result<Media, RemoteError> {
    let nonsense = |reason: &str| RemoteError::Nonsense(reason.to_owned());
    let boundary = boundary(&answer.headers).ok_or_else(|| nonsense("there is no boundary"))?;
    let parts = parts(&answer.body, &boundary).ok_or_else(|| nonsense("the parts have no end"))?;
    let [_, file] = parts.as_slice() else {
        return Err(nonsense("there are not two parts"));
    };
    let (headers, bytes) = part(file).ok_or_else(|| nonsense("a part has no headers"))?;
    let content = match text(&headers, &LOCATION) {
        Some(location) => MediaContent::Location(location),
        None => MediaContent::Bytes(bytes),
    };
    Ok(Media {
        content,
        content_type: text(&headers, &CONTENT_TYPE),
        content_disposition: text(&headers, &CONTENT_DISPOSITION),
    })
}

/// An answer that is the file itself.
#[must_use]
pub fn whole(answer: &RemoteBody) -> Media {
    Media {
        content: MediaContent::Bytes(answer.body.clone()),
        content_type: text(&answer.headers, &CONTENT_TYPE),
        content_disposition: text(&answer.headers, &CONTENT_DISPOSITION),
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value)
    })?;
    let boundary = boundary.trim().trim_matches('"');
    (1..=BOUNDARY_MAX)
        .contains(&boundary.len())
        .then(|| boundary.to_owned())
}

/// What stands between the delimiters; `None` if the last one is missing.
fn parts(body: &Bytes, boundary: &str) -> Option<Vec<Bytes>> {
    let delimiter = format!("\r\n--{boundary}");
    let first = delimiter.trim_start();
    let mut rest = match body.starts_with(first.as_bytes()) {
        true => body.slice(first.len()..),
        false => after(body, &delimiter)?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let (part, next) = after(&rest.slice(line_end..), &delimiter)?;
        parts.push(part.slice(2.min(part.len())..));
        rest = next;
        if parts.len() > 2 {
            break;
        }
    }
    Some(parts)
}

/// What stands before a text and after it.
fn after(bytes: &Bytes, text: &str) -> Option<(Bytes, Bytes)> {
    let text = text.as_bytes();
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
    let mut begins = begins.map(|(index, _)| index);
    let at = begins.find(|index| {
        bytes
            .get(*index..)
            .is_some_and(|rest| rest.starts_with(text))
    })?;
    Some((bytes.slice(..at), bytes.slice(at + text.len()..)))
}

/// The headers of a part and its content.
fn part(part: &Bytes) -> Option<(HeaderMap, Bytes)> {
    if let Some(content) = part.strip_prefix(b"\r\n") {
        return Some((HeaderMap::new(), part.slice_ref(content)));
    }
    let mut read = [httparse::EMPTY_HEADER; PART_HEADERS_MAX];
    let httparse::Status::Complete((length, read)) =
        httparse::parse_headers(part, &mut read).ok()?
    else {
        return None;
    };
    let mut headers = HeaderMap::new();
    for header in read {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.insert(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((headers, part.slice(length..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, body: &'static [u8]) -> RemoteBody {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.try_into().unwrap());
        RemoteBody {
            headers,
            body: Bytes::from_static(body),
        }
    }

    fn file(bytes: &'static [u8]) -> Media {
        Media {
            content: MediaContent::Bytes(Bytes::from_static(bytes)),
            content_type: Some("image/png".to_owned()),
            content_disposition: Some("inline; filename=\"a b.png\"".to_owned()),
        }
    }

    fn sent(media: &Media) -> Media {
        let (parts, body) = response(media, "1f2e").into_parts();
        let headers = parts.headers;
        read(&RemoteBody { headers, body }).unwrap()
    }

    /// MEDIA-1: whatever is in it, an empty file too.
    #[test]
    fn media_1_a_file_arrives_as_it_was_sent() {
        for bytes in [&b"\x89PNG\r\n\x1a\n\0--1f2\r\n\r\n--"[..], b"", b"\r\n"] {
            assert_eq!(sent(&file(bytes)), file(bytes));
        }
        let elsewhere = Media {
            content: MediaContent::Location("https://files.example/1".to_owned()),
            content_type: None,
            content_disposition: None,
        };
        assert_eq!(sent(&elsewhere), elsewhere);
    }

    /// MEDIA-1: a name that would end the header is left out.
    #[test]
    fn media_1_a_file_cannot_bring_headers_of_its_own() {
        let mut media = file(b"x");
        media.content_disposition = Some("inline\r\nLocation: https://evil.example".to_owned());
        let arrived = sent(&media);
        assert_eq!(arrived.content_disposition, None);
        assert_eq!(arrived.content, media.content);
    }

    /// MEDIA-1: with words before the first part and after the last, and the boundary in quotes.
    #[test]
    fn media_1_what_others_write_is_read() {
        let body = b"\r\n--b c\r\nContent-Type: application/json\r\n\r\n{}\r\n--b c\r\n\
            Content-Type: image/png\r\ncontent-disposition: inline; filename=\"a b.png\"\r\n\
            \r\nbytes\r\n--b c--\r\nthe end";
        let read = read(&answer(
            "Multipart/Mixed; charset=x; boundary=\"b c\"",
            body,
        ));
        assert_eq!(read.unwrap(), file(b"bytes"));
    }

    /// LIMIT-19: exactly two parts, each with its end.
    #[test]
    fn limit_19_an_answer_of_another_shape_is_nonsense() {
        let multipart = "multipart/mixed; boundary=b";
        for (content_type, body) in [
            ("image/png", &b"bytes"[..]),
            ("multipart/mixed", b"--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--"),
            (multipart, b""),
            (multipart, b"--b"),
            (multipart, b"--b--"),
            (multipart, b"--b\r\n\r\n{}\r\n--b--"),
            (multipart, b"--b\r\n\r\n{}\r\n--b\r\n\r\nx"),
            (multipart, b"--b\r\n\r\n{}\r\n--b\r\nno header\r\n--b--"),
            (
                multipart,
                b"--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
            ),
        ] {
            assert!(read(&answer(content_type, body)).is_err(), "{body:?}");
        }
    }
}
