//! A seed that fails, told so that a person can find out why.

use std::{env, fs, path::PathBuf};

use comity_tests::simulation::{
    Part, Violation,
    campaign::{self, Shrunk},
    run, run_and_tell,
};
use indicatif::ProgressBar;

/// Says how little of the plan breaks the promise, and how to see it again.
pub(super) fn tell(whole: Part, violation: &Violation, tries: usize, trace: Option<PathBuf>) {
    let Shrunk { part, tries } = shrink(whole, violation, tries);
    println!("\nafter {tries} tries this is left of it:");
    print!("{}", part.plan());
    let unnamed = || env::temp_dir().join(format!("comity-seed-{}.txt", part.seed()));
    write_down(&part, &trace.unwrap_or_else(unnamed));
    println!("cargo run --release -p comity-tests -- simulate --part '{part}'");
}

/// What is left out must not change which promise is broken.
fn shrink(whole: Part, violation: &Violation, tries: usize) -> Shrunk {
    let progress = ProgressBar::new_spinner();
    campaign::shrink(whole, tries, |part| {
        let steps = part.plan().steps.len();
        progress.set_message(format!("leaves out what it fails without: {steps} steps"));
        progress.inc(1);
        run(&part.plan()).is_err_and(|found| found.invariant == violation.invariant)
    })
}

/// Writes down what happens, line by line.
pub(super) fn write_down(part: &Part, path: &PathBuf) {
    let (result, tale) = run_and_tell(&part.plan(), true);
    let end = result.map_or_else(
        |violation| format!("this breaks a promise: {violation}"),
        |_| "every promise was kept".to_owned(),
    );
    match fs::write(path, format!("{}\n{end}\n", tale.join("\n"))) {
        Ok(()) => println!("what happens is in {}", path.display()),
        Err(error) => println!("cannot write {}: {error}", path.display()),
    }
}
