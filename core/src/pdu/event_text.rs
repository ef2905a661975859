//! The text of an event, and where in it stands what the rules speak of.
//!
//! An event is scanned once, when it comes in. From then on it is its canonical text, and whoever
//! hashes, signs or redacts it copies pieces of that text.

use std::{borrow::Cow, iter, ops::Range};

use super::{
    canonical_json::{self, JsonError, Numbers, Object, Scanner, object_to_canonical_string},
    format::{self, FormatError, MAX_EVENT_BYTES, NamedMax},
    room_version::RoomVersion,
};

/// The top-level keys of events that any rule of any room version speaks of, in the order of
/// canonical JSON; but `unsigned`, which follows all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the keys are documented by the specification")]
pub enum Field {
    AuthEvents,
    Content,
    Depth,
    EventId,
    Hashes,
    Membership,
    Origin,
    OriginServerTs,
    PrevEvents,
    PrevState,
    Redacts,
    RoomId,
    Sender,
    Signatures,
    StateKey,
    Type,
}

/// The top-level key that is no part of an event.
const UNSIGNED: &str = "unsigned";

/// The canonical JSON of an event without `unsigned`, at most [`MAX_EVENT_BYTES`] long. Where it has
/// `auth_events`, `prev_events`, `hashes` and `signatures`, they are in the format of its room
/// version.
#[derive(Clone, Debug)]
pub struct EventText {
    json: Box<str>,
    found: Found,
}

/// What the scan of an event finds.
#[derive(Clone, Debug, Default)]
struct Found {
    values: [Span; Field::COUNT],
    escaped: Fields,
    claimed_hash: Option<[u8; 32]>,
}

/// Some of the fields, one bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Fields(u16);

/// Where a value stands. No value is empty, so an empty span means that there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    length: u16,
}

/// Where a field stands in the text.
pub(super) struct Place {
    /// Its key and its value, without commas around them.
    pub entry: Range<usize>,
    /// Its value.
    pub value: Range<usize>,
}

/// The scan of an event.
#[derive(Default)]
struct Scan {
    is_canonical: bool,
    found: Found,
    /// The value of `unsigned`.
    unsigned: Option<Range<usize>>,
}

impl Field {
    const COUNT: usize = 16;

    /// The key.
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthEvents => "auth_events",
            Self::Content => "content",
            Self::Depth => "depth",
            Self::EventId => "event_id",
            Self::Hashes => "hashes",
            Self::Membership => "membership",
            Self::Origin => "origin",
            Self::OriginServerTs => "origin_server_ts",
            Self::PrevEvents => "prev_events",
            Self::PrevState => "prev_state",
            Self::Redacts => "redacts",
            Self::RoomId => "room_id",
            Self::Sender => "sender",
            Self::Signatures => "signatures",
            Self::StateKey => "state_key",
            Self::Type => "type",
        }
    }

    fn of(key: &str) -> Option<Self> {
        Some(match key {
            "auth_events" => Self::AuthEvents,
            "content" => Self::Content,
            "depth" => Self::Depth,
            "event_id" => Self::EventId,
            "hashes" => Self::Hashes,
            "membership" => Self::Membership,
            "origin" => Self::Origin,
            "origin_server_ts" => Self::OriginServerTs,
            "prev_events" => Self::PrevEvents,
            "prev_state" => Self::PrevState,
            "redacts" => Self::Redacts,
            "room_id" => Self::RoomId,
            "sender" => Self::Sender,
            "signatures" => Self::Signatures,
            "state_key" => Self::StateKey,
            "type" => Self::Type,
            _ => return None,
        })
    }
}

impl EventText {
    /// Reads the JSON of an event, canonical or not.
    pub fn parse(json: &[u8], version: RoomVersion, max: NamedMax) -> Result<Self, FormatError> {
        let json = canonical_json::as_text(json)?;
        // What is wrong with a text that is not canonical shows once it is: what it repeats is not
        // looked at.
        if let Ok(scan) = Scan::of(json, version, max)
            && scan.is_canonical
        {
            return Self::without_unsigned(json, scan);
        }
        let json = canonical_json::rewrite(json, numbers(version))?;
        let scan = Scan::of(&json, version, max)?;
        Self::without_unsigned(&json, scan)
    }

    /// The text of an event that is an object already.
    pub fn from_object(event: &Object, version: RoomVersion) -> Result<Self, FormatError> {
        let json = object_to_canonical_string(event, &[]);
        Self::parse(json.as_bytes(), version, NamedMax::TODAY)
    }

    /// The same of text that was made of the pieces of another event's text.
    pub(super) fn of_canonical(json: String, version: RoomVersion) -> Self {
        let scan = Scan::of(&json, version, NamedMax::ANY);
        Self {
            found: scan.unwrap_or_default().found,
            json: json.into(),
        }
    }

    fn without_unsigned(json: &str, scan: Scan) -> Result<Self, FormatError> {
        let json: Box<str> = match scan.unsigned {
            Some(value) => {
                let entry = entry_of(UNSIGNED, value);
                pieces_between::<1, 2>(json, [entry]).concat().into()
            }
            None => json.into(),
        };
        if json.len() > MAX_EVENT_BYTES {
            return Err(FormatError::TooLarge(json.len()));
        }
        // Before the end of so short a text every place is below 2^16, and what stands after
        // `unsigned` in canonical JSON is no field.
        let found = scan.found;
        Ok(Self { json, found })
    }

    /// The whole text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Whether the event has a field.
    pub fn has(&self, field: Field) -> bool {
        !self.span(field).is_empty()
    }

    /// The text of a field's value.
    pub fn get(&self, field: Field) -> Option<&str> {
        let value = self.json.get(self.span(field))?;
        (!value.is_empty()).then_some(value)
    }

    /// The string that a field holds, if it holds one.
    pub fn string(&self, field: Field) -> Option<Cow<'_, str>> {
        match self.has_escapes(field) {
            true => canonical_json::text(self.get(field)?),
            false => self.plain_string(field).map(Cow::Borrowed),
        }
    }

    /// The string that a field holds, as it is written: for strings without escapes.
    pub(super) fn plain_string(&self, field: Field) -> Option<&str> {
        self.get(field)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// Whether a string in the value of a field is written with escapes.
    pub(super) fn has_escapes(&self, field: Field) -> bool {
        self.found.escaped.contains(field)
    }

    /// The content hash that the event claims to have, if it is as long as one.
    pub(super) fn claimed_hash(&self) -> Option<[u8; 32]> {
        self.found.claimed_hash
    }

    /// The text without `hashes` and `signatures`, in pieces.
    pub fn without_hashes_and_signatures(&self) -> [&str; 3] {
        let entry = |field| {
            self.place(field)
                .map(|place| place.entry)
                .unwrap_or_default()
        };
        pieces_between(&self.json, [Field::Hashes, Field::Signatures].map(entry))
    }

    /// Where a field stands, if it is there.
    pub(super) fn place(&self, field: Field) -> Option<Place> {
        let value = self.span(field);
        (!value.is_empty()).then(|| Place {
            entry: entry_of(field.name(), value.clone()),
            value,
        })
    }

    /// The text with another value for a field that it has.
    pub(super) fn with(&self, field: Field, value: &str) -> String {
        let span = self.span(field);
        let before = self.json.get(..span.start).unwrap_or_default();
        let after = self.json.get(span.end..).unwrap_or_default();
        [before, value, after].concat()
    }

    fn span(&self, field: Field) -> Range<usize> {
        let span = self.found.values.get(field as usize).copied();
        let Span { start, length } = span.unwrap_or_default();
        usize::from(start)..usize::from(start) + usize::from(length)
    }
}

impl Scan {
    fn of(json: &str, version: RoomVersion, max: NamedMax) -> Result<Self, FormatError> {
        let mut scanner = Scanner::new(json, numbers(version));
        if scanner.peek() != Some(b'{') {
            return Err(JsonError::NotAnObject.into());
        }
        let mut scan = Self::default();
        scanner.object(|scanner, key| scan.read_entry(scanner, key, version, max))?;
        scan.is_canonical = scanner.finish()?;
        Ok(scan)
    }

    /// Reads the value at this key.
    fn read_entry(
        &mut self,
        scanner: &mut Scanner<'_>,
        key: &str,
        version: RoomVersion,
        max: NamedMax,
    ) -> Result<(), FormatError> {
        let field = Field::of(key);
        let start = scanner.position();
        scanner.take_escapes();
        match field {
            Some(field @ Field::AuthEvents) => {
                format::read_event_ids(scanner, field, max.auth_events, version)?;
            }
            Some(field @ Field::PrevEvents) => {
                format::read_event_ids(scanner, field, max.prev_events, version)?;
            }
            Some(Field::Hashes) => self.found.claimed_hash = format::read_hashes(scanner)?,
            Some(Field::Signatures) => format::read_signatures(scanner)?,
            _ => scanner.skip()?,
        }
        let end = scanner.position();
        if let Some(field) = field {
            self.found.add(field, start..end, scanner.take_escapes());
        } else if key == UNSIGNED {
            self.unsigned = Some(start..end);
        }
        Ok(())
    }
}

impl Found {
    fn add(&mut self, field: Field, place: Range<usize>, has_escapes: bool) {
        if let Some(value) = self.values.get_mut(field as usize) {
            *value = Span::of(place);
        }
        self.escaped.0 |= u16::from(has_escapes) << field as u16;
    }
}

impl Fields {
    fn contains(self, field: Field) -> bool {
        self.0 >> field as u16 & 1 == 1
    }
}

impl Span {
    /// Of a place that is too far behind, nothing.
    fn of(place: Range<usize>) -> Self {
        let span = || {
            let start = u16::try_from(place.start).ok()?;
            let length = u16::try_from(place.len()).ok()?;
            Some(Self { start, length })
        };
        span().unwrap_or_default()
    }
}

/// What is left of the text of an object without some of its entries, given in ascending order.
fn pieces_between<const CUTS: usize, const PIECES: usize>(
    json: &str,
    entries: [Range<usize>; CUTS],
) -> [&str; PIECES] {
    let mut pieces = [""; PIECES];
    let mut at = 0;
    let cuts = entries.into_iter().map(|entry| with_comma(json, entry));
    for (piece, cut) in pieces
        .iter_mut()
        .zip(cuts.chain(iter::once(json.len()..json.len())))
    {
        *piece = json.get(at..cut.start.max(at)).unwrap_or_default();
        at = cut.end.max(at);
    }
    pieces
}

/// The entry with this key and this value in canonical text, without commas around it.
fn entry_of(key: &str, value: Range<usize>) -> Range<usize> {
    value.start - key.len() - r#""":"#.len()..value.end
}

/// The entry and the comma that separates it from another one.
fn with_comma(json: &str, entry: Range<usize>) -> Range<usize> {
    let is_comma = |at: usize| json.as_bytes().get(at) == Some(&b',');
    let before = entry.start.checked_sub(1).filter(|at| is_comma(*at));
    match before {
        Some(comma) => comma..entry.end,
        None => entry.start..entry.end + usize::from(is_comma(entry.end)),
    }
}

fn numbers(version: RoomVersion) -> Numbers {
    match version.rules().strict_numbers {
        true => Numbers::Strict,
        false => Numbers::Any,
    }
}
