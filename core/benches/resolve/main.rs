//! State resolution beside ruma-state-res: the same rooms, in one process, on one thread.
//!
//! `cargo bench -p comity-core --bench resolve` prints, for each case, the time of one resolution
//! (the middle one of many), how many allocations it makes, and how they compare; first, what a
//! loaded room takes in memory. Parts of names choose what is run: `-- keys`, `-- memory`. Ruma's resolution
//! is given the auth chains of the states and the conflicted subgraph ready-made; ours finds what it
//! needs of them itself. Both must come to the same state.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on fails"
)]

mod memory;
mod room;
mod ruma;
#[path = "../../tests/pdu/ruma_event.rs"]
mod ruma_event;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use comity_core::pdu::{RoomVersion, resolution::resolve};

use crate::{
    room::{Case, long_conflict, small_conflict, wide_conflict},
    ruma::{RumaCase, as_ruma},
};

fn main() {
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if wanted.iter().all(|part| "memory".contains(part)) {
        memory::print(50_000);
    }
    println!(
        "{:<50} {:>11} {:>11} {:>8} {:>7} {:>10} {:>10}",
        "one resolution", "ours", "ruma", "ratio", "bar", "ours", "ruma"
    );
    let compare = |name: String, bar: &str, version, case: &dyn Fn(RoomVersion) -> Case| {
        let name = format!("version {version}: {name}");
        if wanted.iter().all(|part| name.contains(part)) {
            compare(&name, bar, &case(version));
        }
    };
    for version in [RoomVersion::V11, RoomVersion::V12] {
        for (members, bar) in [(100, ""), (1_000, ""), (10_000, "20"), (50_000, "150")] {
            let name = format!("41 events, {members} members");
            compare(name, bar, version, &|version| {
                small_conflict(version, members)
            });
        }
        let wide = |version| wide_conflict(version, 10_000, 3_500);
        compare("3,500 keys, 10,000 members".to_owned(), "5", version, &wide);
        for length in [250, 500, 1_000, 2_000, 4_000] {
            let name = format!("{length} power levels and renames");
            compare(name, "linear", version, &|version| {
                long_conflict(version, length)
            });
        }
    }
}

fn compare(name: &str, bar: &str, case: &Case) {
    let theirs = RumaCase::new(case);
    let resolved = resolve(case.version, &case.states, case).unwrap();
    assert_eq!(
        as_ruma(&resolved),
        theirs.resolve(theirs.chains()),
        "{name}"
    );

    let our_time = middle(|| (), |()| resolve(case.version, &case.states, case));
    let their_time = middle(|| theirs.chains(), |chains| theirs.resolve(chains));
    let chains = theirs.chains();
    let their_count = measure(|| drop(theirs.resolve(chains))).count_total;
    let our_count = measure(|| drop(resolve(case.version, &case.states, case))).count_total;
    println!(
        "{name:<50} {:>11} {:>11} {:>8.1} {bar:>7} {our_count:>10} {their_count:>10}",
        milliseconds(our_time),
        milliseconds(their_time),
        their_time.as_secs_f64() / our_time.as_secs_f64(),
    );
}

/// The time that the middle one of many runs took.
fn middle<I, O>(prepare: impl Fn() -> I, run: impl Fn(I) -> O) -> Duration {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (times.len() < 1_000 && started.elapsed() < Duration::from_millis(500))
    {
        let input = prepare();
        let start = Instant::now();
        let output = run(black_box(input));
        times.push(start.elapsed());
        drop(black_box(output));
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
