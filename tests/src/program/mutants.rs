//! `comity-tests simulate --mutants`: deliberate bugs, and what becomes of each.

use std::{
    ops::Range,
    process::ExitCode,
    time::{Duration, Instant},
};

use comity_tests::mutants::{Error, Found, Mutant, Scratch, list, workspace};

/// How long the seeds of one bug may take, before it is said to come to no end.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What the sources without a bug are called.
const NONE: &str = "(none)";

/// Tries every bug whose name contains one of `only`, or every bug and what has none: each with these
/// seeds in their order, up to the first that finds it, and so many bugs at a time.
pub fn run(seeds: &Range<u64>, threads: usize, only: &[String]) -> ExitCode {
    match try_all(seeds, threads, only) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            println!("{wrong} of them did not go as they should");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How many are not found, the sources without a bug among them if they are found to have one.
fn try_all(seeds: &Range<u64>, threads: usize, only: &[String]) -> Result<usize, Error> {
    let workspace = workspace();
    let mutants = list(&workspace)?;
    let begun = Instant::now();
    let scratch = Scratch::new(&workspace, &mutants)?;
    scratch.build()?;
    println!(
        "built {} bugs into one program in {:.0?}\n",
        mutants.len(),
        begun.elapsed()
    );
    let is_meant = |mutant: &&Mutant| {
        only.is_empty() || only.iter().any(|part| mutant.name.contains(part.as_str()))
    };
    let none = only.is_empty().then_some(None);
    let meant = mutants.iter().filter(is_meant).map(Some);
    println!("{:38} {:>5} {:>8}  broken promise", "bug", "seed", "time");
    let mut wrong = 0;
    let meant: Vec<_> = none.into_iter().chain(meant).collect();
    scratch.run_all(meant, seeds, threads, PATIENCE, |mutant, found, time| {
        wrong += usize::from(!tell(mutant, &found, time));
    })?;
    println!("\nin {:.0?} altogether", begun.elapsed());
    Ok(wrong)
}

/// Prints what became of a bug, and says whether that is as it should be.
fn tell(mutant: Option<&Mutant>, found: &Found, time: Duration) -> bool {
    let (seed, promise) = match found {
        Found::Caught { seed, promise } => (seed.to_string(), promise.as_str()),
        Found::Endless => ("-".to_owned(), "none: IT COMES TO NO END"),
        Found::Survived if mutant.is_none() => ("-".to_owned(), "none, as it should be"),
        Found::Survived => ("-".to_owned(), "none: EVERY SEED PASSES"),
    };
    let name = mutant.map_or(NONE, |mutant| &mutant.name);
    println!(
        "{name:38} {seed:>5} {:>7.1}s  {promise}",
        time.as_secs_f64()
    );
    let is_right = match mutant {
        None => *found == Found::Survived,
        Some(_) => matches!(found, Found::Caught { .. }),
    };
    if let (Some(mutant), false) = (mutant, is_right) {
        println!("    {} ({})", mutant.bug, mutant.file);
    }
    is_right
}
