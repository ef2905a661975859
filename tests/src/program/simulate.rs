//! `comity-tests simulate`: many worlds, and what became of them.

use std::{fs, num::NonZero, ops::Range, path::PathBuf, process::ExitCode, thread, time::Instant};

use clap::Args;
use comity_tests::simulation::{Counts, Plan, Report, Violation, campaign, run_and_tell};
use indicatif::{ProgressBar, ProgressStyle};

use super::mutants;

/// How many of the rarest branches are named.
const RAREST: usize = 15;

/// Runs whole networks of servers under made-up trouble and checks every promise.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The seeds, from the first up to but not including the last.
    #[arg(long, value_parser = seeds, default_value = "0..1000")]
    seeds: Range<u64>,
    /// How many threads to use; as many as there are processors if not given.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Stop after so many failing seeds.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Write down what happens in the run of a single or the first failing seed, line by line.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Try deliberate bugs instead, from a copy of the sources: see `tests/mutants/README.md`.
    #[arg(long)]
    mutants: bool,
    /// Try only the deliberate bugs whose names contain this.
    #[arg(long, requires = "mutants", default_value = "")]
    only: String,
    /// Show the plan of the first seed and end.
    #[arg(long)]
    plan: bool,
}

/// Reads `17..18`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").ok_or("write them as 0..1000")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    let seeds = number(bounds.0)?..number(bounds.1)?;
    match seeds.is_empty() {
        true => Err("there are none between them".to_owned()),
        false => Ok(seeds),
    }
}

impl Simulate {
    /// Runs the seeds and says how they went.
    pub fn run(self) -> ExitCode {
        if self.mutants {
            return mutants::run(self.seeds.end, &self.only);
        }
        if self.plan {
            print!("{}", Plan::draw(self.seeds.start));
            return ExitCode::SUCCESS;
        }
        let threads = self.threads.or(thread::available_parallelism().ok());
        let progress = ProgressBar::new(self.seeds.end - self.seeds.start);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds, {eta} left")
        {
            progress.set_style(style);
        }
        let (mut total, mut failed) = (Report::default(), Vec::new());
        let begun = Instant::now();
        campaign::without_panic_messages(|| {
            let threads = threads.map_or(1, NonZero::get);
            campaign::run_seeds(self.seeds.clone(), threads, |(seed, outcome)| {
                progress.inc(1);
                match outcome {
                    Ok(report) => total += &report,
                    Err(violation) => failed.push((seed, violation)),
                }
                failed.len() < self.failures
            });
        });
        progress.finish_and_clear();
        summarise(&total, begun);
        failed.sort_by_key(|(seed, _)| *seed);
        for (seed, violation) in &failed {
            complain(*seed, violation);
        }
        let told = match failed.first() {
            Some((seed, _)) => *seed,
            None => self.seeds.start,
        };
        if let Some(path) = &self.trace {
            trace(told, path);
        }
        match failed.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

fn summarise(total: &Report, begun: Instant) {
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
    list("Lies", &total.lies);
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

fn complain(seed: u64, violation: &Violation) {
    println!("\nseed {seed} breaks a promise: {violation}");
    println!(
        "cargo run --release -p comity-tests -- simulate --seeds {seed}..{}",
        seed + 1
    );
}

fn trace(seed: u64, path: &PathBuf) {
    let (_, tale) = campaign::without_panic_messages(|| run_and_tell(&Plan::draw(seed), true));
    match fs::write(path, tale.join("\n") + "\n") {
        Ok(()) => println!("what happened in seed {seed} is in {}", path.display()),
        Err(error) => println!("cannot write {}: {error}", path.display()),
    }
}
