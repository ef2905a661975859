//! Drives `comity-core` on plain threads: a [`Server`] federates, a [`Handle`] talks to it.
//!
//! - One thread owns the core. It waits for the next input or deadline and never for anything
//!   else: sockets, the database, signature checks and the application's callbacks have threads
//!   of their own.
//! - Each connection from another server has a thread; so has each request of ours that is under
//!   way. Both kinds are bounded by [`ServerConfig`].
//! - No rule of the protocol is decided here.
//!
//! The examples show a whole embedding program; `comity-smol` offers the same without threads.

mod call;
mod effects;
mod handle;
pub mod http;
mod name;
mod server;
mod thread_pool;
mod timed_stream;

pub use comity_runtime::{
    Certificate, CertificateError, ConnectionLimits, Lagged, METRICS_TYPE, NoNotice, Resolver,
    ServerConfig, StartError,
    recording::{self, RecordingConfig},
    tls,
};
pub use handle::{Handle, NoticeStream};
pub use server::Server;

/// The README's example, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
