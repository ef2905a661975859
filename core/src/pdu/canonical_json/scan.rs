//! The grammar of JSON, and what distinguishes canonical text from other text.

use std::{borrow::Cow, cmp::Ordering, mem};

use wide::u8x16;

use super::{JsonError, MAX_DEPTH, Numbers, number, read::unescaped};

/// Walks over one JSON value, from its first byte to its last.
///
/// Every method reads one thing at the present place and stands behind it afterwards.
#[derive(Clone, Debug)]
pub(in crate::pdu) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    numbers: Numbers,
    depth_left: usize,
    canonical: bool,
    escapes: bool,
    /// Where the bytes end that were looked at together for the ends of strings.
    block_end: usize,
    /// Which of them a string cannot hold as they are, from the lowest bit on.
    special: u64,
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
            escapes: false,
            block_end: 0,
            special: 0,
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

    /// Whether a string was written with escapes since the last time this was asked.
    pub(in crate::pdu) fn take_escapes(&mut self) -> bool {
        mem::take(&mut self.escapes)
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

    /// Reads an object; `value` has to read the value of each key, and gets the key as it is written.
    pub(in crate::pdu) fn object<E: From<JsonError>>(
        &mut self,
        mut value: impl FnMut(&mut Self, &'a str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'{')?;
        if self.leave(b'}') {
            return Ok(());
        }
        let mut last: Option<&str> = None;
        loop {
            let start = self.at;
            let has_escapes = self.skip_string()?;
            let key = self.between_quotes(start);
            self.canonical &= !has_escapes && last.is_none_or(|last| is_before(last, key));
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
    pub(in crate::pdu) fn array<E: From<JsonError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
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

    /// Reads a string, as it is written between its quotes.
    pub(in crate::pdu) fn string(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.skip_string()?;
        Ok(self.between_quotes(start))
    }

    /// Reads the characters of a string.
    pub(in crate::pdu) fn characters(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        let has_escapes = self.skip_string()?;
        let raw = self.between_quotes(start);
        Ok(match has_escapes {
            true => unescaped(raw),
            false => Cow::Borrowed(raw),
        })
    }

    /// The string that was passed over since this position.
    fn between_quotes(&self, start: usize) -> &'a str {
        let end = self.at.saturating_sub(1);
        self.text.get(start + 1..end).unwrap_or_default()
    }

    /// Passes over a string; says whether it has escapes.
    fn skip_string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        self.plain_characters();
        if self.take(b'"') {
            return Ok(false);
        }
        self.rest_with_escapes().map(|()| true)
    }

    /// Passes over what is left of a string that goes on with an escape.
    #[cold]
    fn rest_with_escapes(&mut self) -> Result<(), JsonError> {
        self.escapes = true;
        while !self.take(b'"') {
            self.escape()?;
            self.plain_characters();
        }
        Ok(())
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
        if self.peek() != Some(byte) {
            return false;
        }
        self.at += 1;
        true
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
        while !self.reach_special() && self.at < self.text.len() {
            self.look_ahead();
        }
    }

    /// Goes to the next special byte of the block; without one, to the end of the block.
    fn reach_special(&mut self) -> bool {
        let ahead = self.block_end.saturating_sub(self.at);
        let special = self.special.unbounded_shr((BLOCK - ahead) as u32);
        if special == 0 {
            self.at += ahead;
            return false;
        }
        self.at += special.trailing_zeros() as usize;
        true
    }

    /// Looks at the block that begins here, or at the last one.
    #[inline(never)]
    fn look_ahead(&mut self) {
        let last = self.text.len().saturating_sub(BLOCK);
        let start = self.at.min(last);
        let bytes = self.text.as_bytes().get(start..);
        self.special = special_bytes(bytes.unwrap_or_default());
        self.block_end = start + BLOCK;
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.expect(b'\\')?;
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

/// By code point, of strings without escapes. Most keys differ in their first byte.
fn is_before(key: &str, other: &str) -> bool {
    match key.bytes().next().cmp(&other.bytes().next()) {
        Ordering::Equal => key < other,
        order => order.is_lt(),
    }
}

/// How many bytes are looked at together: one for each bit of a word.
const BLOCK: usize = 64;

/// Which of the first bytes no string can hold as they are, from the lowest bit on. What is missing
/// to a whole block counts as such.
fn special_bytes(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(block) => special_bytes_of(block),
        None => {
            let mut block = [0; BLOCK];
            block
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
            special_bytes_of(&block)
        }
    }
}

fn special_bytes_of(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks();
    let join = |bits: u64, part: &[u8; 16]| bits << 16 | u64::from(special_bytes_of_part(*part));
    parts.iter().rev().fold(0, join)
}

/// With instructions for all bytes at once, which every processor of today has.
fn special_bytes_of_part(part: [u8; 16]) -> u32 {
    let [last_control, quote, backslash] = [0x1f, b'"', b'\\'].map(u8x16::splat);
    let bytes = u8x16::new(part);
    let is_control = bytes.min(last_control).simd_eq(bytes);
    (is_control | bytes.simd_eq(quote) | bytes.simd_eq(backslash)).to_bitmask()
}
