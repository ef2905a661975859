//! Events by when they say that they were sent.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::queries::{Direction, Read},
    time::WallTime,
};
use serde_json::json;

use crate::builder::*;

fn sent_at(time: i64, body: &str) -> Arc<Pdu> {
    pdu(json!({ "origin_server_ts": time, "content": { "body": body } }))
}

fn by_time(time: u64, direction: Direction, limit: u32) -> Read {
    Read::ByTime {
        room_id: room(),
        time: WallTime(time),
        direction,
        limit,
    }
}

/// TIMESTAMP-1: only what is shown is found, the nearest first, whatever the order of the timeline.
#[test]
fn timestamp_1_the_nearest_in_time_comes_first() {
    let mut store = store();
    let [late, early, twin, hidden] = [(30, "late"), (10, "early"), (10, "twin"), (20, "hidden")]
        .map(|(time, body)| sent_at(time, body));
    commit(
        &mut store,
        vec![
            write(shown(&late, 1)),
            write(shown(&early, 2)),
            write(shown(&twin, 3)),
            write(in_graph(&hidden)),
        ],
    );
    let mut found = |time, direction, limit| read_ids(&mut store, by_time(time, direction, limit));
    use Direction::{Backward, Forward};
    assert_eq!(found(5, Forward, 9), ids([&early, &twin, &late]));
    assert_eq!(found(10, Forward, 1), ids([&early]));
    assert_eq!(found(11, Forward, 9), ids([&late]));
    assert_eq!(found(31, Forward, 9), ids([]));
    assert_eq!(found(30, Backward, 9), ids([&late, &twin, &early]));
    assert_eq!(found(29, Backward, 1), ids([&twin]));
    assert_eq!(found(9, Backward, 9), ids([]));
    assert_eq!(found(u64::MAX, Backward, 1), ids([&late]));
}
