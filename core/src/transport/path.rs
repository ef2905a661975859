//! Percent-encoding of path segments (RFC 3986).
//!
//! Identifiers stand in paths: room ids with `!` and `:`, event ids of room version 3 with `/`
//! and `+`. Each is encoded once by whoever sends it and decoded once by whoever receives it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Segments of the longest path that is taken apart; no Matrix path comes near.
pub const SEGMENTS_MAX: usize = 32;

/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path that cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not start with `/`.
    #[error("the path does not start with a slash")]
    Relative,
    /// A `%` without two hexadecimal digits after it.
    #[error("malformed percent-encoding in the path")]
    Escape,
    /// A segment decodes to something that is no UTF-8.
    #[error("the path is not UTF-8")]
    Utf8,
    /// More than [`SEGMENTS_MAX`] segments.
    #[error("the path has too many segments")]
    TooManySegments,
}

/// `text` as one segment of a path: all but letters, digits and `-._~` encoded.
pub fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The decoded segments of a path without its query; `/a//b/` has the segments `a`, ``, `b`, ``.
///
/// Errors when an encoding is malformed or does not give UTF-8.
pub fn split_path(path: &str) -> Result<Vec<String>, BadPath> {
    let segments = path.strip_prefix('/').ok_or(BadPath::Relative)?;
    if segments.split('/').count() > SEGMENTS_MAX {
        return Err(BadPath::TooManySegments);
    }
    segments.split('/').map(decode).collect()
}

fn decode(segment: &str) -> Result<String, BadPath> {
    let mut pieces = segment.as_bytes().split(|byte| *byte == b'%');
    let mut decoded = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(BadPath::Escape)?;
        decoded.push(hex_byte(digits).ok_or(BadPath::Escape)?);
        decoded.extend_from_slice(rest);
    }
    String::from_utf8(decoded).map_err(|_| BadPath::Utf8)
}

/// The byte that hexadecimal digits spell. The parser alone would let `+f` pass.
fn hex_byte(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gen_9_identifiers_with_slashes_and_plus_signs_are_encoded() {
        assert_eq!(path_segment("$a/b+c="), "%24a%2Fb%2Bc%3D");
        assert_eq!(path_segment("!room:a.example"), "%21room%3Aa.example");
        assert_eq!(path_segment("é"), "%C3%A9");
    }

    #[test]
    fn segments_are_decoded_once_and_empty_ones_kept() {
        assert_eq!(
            split_path("/a/%2525/%2Fb//").unwrap(),
            ["a", "%25", "/b", "", ""]
        );
        assert_eq!(split_path("/+").unwrap(), ["+"]);
        assert_eq!(split_path("/").unwrap(), [""]);
    }

    #[test]
    fn malformed_paths_are_refused() {
        let table = [
            ("", BadPath::Relative),
            ("a/b", BadPath::Relative),
            ("/%", BadPath::Escape),
            ("/%4", BadPath::Escape),
            ("/%4/1", BadPath::Escape),
            ("/%+f", BadPath::Escape),
            ("/%zz", BadPath::Escape),
            ("/%ff", BadPath::Utf8),
            ("/%é", BadPath::Escape),
        ];
        for (path, error) in table {
            assert_eq!(split_path(path), Err(error), "{path:?}");
        }
        assert_eq!(
            split_path(&"/".repeat(SEGMENTS_MAX + 1)),
            Err(BadPath::TooManySegments)
        );
    }

    proptest! {
        #[test]
        fn gen_9_what_is_encoded_decodes_to_itself(text in any::<String>()) {
            let path = format!("/{}", path_segment(&text));
            prop_assert_eq!(split_path(&path).unwrap(), vec![text]);
        }
    }
}
