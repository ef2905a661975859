//! The list of deliberate bugs does not rot: each still has its place in the sources.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use comity_tests::mutants::{Mutant, built_in, list, workspace};

#[test]
fn every_mutant_applies() {
    let workspace = workspace();
    let mutants = list(&workspace).unwrap();
    let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in &mutants {
        by_file.entry(&mutant.file).or_default().push(mutant);
    }
    let mut rotten = Vec::new();
    for (file, mutants) in by_file {
        let source = fs::read_to_string(workspace.join(file)).unwrap();
        let alone = mutants.iter().map(|mutant| vec![*mutant]);
        for mutants in alone.chain([mutants.clone()]) {
            rotten.extend(
                built_in(&source, &mutants)
                    .err()
                    .map(|error| error.to_string()),
            );
        }
    }
    assert!(rotten.is_empty(), "{rotten:#?}");
}

#[test]
fn there_are_many_mutants_and_each_is_told_of_once() {
    let mutants = list(&workspace()).unwrap();
    let names: BTreeSet<&str> = mutants.iter().map(|mutant| &*mutant.name).collect();
    assert_eq!(names.len(), mutants.len(), "two have one name");
    assert!(mutants.len() >= 20, "{}", mutants.len());
    for mutant in &mutants {
        assert!(mutant.bug.ends_with('.'), "{mutant:?} is not told of");
        assert_ne!(mutant.find, mutant.replace, "{mutant:?} changes nothing");
    }
}
