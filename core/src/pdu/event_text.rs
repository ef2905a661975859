//! The text of an event, and where in it stands what the rules speak of.
//!
//! An event is scanned once, when it comes in. From then on it is its canonical text, and whoever
//! hashes, signs or redacts it copies pieces of that text.

use std::{borrow::Cow, iter, ops::Range};

use super::{
    canonical_json::{self, JsonError, Numbers, Object, Scanner, object_to_canonical_string},
    format::{FormatError, MAX_EVENT_BYTES},
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

/// The canonical JSON of an event without `unsigned`, at most [`MAX_EVENT_BYTES`] long.
#[derive(Clone, Debug)]
pub struct EventText {
    json: Box<str>,
    values: [Span; Field::COUNT],
}

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

/// What the scan of an event finds.
struct Scan {
    is_canonical: bool,
    values: [Span; Field::COUNT],
    /// The whole entry `unsigned`, but for commas.
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
    pub fn parse(json: &[u8], version: RoomVersion) -> Result<Self, FormatError> {
        let numbers = match version.rules().strict_numbers {
            true => Numbers::Strict,
            false => Numbers::Any,
        };
        let json = canonical_json::as_text(json)?;
        let scan = Scan::of(json, numbers)?;
        if scan.is_canonical {
            return Self::without_unsigned(json, scan);
        }
        let json = canonical_json::rewrite(json, numbers)?;
        let scan = Scan::of(&json, numbers)?;
        Self::without_unsigned(&json, scan)
    }

    /// The text of an event that is an object already.
    pub fn from_object(event: &Object, version: RoomVersion) -> Result<Self, FormatError> {
        Self::parse(object_to_canonical_string(event, &[]).as_bytes(), version)
    }

    /// The same of text that was made of the pieces of another event's text.
    pub(super) fn of_canonical(json: String) -> Self {
        let scan = Scan::of(&json, Numbers::Any);
        Self {
            values: scan.map(|scan| scan.values).unwrap_or_default(),
            json: json.into(),
        }
    }

    fn without_unsigned(json: &str, scan: Scan) -> Result<Self, FormatError> {
        let json: Box<str> = match scan.unsigned {
            Some(entry) => pieces_between::<1, 2>(json, [entry]).concat().into(),
            None => json.into(),
        };
        if json.len() > MAX_EVENT_BYTES {
            return Err(FormatError::TooLarge(json.len()));
        }
        // Before the end of so short a text every place is below 2^16, and what stands after
        // `unsigned` in canonical JSON is no field.
        let values = scan.values;
        Ok(Self { json, values })
    }

    /// The whole text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The text of a field's value.
    pub fn get(&self, field: Field) -> Option<&str> {
        let value = self.json.get(self.span(field))?;
        (!value.is_empty()).then_some(value)
    }

    /// The string that a field holds, if it holds one.
    pub fn string(&self, field: Field) -> Option<Cow<'_, str>> {
        canonical_json::text(self.get(field)?)
    }

    /// The string that a field holds, as it is written: for strings without escapes.
    pub(super) fn plain_string(&self, field: Field) -> Option<&str> {
        self.get(field)?.strip_prefix('"')?.strip_suffix('"')
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
        let key = field.name().len() + r#""":"#.len();
        (!value.is_empty()).then(|| Place {
            entry: value.start - key..value.end,
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
        let span = self.values.get(field as usize).copied();
        let Span { start, length } = span.unwrap_or_default();
        usize::from(start)..usize::from(start) + usize::from(length)
    }
}

impl Scan {
    fn of(json: &str, numbers: Numbers) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(json, numbers);
        if scanner.peek() != Some(b'{') {
            return Err(JsonError::NotAnObject);
        }
        let (mut values, mut unsigned) = ([Span::default(); Field::COUNT], None);
        scanner.object(|scanner, key| {
            let start = scanner.position();
            scanner.skip()?;
            let end = scanner.position();
            if key.raw == "unsigned" {
                unsigned = Some(key.start..end);
            } else if let Some(value) = Field::of(key.raw).and_then(|f| values.get_mut(f as usize))
            {
                *value = Span::of(start..end);
            }
            Ok(())
        })?;
        let is_canonical = scanner.finish()?;
        Ok(Self {
            is_canonical,
            values,
            unsigned,
        })
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

/// The entry and the comma that separates it from another one.
fn with_comma(json: &str, entry: Range<usize>) -> Range<usize> {
    let is_comma = |at: usize| json.as_bytes().get(at) == Some(&b',');
    let before = entry.start.checked_sub(1).filter(|at| is_comma(*at));
    match before {
        Some(comma) => comma..entry.end,
        None => entry.start..entry.end + usize::from(is_comma(entry.end)),
    }
}
