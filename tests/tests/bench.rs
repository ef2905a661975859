//! The benchmark's scenarios still work: a few of them, small, with a Comity node. Nothing here looks
//! at a time.

use comity_tests::bench::scenarios::SCENARIOS;
use comity_tests::bench::{Extent, Software, play};

/// Large enough for two transactions.
const SMALL: Extent = Extent {
    whole_for_synapse: false,
    at_most: 100,
};

fn plays(name: &str) {
    let scenario = SCENARIOS.iter().find(|one| one.name == name).unwrap();
    let outcome = play(scenario, Software::Comity, SMALL).unwrap();
    assert!(!outcome.figures.is_empty());
    assert_eq!(outcome.remarks, [""; 0]);
}

#[test]
fn everything_of_a_flood_is_seen() {
    plays("ingest:flood");
}

#[test]
fn all_members_of_a_joined_room_are_there() {
    plays("join:100");
}
