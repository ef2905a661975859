//! The bodies of the fuzz targets: everything that a stranger's bytes reach before anybody has
//! vouched for them.
//!
//! **Contract.** A body takes any bytes, in bounded time and memory. It panics only when the code
//! under test breaks a promise that its documentation makes; bytes that are refused are no failure.
//!
//! They live here, and not in `fuzz/`, so that every change of the code compiles them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a body panics when what it tests breaks a promise"
)]

mod actors;
mod authorisation;
mod discovery;
mod engine;
mod events;
mod http;
mod http_beside_hyper;
mod names;
mod pdu;
mod resolution;
mod server;

pub use authorisation::authorise;
pub use discovery::{dns, well_known};
pub use engine::{requests, responses, transaction};
pub use http::{http_client, http_server};
pub use http_beside_hyper::http_beside_hyper;
pub use names::{router, x_matrix};
pub use pdu::{canonical_json, pdu_from_bytes};
pub use resolution::resolve_states;

/// A body: what a fuzz target calls.
pub type Body = fn(&[u8]);

/// Every body by the name of its target and of its corpus.
pub const BODIES: &[(&str, Body)] = &[
    ("authorise", authorise),
    ("canonical_json", canonical_json),
    ("dns", dns),
    ("http_beside_hyper", http_beside_hyper),
    ("http_client", http_client),
    ("http_server", http_server),
    ("pdu_from_bytes", pdu_from_bytes),
    ("requests", requests),
    ("resolve_states", resolve_states),
    ("responses", responses),
    ("router", router),
    ("transaction", transaction),
    ("well_known", well_known),
    ("x_matrix", x_matrix),
];
