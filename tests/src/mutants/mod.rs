//! Deliberate bugs, to see whether the simulator finds them.
//!
//! Each is a text that occurs once in the sources and what stands there instead; `tests/mutants`
//! lists them. They are built into a copy of the sources, all at once, each behind a switch, so
//! that one build serves them all and the sources themselves know nothing of it.
//!
//! | file | holds |
//! |---|---|
//! | `list` | reading the list |
//! | `switch` | building bugs into a source file |
//! | `scratch` | the copy: made, built, run |

mod list;
mod scratch;
mod switch;

pub use list::{Mutant, list};
pub use scratch::{Found, Scratch};
pub use switch::built_in;

use std::path::{Path, PathBuf};

/// Why the bugs cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a folder cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// A list is no TOML, or not of this shape.
    #[error("{0}: {1}")]
    List(PathBuf, #[source] Box<toml::de::Error>),
    /// The text of a bug does not occur exactly once.
    #[error("the text of {name} occurs {count} times in {file}")]
    Rotten {
        /// The bug.
        name: String,
        /// Where its text should be.
        file: String,
        /// How often it is there.
        count: usize,
    },
    /// Two bugs change the same text.
    #[error("{0} and {1} change the same text")]
    Overlap(String, String),
    /// A program failed that is needed.
    #[error("{0} failed: {1}")]
    Program(&'static str, String),
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
