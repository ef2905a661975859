//! Binary values in JSON: base64 without padding (appendices, "Unpadded Base64").

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Writes no padding; reads with or without it, and ignores unused bits of the last character:
/// two encodings are equal when they decode to the same bytes.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Encodes with the standard alphabet: keys, signatures and hashes.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Encodes with the URL-safe alphabet: event ids, and room ids made of them.
pub fn encode_url_safe(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// Decodes the standard alphabet; `None` if the text is not base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Decodes the standard alphabet into so many bytes, at most 64, as signatures, hashes and keys are;
/// `None` if the text is not the base64 of exactly these.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode_unpadded(text.as_bytes()).or_else(|| {
        // The decoder wants room for whole groups of three bytes.
        let mut buffer = [0; 66];
        let length = STANDARD.decode_slice(text, &mut buffer).ok()?;
        buffer.get(..length)?.try_into().ok()
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What each byte stands for as a character of the standard alphabet; a negative number if for
/// nothing.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const DIGITS: [i8; 256] = {
    let (mut digits, mut digit) = ([NO_DIGIT; 256], 0);
    while digit < 64 {
        digits[ALPHABET[digit] as usize] = digit as i8;
        digit += 1;
    }
    digits
};
const NO_DIGIT: i8 = -1;

/// The same of text that has no padding, as nearly all has: several times faster than the decoder
/// for any text.
fn decode_unpadded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (8 * N).div_ceil(6) {
        return None;
    }
    let mut bytes = [0; N];
    let (groups, last_group) = bytes.as_chunks_mut();
    let (quads, last_quad) = text.as_chunks();
    let mut any_word = 0;
    for (group, quad) in groups.iter_mut().zip(quads) {
        let word = word(*quad);
        any_word |= word;
        *group = bytes_of(word);
    }
    let mut filled_up = [b'A'; 4];
    filled_up
        .iter_mut()
        .zip(last_quad)
        .for_each(|(to, from)| *to = *from);
    let word = word(filled_up);
    any_word |= word;
    last_group
        .iter_mut()
        .zip(bytes_of(word))
        .for_each(|(to, from)| *to = from);
    (any_word >= 0).then_some(bytes)
}

/// The number of 24 bits that four digits make; a negative one if some are none.
fn word(quad: [u8; 4]) -> i32 {
    let digit = |byte: u8| DIGITS.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT);
    let [first, second, third, fourth] = quad.map(|byte| i32::from(digit(byte)));
    first << 18 | second << 12 | third << 6 | fourth
}

fn bytes_of(word: i32) -> [u8; 3] {
    let [_, first, second, third] = word.to_be_bytes();
    [first, second, third]
}

/// A SHA-256 hash behind a sigil, with the standard alphabet or the URL-safe one.
pub fn name_of_hash(sigil: u8, hash: &[u8; 32], is_url_safe: bool) -> [u8; 44] {
    let mut name = [sigil; 44];
    let alphabet = if is_url_safe { &URL_SAFE } else { &STANDARD };
    let room = name.split_first_mut().map(|(_, room)| room);
    // 32 bytes take 43 characters, which is the room there is.
    let _ = alphabet.encode_slice(hash, room.unwrap_or_default());
    name
}

/// Decodes either alphabet, for the keys of third-party invites and policy servers, which come in
/// both (appendices, "Binary data").
pub fn decode_either_alphabet(text: &str) -> Option<Vec<u8>> {
    decode(text).or_else(|| URL_SAFE.decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID-9
    #[test]
    fn id_9_padding_and_unused_bits_do_not_matter() {
        assert_eq!(encode(&[0xfb, 0xef]), "++8");
        assert_eq!(encode_url_safe(&[0xfb, 0xef]), "--8");
        for text in ["++8", "++8=", "++9"] {
            assert_eq!(decode(text).as_deref(), Some(&[0xfb, 0xef][..]), "{text}");
        }
        assert_eq!(decode("--8"), None);
        assert_eq!(decode_exact("++9"), Some([0xfb, 0xef]));
        assert_eq!(decode_exact::<3>("++9"), None);
        for bytes in [63, 64, 65, 66, 67] {
            let decoded = decode_exact::<64>(&encode(&vec![7; bytes]));
            assert_eq!(decoded, (bytes == 64).then_some([7; 64]), "{bytes}");
        }
        let text = encode(&[7; 32]);
        for index in 0..text.len() {
            for byte in ["A", "/", "-", "=", " ", "\0", "\u{7f}"] {
                let (before, after) = (&text[..index], &text[index + 1..]);
                let text = [before, byte, after].concat();
                let decoded = decode(&text).and_then(|bytes| bytes.try_into().ok());
                assert_eq!(decode_exact::<32>(&text), decoded, "{text}");
            }
        }
        assert_eq!(
            decode_either_alphabet("--8").as_deref(),
            Some(&[0xfb, 0xef][..])
        );
    }
}
