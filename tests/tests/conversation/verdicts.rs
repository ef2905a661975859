//! The checks on receipt of an event told apart: what is rejected by what it names, what by the
//! state where it stands, what is kept without its content; and what each means for what follows.

use comity_core::{pdu::Pdu, persistence::tables::Verdict};
use serde_json::json;

use crate::{
    forger::{altered, lied_to},
    stage::{VERSIONS, noticed, sent, text},
};

/// Check 4: an event is no better than what it names as authorising it.
#[test]
fn pdu_11_what_a_rejected_event_authorises_is_rejected() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let coup = json!({ "users": { "@eve:liar": 100 } });
        let coup = forger.event("m.room.power_levels", Some(""), coup);
        assert_eq!(forger.push_one(&mut stage.network, &coup), None);
        forger.learn(coup.clone());
        let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
        assert_eq!(forger.push_one(&mut stage.network, &topic), None);
        for event in [&coup, &topic] {
            let held = stage.held("one", &event.event_id().to_owned()).unwrap();
            assert!(held.verdict.is_rejected(), "version {version}: {held:?}");
        }
        assert_eq!(stage.state("one", "m.room.topic", ""), None);
    }
}

/// An event is judged on its own merit, as if the rejected one before it had changed nothing.
#[test]
fn pdu_10_what_follows_a_rejected_event_is_not_rejected_for_it() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
        assert_eq!(forger.push_one(&mut stage.network, &topic), None);
        forger.last = topic;
        let after = forger.message("nevertheless");
        assert_eq!(forger.push_one(&mut stage.network, &after), None);
        assert_eq!(noticed(&mut stage.network, "one"), ["nevertheless"]);
        assert_eq!(stage.state("one", "m.room.topic", ""), None);
    }
}

/// Check 5 rejects what checks 4 lets through; check 6, on an older branch, only soft-fails it.
#[test]
fn pdu_1_the_state_before_an_event_rejects_and_the_current_state_soft_fails() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let on_old_branch = forger.message("I was never banned");
        let ban = sent(stage.set_member("one", "@eve:liar", "ban"));
        let depth = stage.held("one", &ban).unwrap().pdu.depth();
        let body = json!({ "body": "I am banned and talk" });
        let after_ban = forger.event_after(&[(ban, depth)], "m.room.message", None, body);
        let mut verdict = |event: &Pdu| {
            assert_eq!(forger.push_one(&mut stage.network, event), None);
            let held = stage.held("one", &event.event_id().to_owned());
            held.unwrap().verdict.clone()
        };
        let soft_failed = verdict(&on_old_branch);
        assert!(
            matches!(soft_failed, Verdict::SoftFailed(_)),
            "{soft_failed:?}"
        );
        let rejected = verdict(&after_ban);
        assert!(matches!(rejected, Verdict::Rejected(_)), "{rejected:?}");
    }
}

/// On its own branch an event that was only soft-failed is as good as any.
#[test]
fn state_1_what_is_soft_failed_changes_the_state_after_it_and_what_is_rejected_does_not() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
        let rename = json!({ "membership": "join", "displayname": "Eve" });
        let rename = forger.event("m.room.member", Some("@eve:liar"), rename);
        sent(stage.set_member("one", "@eve:liar", "ban"));
        let mut is_changed_by = |event: &Pdu| {
            assert_eq!(forger.push_one(&mut stage.network, event), None);
            let held = stage.held("one", &event.event_id().to_owned()).unwrap();
            let state = held.state.unwrap();
            (held.verdict.is_rejected(), state.before != state.after)
        };
        assert_eq!(is_changed_by(&topic), (true, false), "version {version}");
        assert_eq!(is_changed_by(&rename), (false, true), "version {version}");
        let now = stage.membership("one", "@eve:liar");
        assert_eq!(now.as_deref(), Some("ban"), "version {version}");
    }
}

/// Check 3: the membership of a join survives whatever was altered beside it.
#[test]
fn pdu_14_a_join_that_was_redacted_for_its_hash_is_a_join() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let rename = json!({ "membership": "join", "displayname": "Eve" });
        let rename = forger.event("m.room.member", Some("@eve:liar"), rename);
        let lie = altered(&rename, |event| {
            event["content"]["displayname"] = json!("Ann")
        });
        let (status, _) = forger.push(&mut stage.network, "one", &[lie]);
        assert_eq!(status, 200);
        let id = rename.event_id().to_owned();
        let held = stage.held("one", &id).unwrap();
        assert_eq!(held.pdu.content().get("displayname"), None);
        assert_eq!(
            stage.membership("one", "@eve:liar").as_deref(),
            Some("join")
        );
        forger.learn(rename.clone());
        forger.last = rename;
        let next = forger.message("still here");
        assert_eq!(forger.push_one(&mut stage.network, &next), None);
        let held = stage.held("one", &next.event_id().to_owned()).unwrap();
        assert_eq!(text(&held.pdu).as_deref(), Some("still here"));
    }
}
