//! The checklist of the specification against the tests of the repository.

use std::{error::Error, path::Path};

use comity_tests::coverage::Coverage;

#[test]
fn every_item_of_the_checklist_is_proved_or_says_why_not() -> Result<(), Box<dyn Error>> {
    let coverage = Coverage::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    assert!(
        coverage.checklist.items.len() > 300,
        "the checklist is short"
    );
    let complaints = coverage.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}
