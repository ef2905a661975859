//! Which events ask to redact which.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::{
        queries::Read,
        tables::{StoredEvent, Verdict},
    },
};
use serde_json::json;

use crate::builder::*;

fn redaction_of(target: &Pdu, reason: &str) -> Arc<Pdu> {
    let content = json!({ "reason": reason });
    pdu(json!({ "type": "m.room.redaction", "redacts": target.event_id(), "content": content }))
}

/// PDU-27: whether or not the target is held.
#[test]
fn pdu_27_accepted_redactions_are_found_by_their_target() {
    let mut store = store();
    let [held, unknown, other] = ["held", "unknown", "other"].map(|body| message(body, &[]));
    let [of_held, of_unknown, of_other] =
        [&held, &unknown, &other].map(|target| redaction_of(target, ""));
    let rejected = redaction_of(&unknown, "rejected");
    let denied = Verdict::Rejected("no".to_owned());
    commit(
        &mut store,
        vec![
            write(in_graph(&held)),
            write(in_graph(&of_held)),
            write(outlier(&of_unknown)),
            write(in_graph(&of_other)),
            write(StoredEvent::outlier(rejected, denied)),
        ],
    );
    let of = |targets: &[&Arc<Pdu>]| Read::RedactionsOf(ids(targets.iter().copied()));
    let asked = of(&[&held, &unknown]);
    assert_eq!(read_ids(&mut store, asked), ids([&of_held, &of_unknown]));
    assert_eq!(read_ids(&mut store, of(&[&other])), ids([&of_other]));
    assert!(read_ids(&mut store, of(&[&of_held])).is_empty());
}
