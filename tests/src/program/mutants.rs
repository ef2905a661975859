//! `comity-tests simulate --mutants`: deliberate bugs, and what becomes of each.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use comity_tests::mutants::{Error, Found, Mutant, Scratch, list, workspace};

/// How long the seeds of one bug may take, before it is said to come to no end.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Tries every bug whose name contains one of `only`, or every bug and what has none, each with so
/// many seeds at most.
pub fn run(seeds: u64, only: &[String]) -> ExitCode {
    match try_all(seeds, only) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(survivors) => {
            println!("{survivors} are not found");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How many are not found, the sources without a bug among them if they are found to have one.
fn try_all(seeds: u64, only: &[String]) -> Result<usize, Error> {
    let workspace = workspace();
    let mutants = list(&workspace)?;
    let begun = Instant::now();
    let scratch = Scratch::new(&workspace, &mutants)?;
    scratch.build()?;
    println!(
        "built {} bugs into one program in {:.0?}",
        mutants.len(),
        begun.elapsed()
    );
    let mut wrong = 0;
    if only.is_empty() {
        let sound = scratch.run(None, seeds, PATIENCE)?;
        println!("{:38} {}", "(none)", words(&sound));
        wrong += usize::from(sound != Found::Survived);
    }
    let is_meant = |mutant: &&Mutant| {
        only.is_empty() || only.iter().any(|part| mutant.name.contains(part.as_str()))
    };
    for mutant in mutants.iter().filter(is_meant) {
        let found = scratch.run(Some(mutant), seeds, PATIENCE)?;
        println!("{:38} {}", mutant.name, words(&found));
        if !matches!(found, Found::Caught { .. }) {
            wrong += 1;
            explain(mutant);
        }
    }
    println!("in {:.0?} altogether", begun.elapsed());
    Ok(wrong)
}

fn words(found: &Found) -> String {
    match found {
        Found::Caught { seed, promise } => format!("seed {seed:5} breaks: {promise}"),
        Found::Endless => "comes to no end".to_owned(),
        Found::Survived => "every seed passes".to_owned(),
    }
}

fn explain(mutant: &Mutant) {
    println!("    {} ({})", mutant.bug, mutant.file);
}
