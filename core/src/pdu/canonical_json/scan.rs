//! The grammar of JSON, and what distinguishes canonical text from other text.

use std::{borrow::Cow, cmp::Ordering};

use super::{JsonError, MAX_DEPTH, Numbers, number};

/// Walks over one JSON value, from its first byte to its last.
///
/// Every method reads one thing at the present place and stands behind it afterwards.
pub(in crate::pdu) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    numbers: Numbers,
    depth_left: usize,
    canonical: bool,
}

/// A string as it is written, without its quotes.
#[derive(Clone, Copy)]
pub(in crate::pdu) struct Text<'a> {
    /// What stands between the quotes.
    pub raw: &'a str,
    /// Where the opening quote stands.
    pub start: usize,
    has_escapes: bool,
}

impl<'a> Scanner<'a> {
    /// Stands before the value, behind white space.
    pub(in crate::pdu) fn new(text: &'a str, numbers: Numbers) -> Self {
        let mut scanner = Self {
            text,
            at: 0,
            numbers,
            depth_left: MAX_DEPTH,
            canonical: true,
        };
        scanner.white_space();
        scanner
    }

    /// Where the next thing stands.
    pub(in crate::pdu) fn position(&self) -> usize {
        self.at
    }

    /// What was walked over since this position.
    pub(in crate::pdu) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Ends the walk. Says whether the whole text is certainly canonical: text with escapes in keys
    /// may be canonical without being recognised.
    pub(in crate::pdu) fn finish(mut self) -> Result<bool, JsonError> {
        self.white_space();
        match self.peek() {
            None => Ok(self.canonical),
            Some(_) => Err(self.syntax_error()),
        }
    }

    /// Passes over a value.
    pub(in crate::pdu) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.skip_string().map(drop),
            Some(b'{') => self.object(|scanner, _| scanner.skip()),
            Some(b'[') => self.array(Self::skip),
            _ => self.scalar().map(drop),
        }
    }

    /// Reads an object; `value` has to read the value of each key.
    pub(in crate::pdu) fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, Text<'a>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'{')?;
        if self.leave(b'}') {
            return Ok(());
        }
        let mut last: Option<Text<'a>> = None;
        loop {
            let key = self.string()?;
            self.canonical &= !key.has_escapes && last.is_none_or(|last| last.is_before(&key));
            last = Some(key);
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            value(self, key)?;
            if self.leave(b'}') {
                return Ok(());
            }
            self.separator()?;
        }
    }

    /// Reads an array; `item` has to read each of its items.
    pub(in crate::pdu) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'[')?;
        if self.leave(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.leave(b']') {
                return Ok(());
            }
            self.separator()?;
        }
    }

    /// Reads a number, `true`, `false` or `null`, as it is written.
    pub(in crate::pdu) fn scalar(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        match self.peek() {
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => self.number()?,
        }
        Ok(self.since(start))
    }

    /// Reads a string.
    pub(in crate::pdu) fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let start = self.at;
        let has_escapes = self.skip_string()?;
        let end = self.at.saturating_sub(1);
        Ok(Text {
            raw: self.text.get(start + 1..end).unwrap_or_default(),
            start,
            has_escapes,
        })
    }

    /// Passes over a string; says whether it has escapes.
    fn skip_string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        let mut has_escapes = false;
        loop {
            self.plain_characters();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax_error()),
            }
            has_escapes = true;
        }
        self.at += 1;
        Ok(has_escapes)
    }

    /// The next byte.
    pub(in crate::pdu) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
            self.canonical = false;
        }
    }

    fn syntax_error(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(self.syntax_error()),
        }
    }

    fn enter(&mut self, opening: u8) -> Result<(), JsonError> {
        self.expect(opening)?;
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?;
        self.white_space();
        Ok(())
    }

    /// Whether the object or array ends here.
    fn leave(&mut self, closing: u8) -> bool {
        self.white_space();
        let ends = self.take(closing);
        self.depth_left += usize::from(ends);
        ends
    }

    fn separator(&mut self) -> Result<(), JsonError> {
        self.expect(b',')?;
        self.white_space();
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.syntax_error());
        }
        self.at += literal.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let is_integer = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if !is_integer && self.numbers == Numbers::Strict {
            return Err(JsonError::NotAnInteger(start));
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let raw = self.since(start);
        if !number::is_in_range(raw, is_integer, self.numbers) {
            return Err(JsonError::OutOfRange(start));
        }
        self.canonical &= number::is_canonical(raw, is_integer);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.syntax_error()),
        }
    }

    /// Passes over what a string may hold as it is.
    fn plain_characters(&mut self) {
        let rest = self.text.as_bytes().get(self.at..);
        self.at += plain_length(rest.unwrap_or_default());
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'/') => {
                self.at += 1;
                self.canonical = false;
            }
            Some(b'u') => self.unicode_escape()?,
            _ => return Err(self.syntax_error()),
        }
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let unit = self.utf_16_unit()?;
        match unit {
            0xd800..0xdc00 => {
                self.expect(b'\\')?;
                if !matches!(self.utf_16_unit()?, 0xdc00..0xe000) {
                    return Err(self.syntax_error());
                }
            }
            0xdc00..0xe000 => return Err(self.syntax_error()),
            _ => {}
        }
        let is_lower = !self.since(start).bytes().any(|b| b.is_ascii_uppercase());
        let has_short_form = matches!(unit, 0x8 | 0x9 | 0xa | 0xc | 0xd);
        self.canonical &= unit < 0x20 && !has_short_form && is_lower;
        Ok(())
    }

    /// Reads the `uXXXX` of an escape.
    fn utf_16_unit(&mut self) -> Result<u32, JsonError> {
        self.expect(b'u')?;
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.ok_or_else(|| self.syntax_error())?;
        let unit = digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        });
        let unit = unit.ok_or_else(|| self.syntax_error())?;
        self.at += 4;
        Ok(unit)
    }
}

impl<'a> Text<'a> {
    /// By code point, of strings without escapes. Most keys differ in their first byte.
    fn is_before(&self, other: &Self) -> bool {
        let first = |text: &Self| text.raw.as_bytes().first().copied();
        match first(self).cmp(&first(other)) {
            Ordering::Equal => self.raw < other.raw,
            order => order.is_lt(),
        }
    }

    /// The characters that were meant.
    pub(in crate::pdu) fn unescaped(self) -> Cow<'a, str> {
        if self.has_escapes {
            Cow::Owned(super::read::unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// How many bytes at the beginning a string can hold as they are: looks at eight of them at a time,
/// and behind the first eight, as most of a long string is plain, at 32.
fn plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut is_long = true;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*eight));
        if special != 0 {
            return bytes.len() - rest.len() + special.trailing_zeros() as usize / 8;
        }
        rest = after;
        while is_long {
            match rest.split_first_chunk() {
                Some((block, after)) if is_plain(block) => rest = after,
                _ => is_long = false,
            }
        }
    }
    let tail = rest.iter().take_while(|byte| !is_special(**byte));
    bytes.len() - rest.len() + tail.count()
}

/// Without a branch for each eight bytes, so that they are looked at together.
fn is_plain(block: &[u8; 32]) -> bool {
    let (words, _) = block.as_chunks();
    let special = |found, word: &[u8; 8]| found | special_bytes(u64::from_le_bytes(*word));
    words.iter().fold(0, special) == 0
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Sets the highest bit of the first byte that a string cannot hold as it is, and maybe of bytes
/// after that one.
fn special_bytes(eight: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let zero_bytes = |bytes: u64| bytes.wrapping_sub(LOW) & !bytes;
    let quotes = zero_bytes(eight ^ (LOW * u64::from(b'"')));
    let backslashes = zero_bytes(eight ^ (LOW * u64::from(b'\\')));
    let controls = eight.wrapping_sub(LOW * u64::from(b' ')) & !eight;
    (quotes | backslashes | controls) & HIGH
}
