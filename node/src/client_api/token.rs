//! The tokens of `sync` and `messages`: places in the order of events.
//!
//! A token stands behind one position and before the next, so what one request gave up to a token
//! the next one continues after it, in either direction, without gap or repetition.

use std::{fmt, str::FromStr};

use comity_core::{persistence::tables::Position, transport::matrix_error::MatrixError};

use super::errors::invalid;

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
            .strip_prefix('s')
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
