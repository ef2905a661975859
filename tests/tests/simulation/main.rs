//! Made-up networks of servers under made-up trouble: whatever users do and whatever breaks, every
//! promise is kept. More of the same: `cargo run --release -p comity-tests -- simulate`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod lies;
mod shrinking;

use std::{num::NonZero, thread};

use comity_tests::simulation::{Plan, campaign, run_and_tell};

/// How many seeds are always tried.
const SEEDS: u64 = 100;

#[test]
fn whatever_breaks_every_promise_is_kept() {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut failed = Vec::new();
    campaign::run_seeds(0..SEEDS, threads, |(seed, outcome)| {
        if let Err(violation) = outcome {
            let next = seed + 1;
            failed.push(format!(
                "{violation}\ncargo run --release -p comity-tests -- simulate --seeds {seed}..{next}"
            ));
        }
        true
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_same_plan_gives_the_same_run() {
    for seed in [1, 7] {
        let plan = Plan::draw(seed);
        assert_eq!(plan, Plan::draw(seed));
        assert_eq!(run_and_tell(&plan, true), run_and_tell(&plan, true));
    }
}
