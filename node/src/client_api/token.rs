//! The tokens of `sync` and `messages`: places in the order of events.
//!
//! A token stands behind one position and before the next, so what one request gave up to a token
//! the next one continues after it, in either direction, without gap or repetition.

use std::{fmt, str::FromStr};

use comity_core::{persistence::tables::Position, transport::matrix_error::MatrixError};

use super::errors::invalid;

/// Where an answer of `sync` ends: in the order of events, and in all other orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncToken {
    pub(super) token: Token,
    pub(super) marks: Marks,
}

/// How much has happened of what is no event, each counted for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Changes of users' devices.
    pub(super) devices: i64,
    /// Messages to devices.
    pub(super) messages: i64,
    /// Receipts.
    pub(super) receipts: i64,
    /// What is true for a moment, since the start.
    pub(super) moments: u64,
    /// Changes of account data.
    pub(super) account_data: i64,
}

impl SyncToken {
    /// Reads a token that a client may have given.
    pub(super) fn parse(text: Option<&str>) -> Result<Option<Self>, MatrixError> {
        text.map(str::parse).transpose()
    }
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Marks {
            devices,
            messages,
            receipts,
            moments,
            account_data,
        } = self.marks;
        write!(
            f,
            "{}_{devices}_{messages}_{receipts}_{moments}_{account_data}",
            self.token
        )
    }
}

impl FromStr for SyncToken {
    type Err = MatrixError;

    /// A token of old, or of `messages`, counts nothing but events.
    fn from_str(text: &str) -> Result<Self, MatrixError> {
        let unknown = || invalid(format!("{text:?} is no token of this server"));
        let mut counts = text.split('_').skip(1);
        let mut next = || counts.next().unwrap_or("0").parse().map_err(|_| unknown());
        let marks = Marks {
            devices: next()?,
            messages: next()?,
            receipts: next()?,
            moments: u64::try_from(next()?).map_err(|_| unknown())?,
            account_data: next()?,
        };
        let token = text.parse()?;
        Ok(Self { token, marks })
    }
}

/// The place right behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token(pub(super) Position);

impl Token {
    /// The place right before an event.
    pub(super) fn before(position: Position) -> Self {
        Self(Position(position.0.saturating_sub(1)))
    }

    /// The first position behind this place.
    pub(super) fn next_position(self) -> Position {
        Position(self.0.0.saturating_add(1))
    }

    /// Reads a token that a client may have given.
    pub(super) fn parse(text: Option<&str>) -> Result<Option<Self>, MatrixError> {
        text.map(str::parse).transpose()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0.0)
    }
}

impl FromStr for Token {
    type Err = MatrixError;

    fn from_str(text: &str) -> Result<Self, MatrixError> {
        let number = text
            .split('_')
            .next()
            .and_then(|token| token.strip_prefix('s'))
            .and_then(|number| number.parse().ok());
        let unknown = || invalid(format!("{text:?} is no token of this server"));
        number
            .map(|number| Self(Position(number)))
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sync_gives_is_understood_by_sync_and_by_messages() {
        let marks = Marks {
            devices: 1,
            messages: 2,
            receipts: 3,
            moments: 4,
            account_data: 6,
        };
        let token = Token(Position(5));
        let given = SyncToken { token, marks }.to_string();
        assert_eq!(
            given.parse::<SyncToken>().unwrap(),
            SyncToken { token, marks }
        );
        assert_eq!(given.parse::<Token>().unwrap(), token);
        let old: SyncToken = "s5".parse().unwrap();
        assert_eq!((old.token, old.marks), (token, Marks::default()));
        assert!("s5_x".parse::<SyncToken>().is_err());
    }

    #[test]
    fn tokens_survive_being_written() {
        for position in [i64::MIN, -7, 0, 12] {
            let token = Token(Position(position));
            assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        }
        for text in ["", "s", "12", "s1.5", "t12"] {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }
}
