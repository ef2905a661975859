//! The benchmark's scenarios still work: a few of them, small, with a Comity node. Nothing here looks
//! at a time.

use comity_tests::bench::scenarios::SCENARIOS;
use comity_tests::bench::{Extent, Software, play};
use comity_tests::homeservers::failure::{Failure, demand};

/// Large enough for two transactions.
const SMALL: Extent = Extent {
    whole_for_synapse: false,
    at_most: 100,
};

fn plays(name: &str) -> Result<(), Failure> {
    let scenario = SCENARIOS.iter().find(|one| one.name == name);
    let scenario = scenario.ok_or_else(|| Failure::Wrong(format!("there is no {name}")))?;
    let outcome = play(scenario, Software::Comity, SMALL)?;
    demand(!outcome.figures.is_empty(), "nothing was measured")?;
    demand(outcome.remarks.is_empty(), outcome.remarks.join("; "))
}

#[test]
fn everything_of_a_flood_is_seen() -> Result<(), Failure> {
    plays("ingest:flood")
}

#[test]
fn all_members_of_a_joined_room_are_there() -> Result<(), Failure> {
    plays("join:100")
}
