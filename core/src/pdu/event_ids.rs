//! The events that an event names, read from its text.

use std::fmt;

use ruma_common::{EventId, OwnedEventId};
use wide::u8x16;

use super::canonical_json::{Items, text};

/// A list of event ids in the text of an event. To read it takes no allocation.
#[derive(Clone, Copy)]
pub struct EventIds<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    /// An array of ids, or of arrays that begin with an id; no id has escapes.
    Written(&'a str),
    Unescaped(&'a [OwnedEventId]),
}

/// The ids of a list, in its order.
pub struct Iter<'a>(Texts<'a>);

/// The same as plain texts, which is cheaper.
pub(super) enum Texts<'a> {
    /// What is left of an array of strings without escapes.
    Strings(&'a str),
    /// Arrays that begin with such a string.
    Pairs(Items<'a>),
    Unescaped(std::slice::Iter<'a, OwnedEventId>),
}

impl<'a> EventIds<'a> {
    /// The list in this text, which was found to hold event ids.
    pub(super) fn written(list: &'a str) -> Self {
        Self(Form::Written(list))
    }

    /// A list of which some id has escapes in the text.
    pub(super) fn unescaped(list: &'a [OwnedEventId]) -> Self {
        Self(Form::Unescaped(list))
    }

    /// The ids, in the order of the list.
    pub fn iter(self) -> Iter<'a> {
        Iter(self.texts())
    }

    /// The ids as texts, in the order of the list.
    pub(super) fn texts(self) -> Texts<'a> {
        match self.0 {
            Form::Written(list) if list.starts_with("[[") => Texts::Pairs(Items::of(list)),
            Form::Written(list) => Texts::Strings(list),
            Form::Unescaped(list) => Texts::Unescaped(list.iter()),
        }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.texts().count()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.texts().next().is_none()
    }

    /// Whether this id is among them.
    pub fn contains(self, event_id: &EventId) -> bool {
        self.texts().any(|named| named == event_id)
    }

    /// Owned copies of the ids.
    pub fn to_vec(self) -> Vec<OwnedEventId> {
        self.iter().map(ToOwned::to_owned).collect()
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a EventId;

    fn next(&mut self) -> Option<&'a EventId> {
        self.0.next()?.try_into().ok()
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::Strings(rest) => {
                // Behind a bracket or a comma, and a quote.
                let (id, behind) = split_at_quote(rest.get(2..)?)?;
                *rest = behind;
                Some(id)
            }
            Self::Pairs(items) => unquoted(id_in(items.next()?)?),
            Self::Unescaped(ids) => ids.next().map(|id| id.as_str()),
        }
    }
}

/// The JSON string that names the event in an item of a list: the item itself, or the first item of
/// a pair with a hash.
pub(super) fn id_in(item: &str) -> Option<&str> {
    match item.starts_with('[') {
        true => Items::of(item).next(),
        false => Some(item),
    }
}

/// The ids of a list, whatever escapes they have.
pub(super) fn unescaped(list: &str) -> Box<[OwnedEventId]> {
    let ids = Items::of(list).filter_map(|item| text(id_in(item)?));
    ids.filter_map(|id| OwnedEventId::try_from(&*id).ok())
        .collect()
}

/// What stands before the first quote, and what behind it: as `split_once`, but for the ids of most
/// room versions, which are 44 bytes long, several times as fast.
fn split_at_quote(text: &str) -> Option<(&str, &str)> {
    let (blocks, rest) = text.as_bytes().as_chunks();
    let quotes = |block: &[u8; 16]| u8x16::new(*block).simd_eq(u8x16::splat(b'"')).to_bitmask();
    let in_blocks = blocks.iter().enumerate().find_map(|(number, block)| {
        let quotes = quotes(block);
        (quotes != 0).then(|| 16 * number + quotes.trailing_zeros() as usize)
    });
    let in_rest = || Some(text.len() - rest.len() + rest.iter().position(|byte| *byte == b'"')?);
    let quote = in_blocks.or_else(in_rest)?;
    Some((text.get(..quote)?, text.get(quote + 1..)?))
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

impl<'a> IntoIterator for EventIds<'a> {
    type Item = &'a EventId;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<T: AsRef<str>, const COUNT: usize> PartialEq<[T; COUNT]> for EventIds<'_> {
    fn eq(&self, other: &[T; COUNT]) -> bool {
        let ids = self.iter().map(EventId::as_str);
        ids.eq(other.iter().map(AsRef::as_ref))
    }
}

impl fmt::Debug for EventIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
