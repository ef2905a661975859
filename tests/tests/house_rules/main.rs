//! What this repository promises of its own sources and no compiler checks.
//!
//! | file | promise |
//! |---|---|
//! | `purity.rs` | the core's sources reach for no clock, chance, thread, file, socket or `async` |
//! | `dependencies.rs` | nothing that the core depends on does it for them |
//! | `named_tests.rs` | the tests that documents name exist |
//! | `tidiness.rs` | files and functions stay short, documented and finished |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dependencies;
mod named_tests;
mod purity;
mod source;
mod tidiness;
