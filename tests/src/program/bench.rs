//! `comity-tests bench`: Comity beside Synapse, measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comity_tests::bench::figures::Outcome;
use comity_tests::bench::scenarios::{SCENARIOS, Scenario};
use comity_tests::bench::table::{Head, Row};
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
        print!("{Head}");
        let (mut rows, mut failed) = (Vec::new(), false);
        for scenario in SCENARIOS.iter().filter(|one| self.wants(one)) {
            let mut runs = BTreeMap::new();
            for &software in self.against.softwares() {
                let outcomes = self.play(scenario, software);
                failed |= outcomes.len() < self.runs;
                runs.insert(software, outcomes);
            }
            let scenario = scenario.name;
            let row = Row { scenario, runs };
            print!("{row}");
            rows.push(row);
        }
        println!();
        rows.iter().for_each(|row| print!("{}", row.remarks()));
        match self.write_down(&rows) && !failed {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        let kind = scenario.name.split(':').next();
        let named = |name: &String| scenario.name == name || kind == Some(name);
        self.scenarios.is_empty() || self.scenarios.iter().any(named)
    }

    /// All runs, up to the first that fails.
    fn play(&self, scenario: &Scenario, software: Software) -> Vec<Outcome> {
        let extent = Extent {
            whole_for_synapse: self.full,
            at_most: self.at_most,
        };
        let play_one = |run| {
            let name = scenario.name;
            eprintln!("{name}, {software:?}, run {run} of {}", self.runs);
            let complain = |failure| eprintln!("{name}, {software:?}: {failure}");
            play(scenario, software, extent).map_err(complain).ok()
        };
        (1..=self.runs).map_while(play_one).collect()
    }

    fn write_down(&self, rows: &[Row]) -> bool {
        let Some(file) = &self.json else { return true };
        let text = serde_json::to_string_pretty(rows).map_err(|error| error.to_string());
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
