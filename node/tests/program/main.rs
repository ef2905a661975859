//! The program as its users see it: processes, files, sockets and signals.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod certificates;
mod conversation;
mod demo;
mod devices;
mod directories;
mod explain;
mod media;
mod node;
mod operating;
mod passwords;
mod refusals;
mod replaying;
mod restart;
