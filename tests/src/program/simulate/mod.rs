//! `comity-tests simulate`: many worlds, and what became of them.

mod failure;
mod summary;

use std::{num::NonZero, ops::Range, path::PathBuf, process::ExitCode, thread, time::Instant};

use clap::Args;
use comity_tests::simulation::{Part, Report, Violation, campaign, run};
use indicatif::{ProgressBar, ProgressStyle};

use super::mutants;

/// Runs whole networks of servers under made-up trouble and checks every promise.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The seeds, from the first up to but not including the last.
    #[arg(long, value_parser = seeds, default_value = "0..1000")]
    seeds: Range<u64>,
    /// Run this part of a seed's plan instead, as a failing seed printed it.
    #[arg(long)]
    part: Option<Part>,
    /// How many threads to use; as many as there are processors if not given.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Stop after so many failing seeds.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// How often to try to leave something out of a failing seed's plan.
    #[arg(long, default_value_t = 600)]
    tries: usize,
    /// Write down here what happens in the first run that fails or, of a part, in any case.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Try deliberate bugs instead, from a copy of the sources: see `tests/mutants/README.md`.
    #[arg(long)]
    mutants: bool,
    /// Try only the deliberate bugs whose names contain this, or one of several.
    #[arg(long, requires = "mutants")]
    only: Vec<String>,
    /// Show the plan of the part or of the first seed, and end.
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
    /// Runs what is wanted and says how it went.
    pub fn run(self) -> ExitCode {
        if self.mutants {
            return mutants::run(&self.seeds, self.threads(), &self.only);
        }
        if self.plan {
            let first = || Part::whole(self.seeds.start);
            print!("{}", self.part.unwrap_or_else(first).plan());
            return ExitCode::SUCCESS;
        }
        campaign::without_panic_messages(|| match &self.part {
            Some(part) => self.run_part(part),
            None => self.run_seeds(),
        })
    }

    /// How many threads to use.
    fn threads(&self) -> usize {
        let threads = self.threads.or(thread::available_parallelism().ok());
        threads.map_or(1, NonZero::get)
    }

    fn run_part(&self, part: &Part) -> ExitCode {
        let begun = Instant::now();
        if let Some(path) = &self.trace {
            failure::write_down(part, path);
            println!("what happens is in {}", path.display());
        }
        match run(&part.plan()) {
            Ok(report) => {
                summary::print(&report, begun);
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("this breaks a promise: {violation}");
                ExitCode::FAILURE
            }
        }
    }

    fn run_seeds(self) -> ExitCode {
        let begun = Instant::now();
        let (total, mut failed) = self.campaign();
        summary::print(&total, begun);
        failed.sort_by_key(|(seed, _)| *seed);
        let passed = failed.is_empty();
        let mut trace = self.trace;
        for (seed, violation) in failed {
            failure::tell(Part::whole(seed), &violation, self.tries, trace.take());
        }
        match passed {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    /// What all seeds came to together, and those that failed.
    fn campaign(&self) -> (Report, Vec<(u64, Box<Violation>)>) {
        let progress = ProgressBar::new(self.seeds.end - self.seeds.start);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds, {eta} left")
        {
            progress.set_style(style);
        }
        let (mut total, mut failed) = (Report::default(), Vec::new());
        campaign::run_seeds(self.seeds.clone(), self.threads(), |(seed, outcome)| {
            progress.inc(1);
            match outcome {
                Ok(report) => total += &report,
                Err(violation) => {
                    progress.suspend(|| println!("seed {seed} breaks a promise: {violation}"));
                    failed.push((seed, violation));
                }
            }
            failed.len() < self.failures
        });
        progress.finish_and_clear();
        (total, failed)
    }
}
