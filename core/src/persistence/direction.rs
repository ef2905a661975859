//! The two ways through time.

use serde::{Deserialize, Serialize};

/// Which way to walk a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// From newer to older events.
    Backward,
    /// From older to newer events.
    Forward,
}

impl Direction {
    /// As `dir` names it in the client-server and server-server APIs.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::Backward => "b",
            Self::Forward => "f",
        }
    }

    /// Reads `dir`.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "b" => Some(Self::Backward),
            "f" => Some(Self::Forward),
            _ => None,
        }
    }
}
