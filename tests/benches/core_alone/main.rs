//! How many events the core takes in by itself: transactions of another server, from the request to
//! the notice of each event, in one thread, with a store in plain memory and no network.
//!
//! `cargo bench -p comity-tests --bench core_alone` prints, for few rooms and many, what one event
//! costs in the core and in that store, and how the core's rate compares with that of doing
//! nothing but verifying signatures, which is measured in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on fails"
)]

mod server;
mod stage;

use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::stage::{Stage, transactions};

/// How many events are taken in.
const EVENTS: usize = 20_000;

/// How many of them come with one request.
const AT_ONCE: usize = 50;

/// A signed message's length, about.
const SIGNED_BYTES: usize = 500;

fn main() {
    let raw = raw_verification();
    println!(
        "verifying one signature: {} µs (dalek, strict)",
        micros(raw)
    );
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>22}",
        "rooms", "core, µs", "store, µs", "events/s", "of raw verification"
    );
    for rooms in [1, 10, 100, 1_000, 10_000] {
        let mut stage = Stage::with_rooms(rooms);
        let requests = transactions(&stage, EVENTS, AT_ONCE);
        let before = stage.server.time_in_store;
        let begun = Instant::now();
        for request in requests {
            let answer = stage.server.request(request);
            assert!(answer.status().is_success(), "{answer:?}");
        }
        let (all, in_store) = (begun.elapsed(), stage.server.time_in_store - before);
        assert_eq!(stage.server.messages, EVENTS, "every event is told of");
        let core = each(all - in_store);
        println!(
            "{rooms:>8} {:>12} {:>12} {:>12.0} {:>21.0}%",
            micros(core),
            micros(each(in_store)),
            1.0 / core.as_secs_f64(),
            100.0 * raw.as_secs_f64() / core.as_secs_f64(),
        );
    }
}

fn each(all: Duration) -> Duration {
    all / u32::try_from(EVENTS).unwrap()
}

fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

/// How long a library takes over one signature that it knows nothing of beforehand.
fn raw_verification() -> Duration {
    const TIMES: u32 = 2_000;
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = [b'm'; SIGNED_BYTES];
    let signature = key.sign(&message);
    let public = key.verifying_key().to_bytes();
    let begun = Instant::now();
    for _ in 0..TIMES {
        let key = VerifyingKey::from_bytes(&public).unwrap();
        key.verify_strict(&message, &signature).unwrap();
    }
    begun.elapsed() / TIMES
}
