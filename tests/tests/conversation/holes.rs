//! A peer that lies when it is asked for what is missing: whatever it answers, nobody waits for ever.

use comity_core::pdu::{Pdu, RoomVersion};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    forger::{lied_to, list, not_found},
    stage::{Stage, noticed},
};

/// Lets the liar push an event that builds on nothing known, and answer questions about it.
fn push_with_hole(
    version: RoomVersion,
    length: usize,
    answer: impl Fn(&[Pdu], &str, &Value) -> (u16, Value) + 'static,
) -> (Stage, Option<String>) {
    let (mut stage, mut forger) = lied_to(version);
    let line = forger.line(length);
    let last = line.last().unwrap().clone();
    stage
        .network
        .liar("liar")
        .says(move |target, body| answer(&line, target, body));
    let error = forger.push_one(&mut stage.network, &last);
    stage.network.settle();
    stage.must_keep_promises("one");
    (stage, error)
}

#[test]
fn garbage_instead_of_missing_events_ends_in_an_error() {
    for garbage in [
        json!(null),
        json!({ "events": 7 }),
        json!({ "events": [7, {}, []], "pdus": [{}], "auth_chain": [null] }),
    ] {
        let (mut stage, error) = push_with_hole(RoomVersion::DEFAULT, 3, move |_, _, _| {
            (200, garbage.clone())
        });
        assert!(error.unwrap().contains("nowhere to be had"));
        assert!(noticed(&mut stage.network, "one").is_empty());
    }
}

#[test]
fn descendants_instead_of_ancestors_hold_nothing_up() {
    let (mut stage, error) = push_with_hole(RoomVersion::DEFAULT, 3, |line, target, _| {
        let mut last = line.last().unwrap().clone();
        let mut events = vec![last.clone()];
        for _ in 0..3 {
            let mut event = last.object();
            event.insert("prev_events".to_owned(), json!([last.event_id()]));
            event.remove("hashes");
            if let Ok(next) = Pdu::from_object(event, last.room_version()) {
                last = next.clone();
                events.push(next);
            }
        }
        match target.contains("missing_events") {
            true => (200, json!({ "events": list(&events) })),
            false => not_found(),
        }
    });
    assert!(error.is_some());
    assert!(noticed(&mut stage.network, "one").is_empty());
}

/// How many questions a liar was asked, but for its keys.
fn questions(stage: &mut Stage) -> usize {
    let asked = &stage.network.liar("liar").asked;
    asked
        .iter()
        .filter(|(name, _)| *name != "key")
        .map(|(_, count)| count)
        .sum()
}

/// Answers every question about ancestors with one more, and none with its state.
fn one_more(line: &[Pdu], target: &str, body: &Value) -> (u16, Value) {
    let position = |id: &str| line.iter().position(|event| event.event_id() == id);
    if target.contains("missing_events") {
        let latest = body["latest_events"][0].as_str().and_then(position);
        return match latest.and_then(|index| index.checked_sub(1)) {
            Some(index) => (200, json!({ "events": list(&line[index..=index]) })),
            None => not_found(),
        };
    }
    let asked = target
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .replace("%24", "$");
    match position(&asked).filter(|_| target.contains("/event/")) {
        Some(index) => {
            let pdus = list(&line[index..=index]);
            (
                200,
                json!({ "origin": "liar", "origin_server_ts": 1, "pdus": pdus }),
            )
        }
        None => not_found(),
    }
}

#[test]
fn endless_ancestors_end_after_a_bounded_number_of_questions() {
    let (mut stage, error) = push_with_hole(RoomVersion::DEFAULT, 300, one_more);
    assert!(error.is_some());
    assert!(noticed(&mut stage.network, "one").is_empty());
    let questions = questions(&mut stage);
    assert!(questions < 5_000, "{questions} questions");
}

/// Every event builds on two that only the liar knows: a tree of some 2,000 events. The walks that
/// one pushed event is worth are shared between its branches.
#[test]
fn a_wide_gap_is_worth_no_more_questions_than_a_long_one() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let depth = forger.last.depth();
    let nowhere = |number: usize| format!("${number:0>43}").as_str().try_into().unwrap();
    let mut level: Vec<(OwnedEventId, u64)> =
        (0..2048).map(|number| (nowhere(number), depth)).collect();
    let mut tree: Vec<Pdu> = Vec::new();
    while level.len() > 1 {
        let pairs = level.chunks(2).enumerate();
        let event = |(index, pair): (usize, &[(OwnedEventId, u64)])| {
            let content = json!({ "body": format!("{index} of {}", pair[0].1) });
            forger.event_after(pair, "m.room.message", None, content)
        };
        let events: Vec<Pdu> = pairs.map(event).collect();
        level = events
            .iter()
            .map(|event| (event.event_id().to_owned(), event.depth()))
            .collect();
        tree.extend(events);
    }
    let root = tree.last().unwrap().clone();
    let by_id = move |id: &str| tree.iter().find(|event| event.event_id() == id).cloned();
    stage.network.liar("liar").says(move |target, body| {
        let asked = target
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace("%24", "$");
        let latest = body["latest_events"][0].as_str().and_then(&by_id);
        let below = |event: Pdu| -> Vec<Pdu> {
            event
                .prev_events()
                .iter()
                .filter_map(|id| by_id(id.as_str()))
                .collect()
        };
        match (target.contains("/event/"), latest, by_id(&asked)) {
            (false, Some(latest), _) => (200, json!({ "events": list(&below(latest)) })),
            (true, _, Some(event)) => {
                let pdus = list(&[event]);
                (
                    200,
                    json!({ "origin": "liar", "origin_server_ts": 1, "pdus": pdus }),
                )
            }
            _ => not_found(),
        }
    });
    let mut forger = forger;
    let error = forger.push_one(&mut stage.network, &root);
    stage.network.settle();
    stage.must_keep_promises("one");
    assert!(error.is_some());
    let questions = questions(&mut stage);
    assert!(questions < 5_000, "{questions} questions");
}

#[test]
fn a_hole_is_filled_even_one_event_at_a_time() {
    let (mut stage, error) = push_with_hole(RoomVersion::DEFAULT, 60, one_more);
    assert_eq!(error, None);
    assert_eq!(noticed(&mut stage.network, "one").len(), 60);
}

#[test]
fn one_bad_ancestor_does_not_spoil_the_others() {
    let (mut stage, error) = push_with_hole(RoomVersion::DEFAULT, 5, |line, target, _| {
        let mut events = list(&line[..4]);
        events[1]["content"] = json!({ "body": "altered" });
        match target.contains("missing_events") {
            true => (200, json!({ "events": events })),
            false => not_found(),
        }
    });
    assert_eq!(error, None);
    let said = noticed(&mut stage.network, "one");
    assert_eq!(said, ["line 0", "line 2", "line 3", "line 4"]);
}
