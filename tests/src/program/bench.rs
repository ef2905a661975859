//! `comity-tests bench`: Comity beside Synapse, measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comity_tests::bench::figures::Outcome;
use comity_tests::bench::scenarios::{SCENARIOS, Scenario};
use comity_tests::bench::table::{Row, Table};
use comity_tests::bench::{Extent, Software, play};

/// Plays the same scenarios with a Comity node and with a Synapse, and prints what each took.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to play: scenarios such as `ingest:flood`, or all of a kind, such as `ingest`; all if
    /// nothing is named.
    scenarios: Vec<String>,
    /// Which server to measure.
    #[arg(long, value_enum, default_value_t = Against::Both)]
    against: Against,
    /// How often to play each; the table shows the middle.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Give Synapse the whole tasks, too. They may take an hour.
    #[arg(long)]
    full: bool,
    /// Let no number of events, members or servers be larger than this: for a quick look.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    at_most: usize,
    /// Write the figures down here, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Against {
    Comity,
    Synapse,
    Both,
}

impl Bench {
    /// Plays what is wanted and prints the table. Fails if a scenario did.
    pub fn run(self) -> ExitCode {
        let mut rows = Vec::new();
        let mut failed = false;
        for scenario in SCENARIOS.iter().filter(|one| self.wants(one)) {
            let mut outcomes = BTreeMap::new();
            for &software in self.against.softwares() {
                match self.play(scenario, software) {
                    Some(outcome) => drop(outcomes.insert(software, outcome)),
                    None => failed = true,
                }
            }
            rows.push(Row {
                scenario: scenario.name,
                outcomes,
            });
        }
        let table = Table { rows };
        println!("\n{table}");
        match self.write_down(&table) && !failed {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        let kind = scenario.name.split(':').next();
        let named = |name: &String| scenario.name == name || kind == Some(name);
        self.scenarios.is_empty() || self.scenarios.iter().any(named)
    }

    /// The middle of all runs, if none failed.
    fn play(&self, scenario: &Scenario, software: Software) -> Option<Outcome> {
        let extent = Extent {
            whole_for_synapse: self.full,
            at_most: self.at_most,
        };
        let mut outcomes = Vec::new();
        for run in 1..=self.runs {
            eprintln!(
                "{}, {software:?}, run {run} of {}",
                scenario.name, self.runs
            );
            match play(scenario, software, extent) {
                Ok(outcome) => outcomes.push(outcome),
                Err(failure) => {
                    eprintln!("{failure}");
                    return None;
                }
            }
        }
        Some(Outcome::middle(&outcomes))
    }

    fn write_down(&self, table: &Table) -> bool {
        let Some(file) = &self.json else { return true };
        let text = serde_json::to_string_pretty(table).map_err(|error| error.to_string());
        let written =
            text.and_then(|text| fs::write(file, text).map_err(|error| error.to_string()));
        if let Err(error) = &written {
            eprintln!("{}: {error}", file.display());
        }
        written.is_ok()
    }
}

impl Against {
    fn softwares(self) -> &'static [Software] {
        match self {
            Self::Comity => &[Software::Comity],
            Self::Synapse => &[Software::Synapse],
            Self::Both => &[Software::Comity, Software::Synapse],
        }
    }
}
