//! Events that wait for other servers.

use comity_core::{
    persistence::{
        queries::{Answer, Read, Write},
        tables::{Stage, StagedEvent},
    },
    time::WallTime,
};
use comity_store::Store;

use crate::builder::*;

fn staged(text: &str, from: &str, stage: Stage) -> StagedEvent {
    StagedEvent {
        event: message(text, &[]),
        from: server(from),
        stage,
        received_at: WallTime(7),
    }
}

fn found(store: &mut Store) -> Vec<StagedEvent> {
    match read(store, Read::Boot) {
        Answer::Boot(boot) => boot.staged,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_finds_staged_events_in_the_order_in_which_they_came() {
    let mut store = store();
    let events = ["c", "a", "b"].map(|text| staged(text, "bob.example", Stage::Received));
    for event in &events {
        commit(&mut store, vec![Write::Stage(event.clone())]);
    }
    assert_eq!(found(&mut store), events);
}

#[test]
fn an_event_staged_again_keeps_its_place_and_when_it_came() {
    let mut store = store();
    let first = staged("first", "bob.example", Stage::Received);
    let second = staged("second", "bob.example", Stage::Received);
    let verified = StagedEvent {
        stage: Stage::Verified,
        ..first.clone()
    };
    let later = StagedEvent {
        received_at: WallTime(9),
        ..verified.clone()
    };
    let writes = [first, second.clone(), later].map(Write::Stage);
    commit(&mut store, writes.into());
    assert_eq!(found(&mut store), [verified, second]);
}

#[test]
fn what_two_servers_sent_under_one_id_is_forgotten_apart() {
    let mut store = store();
    let [bobs, cals] =
        ["bob.example", "cal.example"].map(|from| staged("same", from, Stage::Verified));
    let writes = [&bobs, &cals].map(|event| Write::Stage(event.clone()));
    commit(&mut store, writes.into());
    assert_eq!(found(&mut store), [bobs.clone(), cals.clone()]);
    let forget = Write::Unstage {
        event_id: bobs.event.event_id().to_owned(),
        from: bobs.from,
    };
    commit(&mut store, vec![forget]);
    assert_eq!(found(&mut store), [cals]);
}
