//! Drives `comity-core` on smol: a [`Server`] federates, a [`Handle`] talks to it.
//!
//! - One task owns the core. It waits for the next input or deadline and never for anything else.
//! - Each connection from another server is a task; so is each request of ours that is under way.
//!   Both kinds are bounded by [`ServerConfig`].
//! - What would block (the database, signature checks, name lookups, the application's answers)
//!   runs on the store's thread or on smol's pool for blocking work.
//! - Tasks run on smol's global executor and end with the server.
//! - No rule of the protocol is decided here.
//!
//! The examples show a whole embedding program; `comity-sync` offers the same with plain threads.

mod call;
mod deadline;
mod effects;
mod handle;
mod listener;
mod server;
mod task_group;

pub use comity_runtime::{
    Certificate, CertificateError, ConnectionLimits, Lagged, METRICS_TYPE, Resolver, ServerConfig,
    StartError,
    recording::{self, RecordingConfig},
    tls,
};
pub use handle::{Handle, NoticeStream};
pub use server::Server;
