//! A seed that fails, told so that a person can find out why.

use std::{env, fs, path::PathBuf};

use comity_tests::simulation::{
    Part, Violation,
    campaign::{self, Shrunk},
    run, run_and_tell,
};
use indicatif::ProgressBar;

/// How many lines of what happened are shown: the last ones.
const LAST_LINES: usize = 12;

/// Says how little of the plan breaks the promise, what happened last, and how to see it again.
pub(super) fn tell(whole: Part, violation: &Violation, tries: usize, trace: Option<PathBuf>) {
    let seed = whole.seed();
    let steps = whole.plan().steps.len();
    let Shrunk { part, tries } = shrink(whole, violation, tries);
    let plan = part.plan();
    println!(
        "\nSeed {seed} breaks the promise that {}.",
        violation.invariant
    );
    match tries {
        0 => println!("Its plan:\n"),
        _ => println!(
            "Of the {steps} steps of its plan {} are enough for that, found by {tries} tries:\n",
            plan.steps.len()
        ),
    }
    print!("{plan}");
    let unnamed = || env::temp_dir().join(format!("comity-seed-{seed}.txt"));
    let path = trace.unwrap_or_else(unnamed);
    let tale = write_down(&part, &path);
    println!("\nWhat happened last, in seconds since the beginning:\n");
    for line in tale.iter().rev().take(LAST_LINES).rev() {
        println!("  {line}");
    }
    println!("\nAll {} lines are in {}.", tale.len(), path.display());
    println!("To see it again, with or without a change:\n");
    println!("  cargo run --release -p comity-tests -- simulate --part '{part}'");
}

/// What is left out must not change which promise is broken.
fn shrink(whole: Part, violation: &Violation, tries: usize) -> Shrunk {
    let progress = ProgressBar::new_spinner();
    let shrunk = campaign::shrink(whole, tries, |part| {
        let steps = part.plan().steps.len();
        progress.set_message(format!("leaves out what it fails without: {steps} steps"));
        progress.inc(1);
        run(&part.plan()).is_err_and(|found| found.invariant == violation.invariant)
    });
    progress.finish_and_clear();
    shrunk
}

/// Writes down what happens, line by line, and gives it back.
pub(super) fn write_down(part: &Part, path: &PathBuf) -> Vec<String> {
    let (result, mut tale) = run_and_tell(&part.plan(), true);
    tale.push(result.map_or_else(
        |violation| format!("this breaks a promise: {violation}"),
        |_| "every promise was kept".to_owned(),
    ));
    if let Err(error) = fs::write(path, tale.join("\n") + "\n") {
        println!("cannot write {}: {error}", path.display());
    }
    tale
}
