//! The `gzip` content coding (RFC 1952, RFC 9110 section 8.4), within bounds.
//!
//! What is unpacked may be no larger than the message's limit, nor so much larger than what came
//! that only a bomb explains it.

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};

/// How many times as large as its packed form a body may be. JSON reaches a tenth of it.
const RATIO_MAX: usize = 200;

/// Smaller bodies are not packed, and of the others only JSON: media are packed already.
const PACKED_FROM: usize = 1024;

/// Fast; JSON becomes a fifth or less all the same.
const LEVEL: u8 = 1;

/// The magic number, and the method: deflate.
const START: [u8; 3] = [0x1f, 0x8b, 8];

/// Bytes before the optional fields, and after the packed data.
const HEAD_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;

const HAS_CHECKSUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// A coding that is neither `gzip` nor `identity`, or several.
    #[error("unsupported Content-Encoding")]
    Unsupported,
    /// No gzip, or damaged.
    #[error("malformed gzip")]
    Malformed,
    /// Unpacked, the body would be larger than allowed.
    #[error("the unpacked body is too large")]
    TooLarge,
}

/// A body without its content coding, whose header is removed.
pub(super) fn unpack(
    headers: &mut HeaderMap,
    body: Bytes,
    bytes_max: usize,
) -> Result<Bytes, CodingError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Ok(body),
        (Some(coding), None) => coding.as_bytes(),
        (Some(_), Some(_)) => return Err(CodingError::Unsupported),
    };
    if coding.eq_ignore_ascii_case(b"identity") || body.is_empty() {
        return Ok(body);
    }
    if !coding.eq_ignore_ascii_case(b"gzip") && !coding.eq_ignore_ascii_case(b"x-gzip") {
        return Err(CodingError::Unsupported);
    }
    let unpacked = inflate(&body, bytes_max)?;
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(unpacked.into())
}

/// A response whose body is packed, if that is worth it and was not done before.
pub(super) fn pack(response: &Response<Bytes>) -> Option<Response<Bytes>> {
    let body = response.body();
    let headers = response.headers();
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    let is_text = headers.get(CONTENT_TYPE).is_none_or(is_json);
    if body.len() < PACKED_FROM || !is_text || headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let mut packed = BytesMut::from(START.as_slice());
    packed.put_slice(&[0, 0, 0, 0, 0, 0, 255]);
    packed.put_slice(&compress_to_vec(body, LEVEL));
    packed.put_u32_le(checksum(body));
    packed.put_u32_le(length(body));
    let mut response = response.clone();
    *response.body_mut() = packed.freeze();
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    Some(response)
}

/// Whether a request's headers say that its answer may be packed.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.into_iter().any(|coding| {
        let mut parts = coding.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let refused = |weight: &[u8]| {
            let weight = weight.strip_prefix(b"q=");
            weight.is_some_and(|weight| weight.iter().all(|byte| b"0.".contains(byte)))
        };
        name.eq_ignore_ascii_case(b"gzip") && !parts.any(refused)
    })
}

fn inflate(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CodingError> {
    let data = skip_head(bytes).ok_or(CodingError::Malformed)?;
    let end = data.len().checked_sub(TRAILER_BYTES);
    let (data, trailer) = end
        .and_then(|end| data.split_at_checked(end))
        .ok_or(CodingError::Malformed)?;
    let most = bytes_max.min(bytes.len().saturating_mul(RATIO_MAX));
    let unpacked = decompress_to_vec_with_limit(data, most).map_err(|error| {
        match error.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput {
            true => CodingError::TooLarge,
            false => CodingError::Malformed,
        }
    })?;
    let expected = [checksum(&unpacked), length(&unpacked)].map(u32::to_le_bytes);
    match trailer == expected.concat() {
        true => Ok(unpacked),
        false => Err(CodingError::Malformed),
    }
}

/// What follows a gzip head; `None` if it is none.
fn skip_head(bytes: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let flags = *head.strip_prefix(&START)?.first()?;
    if flags & 0xe0 != 0 {
        return None;
    }
    if flags & HAS_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    match flags & HAS_CHECKSUM {
        0 => Some(rest),
        _ => rest.get(2..),
    }
}

/// The length as the trailer has it: its lower 32 bits.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// CRC-32 (RFC 1952, section 8).
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let index = usize::from((sum & 0xff) as u8 ^ byte);
        (sum >> 8) ^ REMAINDERS.get(index).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// The remainder of each byte.
const REMAINDERS: [u32; 256] = {
    let mut remainders = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = match remainder & 1 {
                0 => remainder >> 1,
                _ => (remainder >> 1) ^ 0xedb8_8320,
            };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "at compile time")]
        {
            remainders[byte] = remainder;
        }
        byte += 1;
    }
    remainders
};

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn packed(body: &[u8]) -> Bytes {
        let response = pack(&Response::new(Bytes::copy_from_slice(body))).unwrap();
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        response.into_body()
    }

    /// What becomes of a body with this header.
    fn unpacked(coding: &str, body: &[u8]) -> Result<Bytes, CodingError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        unpack(&mut headers, Bytes::copy_from_slice(body), MAX)
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for body in [
            vec![b'a'; 2000],
            (0..9000).map(|n| (n % 251) as u8).collect(),
        ] {
            let packed = packed(&body);
            assert!(packed.len() < body.len());
            assert_eq!(unpacked("gzip", &packed).unwrap(), body);
        }
        assert!(pack(&Response::new(Bytes::from_static(b"short"))).is_none());
    }

    /// As `gzip -n` of GNU wrote it, and with every optional field.
    #[test]
    fn the_gzip_of_others_is_read() {
        let deflated = [0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let trailer = [0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0];
        let plain = [
            &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..],
            &deflated,
            &trailer,
        ]
        .concat();
        assert_eq!(unpacked("GZIP", &plain).unwrap(), "hello");
        let fields = b"\x02\0xyname\0comment\0cc";
        let all = [
            &[0x1f, 0x8b, 8, 30, 0, 0, 0, 0, 0, 3][..],
            fields,
            &deflated,
            &trailer,
        ];
        assert_eq!(unpacked("x-gzip", &all.concat()).unwrap(), "hello");
        for cut in 0..plain.len() {
            assert_eq!(unpacked("gzip", &plain[..cut]).is_ok(), cut == 0);
        }
        let damaged = plain
            .iter()
            .enumerate()
            .filter(|(place, _)| ![4, 5, 6, 7, 8, 9].contains(place));
        for (place, byte) in damaged {
            let mut bytes = plain.clone();
            bytes[place] = byte ^ 0x41;
            assert!(unpacked("gzip", &bytes).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        assert_eq!(
            unpacked("gzip", &packed(&vec![0; MAX])),
            Err(CodingError::TooLarge)
        );
        let dense: Vec<u8> = (0..MAX as u32 + 1)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        assert_eq!(
            unpacked("gzip", &packed(&dense)),
            Err(CodingError::TooLarge)
        );
    }

    #[test]
    fn other_codings_are_refused_and_none_is_taken_as_it_is() {
        assert_eq!(unpacked("identity", b"x").unwrap(), "x");
        for coding in ["br", "gzip, gzip", "deflate", ""] {
            assert_eq!(
                unpacked(coding, b"x"),
                Err(CodingError::Unsupported),
                "{coding}"
            );
        }
    }

    #[test]
    fn gzip_is_offered_to_who_accepts_it() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZip ; q=1", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0", false),
            ("br", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(is_accepted(&headers), accepted, "{value}");
        }
    }
}
