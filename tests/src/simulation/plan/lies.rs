//! What hostile servers do, as data.
//!
//! A hostile server is a whole one, whose users do as users do; only that someone has its key, and
//! hands at its wires.

use std::{fmt, time::Duration};

use super::{Slot, show};

/// What a hostile server does. A new one is a variant here or of [`Ruse`] or [`Corruption`], a
/// line in `weave`, and its carrying out in `hostile`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// Pushes something into a room: to one server, or to all that are in it.
    Push(Slot, Ruse, Option<u8>),
    /// Corrupts its next answer to a request that has this in its target.
    Answer(&'static str, Corruption),
}

/// What a hostile server pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruse {
    /// An event without signatures.
    Unsigned,
    /// An event with a wrong signature.
    WrongSignature,
    /// An event that is signed, now, with a key that was retired long ago.
    RetiredKey,
    /// An event in the name of another server's user.
    Impersonation,
    /// An event whose content was altered after it was signed.
    AlteredContent,
    /// An event that is signed together with a wrong hash.
    WrongHash,
    /// An event whose auth events lack what allows it, though the state before it does.
    LacksAuthorisation,
    /// An event whose auth events are of another room.
    ForeignAuthorisation,
    /// An event whose auth events are nowhere to be had.
    UnknownAuthorisation,
    /// An event that its auth events allow and the state before it does not.
    DeniedByState,
    /// A state event that nothing allows.
    Denied,
    /// The same, and an event that builds on it.
    BuiltOnDenied,
    /// So many events that all build on the same.
    Fork(u8),
    /// A different event to every server, in the same place.
    Equivocation,
    /// Two events that build on each other, where servers choose ids.
    Circle,
    /// Two events with one id, where servers choose ids.
    SameId,
    /// An event of absurd depth.
    Depth(u64),
    /// An event that builds on one that is nowhere to be had.
    Orphan,
    /// The last of so many events; the others are told when asked for.
    Chain(u8),
    /// An event that builds on one of another room.
    ForeignPast,
    /// An event that builds on an old one.
    OldBranch,
    /// An event so many seconds from now.
    WrongTime(i64),
    /// What is no event at all.
    Malformed,
    /// Ephemeral messages in the name of others, and such that mean nothing.
    FalseEdus,
    /// More events than a transaction may hold.
    TooMany,
    /// The last transaction once more.
    Replay,
    /// Another transaction under the id of the last.
    ReusedId,
    /// So many requests of every kind at once.
    Flood(u16),
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// It is an error with this status.
    Refused(u16),
    /// It is no JSON.
    Garbage,
    /// It is an empty object.
    Hollow,
    /// Lists are numbers, and objects are strings.
    WrongTypes,
    /// Events in it are altered.
    Altered,
    /// Events in it have no signatures.
    Unsigned,
    /// Events of another room are added.
    Foreign,
    /// Half of every list is missing.
    Shortened,
    /// It is too large.
    Oversized,
    /// It never ends.
    Endless,
    /// It comes so many seconds late.
    Late(u16),
    /// The keys in it are no longer valid.
    Expired,
    /// The keys in it are others.
    Rotated,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(room, ruse, to) => {
                write!(f, "pushes into room {room}, ")?;
                match to {
                    Some(index) => write!(f, "to {} alone", show::server(*index))?,
                    None => write!(f, "to all")?,
                }
                write!(f, ": {ruse}")
            }
            Self::Answer(target, corruption) => write!(
                f,
                "will answer the next request for {target} wrongly: {corruption}"
            ),
        }
    }
}

impl fmt::Display for Ruse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Fork(width) => return write!(f, "a fork of {width} branches"),
            Self::Depth(depth) => return write!(f, "an event of depth {depth}"),
            Self::Chain(length) => return write!(f, "the last of {length} events"),
            Self::Flood(count) => return write!(f, "{count} requests of every kind at once"),
            Self::WrongTime(seconds) => return write!(f, "an event {seconds} s from now"),
            Self::Unsigned => "an event without signatures",
            Self::WrongSignature => "an event with a wrong signature",
            Self::RetiredKey => "an event signed with a retired key",
            Self::Impersonation => "an event in another server's name",
            Self::AlteredContent => "an event altered after it was signed",
            Self::WrongHash => "an event with a wrong hash",
            Self::LacksAuthorisation => "an event that its auth events do not allow",
            Self::ForeignAuthorisation => "an event with auth events of another room",
            Self::UnknownAuthorisation => "an event with auth events that nobody has",
            Self::DeniedByState => "an event that the state before it does not allow",
            Self::Denied => "an event that nothing allows",
            Self::BuiltOnDenied => "an event that nothing allows, and one that builds on it",
            Self::Equivocation => "another event to each",
            Self::Circle => "two events that build on each other",
            Self::SameId => "two events with one id",
            Self::Orphan => "an event that builds on what nobody has",
            Self::ForeignPast => "an event that builds on one of another room",
            Self::OldBranch => "an event that builds on an old one",
            Self::Malformed => "what is no event",
            Self::FalseEdus => "ephemeral messages in the name of others",
            Self::TooMany => "more events than may be",
            Self::Replay => "the last transaction once more",
            Self::ReusedId => "another transaction under the id of the last",
        };
        f.write_str(words)
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Refused(status) => return write!(f, "status {status}"),
            Self::Late(seconds) => {
                let late = show::Words(Duration::from_secs(u64::from(*seconds)));
                return write!(f, "{late} late");
            }
            Self::Garbage => "no JSON",
            Self::Hollow => "an empty object",
            Self::WrongTypes => "values of other types",
            Self::Altered => "altered events",
            Self::Unsigned => "events without signatures",
            Self::Foreign => "events of another room besides",
            Self::Shortened => "half of it",
            Self::Oversized => "too much",
            Self::Endless => "without an end",
            Self::Expired => "keys that have expired",
            Self::Rotated => "other keys",
        };
        f.write_str(words)
    }
}
