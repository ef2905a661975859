//! What every runtime of `comity-core` needs, whatever it waits with: the configuration, TLS, the
//! clocks, and the [`Driver`] that owns the core.
//!
//! A runtime adds how to wait. It has one inbox of [`Message`]s, gives each to the driver, wakes
//! it at its deadline, and begins what the driver asks of its [`Effects`]. `comity-sync` does that
//! with threads and `comity-smol` with tasks; both re-export what their users need from here.

mod clock;
mod config;
mod driver;
mod incoming;
mod metrics;
mod open_sockets;
pub mod outgoing;
pub mod recording;
mod resolver;
pub mod tls;

pub use clock::Clock;
pub use config::{Certificate, CertificateError, ConnectionLimits, ServerConfig, StartError};
pub use driver::{
    COMMANDS_MAX, Driver, Effects, Lagged, Message, NOTICES_MAX, NoNotice, QuestionHandler, State,
    StopReason, Subscriber, Waiter, unavailable,
};
pub use incoming::{Incoming, LINGER, READ_BYTES, Step};
pub use metrics::CONTENT_TYPE as METRICS_TYPE;
pub use open_sockets::{OpenSockets, Place};
pub use resolver::Resolver;
