//! What many runs came to, on a screen.

use std::time::Instant;

use comity_tests::simulation::{Counts, Report};

/// How many of the rarest branches are named.
const RAREST: usize = 15;

/// Says how much happened, and how fast.
pub(super) fn print(total: &Report, begun: Instant) {
    let days = total.server_time.as_secs_f64() / 86_400.0;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{:.1} days passed, {days:.0} server-days, {:.0} a minute; {} events stored, {} requests",
        total.time.as_secs_f64() / 86_400.0,
        days / minutes,
        total.events,
        total.requests,
    );
    list("Deeds", &total.deeds);
    list("Faults", &total.faults);
    list("Events when their server crashed", &total.interrupted);
    list("Lies", &total.lies);
    list(
        "Soft-failed here and accepted elsewhere",
        &total.soft_failures,
    );
    list("Rooms on honest servers in them", &total.exempt);
    let mut branches: Vec<_> = total.branches.iter().collect();
    branches.sort_by_key(|(_, count)| **count);
    println!("The rarest of {} branches:", branches.len());
    for (name, count) in branches.into_iter().take(RAREST) {
        println!("  {count:>8} {name}");
    }
}

fn list(title: &str, counts: &Counts) {
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("{title}: {}", counts.join(", "));
}
