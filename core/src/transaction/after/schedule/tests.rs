//! Who is asked, when, and how often at most.

use std::time::Duration;

use super::*;
use crate::persistence::tables::StreamCursor;

fn pulls() -> Pulls {
    Pulls::new(true, &[5; 32])
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

fn name(number: usize) -> OwnedServerName {
    format!("s{number}").try_into().unwrap()
}

fn stream(server: OwnedServerName) -> PeerStream {
    let cursor = StreamCursor {
        pull_after: "p".to_owned(),
        end: "p".to_owned(),
        looked_at: Default::default(),
    };
    PeerStream {
        server,
        asked_at: Default::default(),
        cursor: Some(cursor),
    }
}

fn started(pulls: &mut Pulls, now: Monotonic) -> Vec<(OwnedServerName, Wish)> {
    let contacts = pulls.start(now).into_iter();
    contacts
        .map(|contact| (contact.server, contact.wish))
        .collect()
}

/// Lets everything under way end like this.
fn end(pulls: &mut Pulls, started: &[(OwnedServerName, Wish)], turn: Turn, now: Monotonic) {
    for (server, _) in started {
        pulls.report(server, turn);
        pulls.ended(server, now);
    }
}

#[test]
fn after_a_start_every_stream_is_pulled_a_few_at_once_within_some_seconds() {
    let mut pulls = pulls();
    let streams: Vec<_> = (0..20).map(|number| stream(name(number))).collect();
    pulls.boot(&streams, at(100));
    assert!(pulls.next_deadline().unwrap() < at(110));
    let mut all = Vec::new();
    for _ in 0..5 {
        let some = started(&mut pulls, at(110));
        assert_eq!(some.len(), UNDER_WAY_MAX);
        assert_eq!(pulls.next_deadline(), None);
        assert_eq!(started(&mut pulls, at(110)), []);
        end(&mut pulls, &some, Turn::Done, at(110));
        all.extend(some);
    }
    assert!(all.iter().all(|(_, wish)| *wish == Wish::CatchUp));
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all.dedup();
    assert_eq!(all.len(), 20);
    assert_eq!(pulls.next_deadline(), None);
}

#[test]
fn who_talks_to_us_is_looked_in_on_once_an_hour_and_who_was_silent_is_caught_up_with() {
    let mut pulls = pulls();
    let peer = name(1);
    pulls.heard(&peer, at(0));
    let first = started(&mut pulls, at(0));
    assert_eq!(first, [(peer.clone(), Wish::CatchUp)]);
    end(&mut pulls, &first, Turn::Done, at(0));
    let mut wishes = Vec::new();
    for minute in (0..240).step_by(5) {
        pulls.heard(&peer, at(minute * 60));
        let now = started(&mut pulls, at(minute * 60));
        end(&mut pulls, &now, Turn::Done, at(minute * 60));
        wishes.extend(now.into_iter().map(|(_, wish)| wish));
    }
    assert_eq!(wishes, [Wish::LookIn; 3]);
    pulls.heard(&peer, at(24 * 60 * 60));
    let after_silence = started(&mut pulls, at(24 * 60 * 60));
    assert_eq!(after_silence, [(peer, Wish::CatchUp)]);
}

#[test]
fn whoever_fails_is_asked_ever_more_rarely_and_then_not_before_a_sign_of_life() {
    for turn in [Turn::Failed, Turn::Paused { was_new: false }] {
        let mut pulls = pulls();
        pulls.is_back(&name(1), at(0));
        let mut pauses = Vec::new();
        let mut last = at(0);
        while let Some(due) = pulls.next_deadline() {
            let now = started(&mut pulls, due);
            end(&mut pulls, &now, turn, due);
            pauses.push(due.since(last));
            last = due;
        }
        assert_eq!(pauses.len(), FAILURES_MAX as usize);
        assert!(pauses.windows(2).skip(1).all(|pair| pair[0] < pair[1]));
        pulls.heard(&name(1), last);
        let due = pulls.next_deadline().unwrap();
        assert!(due > last, "a sign of life cuts no pause short");
        assert_eq!(started(&mut pulls, due), [(name(1), Wish::CatchUp)]);
    }
}

#[test]
fn a_stream_with_much_that_is_new_goes_on_after_those_that_wait() {
    let mut pulls = pulls();
    for number in 0..6 {
        pulls.heard(&name(number), at(number as u64));
    }
    let first = started(&mut pulls, at(9));
    end(&mut pulls, &first, Turn::Paused { was_new: true }, at(9));
    let second = started(&mut pulls, at(9));
    assert_eq!(
        second[..2]
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>(),
        [name(4), name(5)]
    );
}

#[test]
fn a_job_that_ends_without_a_word_counts_as_failed() {
    let mut pulls = pulls();
    pulls.heard(&name(1), at(0));
    started(&mut pulls, at(0));
    pulls.ended(&name(1), at(0));
    assert!(pulls.next_deadline().unwrap() > at(0));
}

#[test]
fn gaps_make_us_pull_from_the_same_server_once_a_minute_at_most() {
    let mut pulls = pulls();
    let mut contacts = 0;
    for second in 0..180 {
        pulls.is_ahead(&name(1), at(second));
        let now = started(&mut pulls, at(second));
        end(&mut pulls, &now, Turn::Done, at(second));
        contacts += now.len();
    }
    assert_eq!(contacts, 3);
}

#[test]
fn strangers_are_forgotten_and_nobody_can_fill_our_memory() {
    let mut pulls = pulls();
    pulls.heard(&name(1), at(0));
    let stranger = started(&mut pulls, at(0));
    end(&mut pulls, &stranger, Turn::Stranger, at(0));
    assert!(pulls.peers.is_empty());
    for number in 0..PEERS_MAX + 10 {
        pulls.heard(&name(number), at(0));
        assert!(pulls.peers.len() <= PEERS_MAX && pulls.waiting.len() <= PEERS_MAX);
    }
}

#[test]
fn nothing_is_pulled_when_it_is_off() {
    let mut pulls = Pulls::new(false, &[5; 32]);
    pulls.boot(&[stream(name(1))], at(0));
    pulls.heard(&name(1), at(0));
    pulls.is_back(&name(1), at(0));
    pulls.is_ahead(&name(1), at(0));
    assert_eq!(pulls.next_deadline(), None);
}
