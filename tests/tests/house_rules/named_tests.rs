//! What the documents say is tested has a test of that name.

use std::{collections::BTreeSet, error::Error, fs};

use crate::source::{below, root};

const DOCUMENTS: &[&str] = &["docs/failure-modes.md", "docs/security.md"];

#[test]
fn every_test_that_a_document_names_exists() -> Result<(), Box<dyn Error>> {
    let mut there = BTreeSet::new();
    for source in below("")? {
        there.extend(functions(&source.text));
    }
    for document in DOCUMENTS {
        let names = named(&fs::read_to_string(root().join(document))?);
        assert!(!names.is_empty(), "{document} names no test");
        let lacking: Vec<_> = names.difference(&there).collect();
        assert!(
            lacking.is_empty(),
            "{document} names, but there is none: {lacking:#?}"
        );
    }
    Ok(())
}

/// The last column of each table, which names tests.
fn named(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let texts = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    texts.map(str::to_owned).collect()
}

fn functions(text: &str) -> impl Iterator<Item = String> {
    let after = text.split("fn ").skip(1);
    after.filter_map(|rest| rest.split(['(', '<']).next().map(str::to_owned))
}
