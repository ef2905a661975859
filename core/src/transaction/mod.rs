//! The transaction layer: batches of events between two servers.
//!
//! **Contract.** Incoming ([`incoming`]): a repeated transaction gets the stored response, byte
//! for byte, and nothing above hears of it. Outgoing ([`outgoing`]): events that are queued for a
//! server reach it in order, however often it or we fail, until it has answered 200. And for
//! servers that know of it ([`after`]): everything that came after a position, page by page.
//!
//! **Invariants.** One transaction is in flight per destination; a retry keeps its id and body
//! (TXN-3). Nothing is sent before it is on disk, nothing leaves the queue before it was
//! acknowledged. Memory per destination is bounded: the rest of its queue waits on disk.

pub mod after;
pub mod backoff;
pub mod inbox;
pub mod incoming;
pub mod outgoing;
pub mod staging;
