//! `comity-tests coverage`: the checklist, with the tests that prove each item.

use std::{path::Path, process::ExitCode};

use comity_tests::coverage::Coverage;

/// Prints each item with its tests, then those that nothing proves, with the reason. Fails if an
/// item lacks both.
pub fn run() -> ExitCode {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match Coverage::of(&repository) {
        Ok(coverage) => show(&coverage),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn show(coverage: &Coverage) -> ExitCode {
    let items = &coverage.checklist.items;
    let is_proved = |item: &&_| !coverage.of_item(item).is_empty();
    let (proved, unproved): (Vec<_>, Vec<_>) = items.iter().partition(is_proved);
    for item in &proved {
        println!("{} {}", item.id, item.text);
        for test in coverage.of_item(item) {
            println!("    {test}");
        }
    }
    println!("\nNothing proves:\n");
    for item in &unproved {
        println!("{} {}", item.id, item.text);
        println!(
            "    {}",
            item.unproved.as_deref().unwrap_or("and nobody says why")
        );
    }
    println!("\n{} of {} items are proved", proved.len(), items.len());
    let complaints = coverage.complaints();
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
