//! The model store and the real one are given the same random writes and asked the same questions.
//!
//! The events are wilder than the core would write them: graphs with cycles, states of other
//! events, positions taken twice. `COMITY_SEEDS=500` tries more than the few that always run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod events;
mod questions;
mod writes;

use std::collections::BTreeSet;

use comity_core::persistence::queries::{Answer, Batch, Query};
use comity_tests::{
    rooms::Dice,
    simulation::{Database, DatabaseKind},
};

use crate::{
    events::Events,
    questions::questions,
    writes::{version, write},
};

const SEEDS: u64 = 10;
const BATCHES: usize = 60;

fn with_versions(kind: DatabaseKind) -> Database {
    let mut database = Database::new(kind);
    let writes = (0..3).map(version).collect();
    database.run(&Query::Commit(Batch { writes })).unwrap();
    database
}

/// How many batches of a run were refused.
fn compare(seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let events = Events::roll(&mut dice);
    let mut database = with_versions(DatabaseKind::Compared);
    let mut refused = 0;
    for _ in 0..BATCHES {
        let count = 1 + dice.below(3);
        let writes = (0..count).map(|_| write(&events, &mut dice)).collect();
        let committed = database.run(&Query::Commit(Batch { writes }));
        refused += usize::from(committed.is_err());
        for question in questions(&events, &mut dice) {
            drop(database.run(&Query::Read(question)));
        }
    }
    refused
}

#[test]
fn the_model_answers_as_sqlite_does() {
    let seeds = std::env::var("COMITY_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let refused: usize = (0..seeds).map(compare).sum();
    let all = BATCHES * usize::try_from(seeds).unwrap();
    assert!(
        refused > all / 10 && refused < all / 2,
        "{refused} of {all} batches refused"
    );
}

/// What is compared is worth comparing: questions of every kind find something.
#[test]
fn every_kind_of_question_finds_something() {
    let found: BTreeSet<String> = (0..60).flat_map(kinds_that_find).collect();
    assert_eq!(found.len(), questions::KINDS, "{found:?}");
}

fn kinds_that_find(seed: u64) -> BTreeSet<String> {
    let mut dice = Dice::new(seed);
    let events = Events::roll(&mut dice);
    let mut database = with_versions(DatabaseKind::Model);
    let mut found = BTreeSet::new();
    for _ in 0..BATCHES * 5 {
        let writes = vec![write(&events, &mut dice)];
        drop(database.run(&Query::Commit(Batch { writes })));
        for question in questions(&events, &mut dice) {
            let kind = format!("{question:?}");
            let kind = kind.split(['(', ' ']).next().unwrap().to_owned();
            let answer = database.run(&Query::Read(question));
            if answer.is_ok_and(|answer| !is_empty(&answer)) {
                found.insert(kind);
            }
        }
    }
    found
}

fn is_empty(answer: &Answer) -> bool {
    match answer {
        Answer::Committed => true,
        Answer::Boot(boot) => boot.destinations.is_empty(),
        Answer::Room(room) => room.as_ref().is_none_or(|room| room.joined.is_empty()),
        Answer::Events(events) => events.is_empty(),
        Answer::AuthDescendants(events) => events.as_ref().is_none_or(Vec::is_empty),
        Answer::EventIds(ids) => ids.is_empty(),
        Answer::State(state) => state.as_ref().is_none_or(Vec::is_empty),
        Answer::Outlooks(outlooks) => outlooks.iter().all(|(_, outlook)| !outlook.joined),
        Answer::Response(response) => response.is_none(),
        Answer::Inbox(edus) => edus.is_empty(),
        Answer::InboxStanding(standing) => standing.known.is_empty() || standing.bytes == 0,
        Answer::Keys(keys) => keys.is_empty(),
        Answer::Outgoing(queue) => queue.is_empty(),
        Answer::Excess(excess) => excess.events.count + excess.edus.count == 0,
        Answer::Once(event_id) => event_id.is_none(),
        Answer::BackwardExtremities(ends) => ends.is_empty(),
        Answer::Memberships(memberships) => memberships.is_empty(),
        Answer::Position(position) => position.0 == 0,
        Answer::EventsAfter(part) => part.events.is_empty(),
        Answer::Rooms(rooms) => rooms.is_empty(),
        Answer::PeerStream(stream) => stream.is_none(),
        Answer::PublishedKeys(kept) => kept.is_none(),
        Answer::Counts(counts) => counts.events == 0,
    }
}
