//! PDU-27: redactions and their targets, in either order.

use crate::{
    forger::{body, lied_to, not_found},
    gaps::{named, pdus},
    stage::{VERSIONS, text},
};
use comity_core::{
    messaging::notice::Notice, pdu::RoomVersion, transport::remote_request::Endpoint,
};

/// Two branches, one with the message and one with its redaction, which comes first.
#[test]
fn pdu_27_a_redaction_that_comes_before_its_target_is_applied_when_that_comes() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let target = forger.message("too early");
        let id = target.event_id().to_owned();
        let redaction = forger.redaction(&id);
        assert_eq!(forger.push_one(&mut stage.network, &redaction), None);
        assert_eq!(stage.held("one", &id), None);
        assert_eq!(forger.push_one(&mut stage.network, &target), None);
        let held = stage.held("one", &id).unwrap();
        assert_eq!(text(&held.pdu), None, "in version {version}");
        assert_eq!(held.redacted_because.as_deref(), Some(redaction.event_id()));
        let shown = |notice: &Notice| match notice {
            Notice::Event(event) => text(&event.pdu).is_some(),
            _ => false,
        };
        let notices = &stage.network.server("one").notices;
        assert!(!notices.iter().any(shown), "in version {version}");
    }
}

/// The redaction of who may not redact changes nothing, whichever comes first. In versions 1 and 2
/// it is not even accepted.
#[test]
fn pdu_27_a_strangers_redaction_that_comes_first_is_not_applied() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let before = forger.last.clone();
        let said = stage.say("one", "fine");
        let message = stage.held("one", &said).unwrap().pdu.clone();
        assert_eq!(message.prev_events(), [before.event_id().to_owned()]);
        let redaction = forger.redaction(&said);
        assert_eq!(forger.push_one(&mut stage.network, &redaction), None);
        let held = stage.held("one", &said).unwrap();
        assert_eq!(text(&held.pdu).as_deref(), Some("fine"));
        let verdict = &stage
            .held("one", &redaction.event_id().to_owned())
            .unwrap()
            .verdict;
        let judged = version.rules().redaction_is_authorised;
        assert_eq!(
            verdict.is_rejected(),
            judged,
            "in version {version}: {verdict:?}"
        );
    }
}

/// A redaction is taken in with the state before it, since what it builds on is nowhere to be had.
#[test]
fn pdu_27_a_redaction_behind_a_hole_is_applied() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let regretted = forger.message("regretted");
    let id = regretted.event_id().to_owned();
    assert_eq!(forger.push_one(&mut stage.network, &regretted), None);
    let state = Endpoint::StateIds(stage.room_id.clone(), id.clone());
    let state = body(&stage.network.ask("liar", "one", state));
    forger.last = regretted;
    forger.last = forger.message("withheld");
    let redaction = forger.redaction(&id);
    forger.last = redaction.clone();
    let line = forger.line(2);
    let (because, told) = (
        redaction.event_id().to_owned(),
        [redaction, line[0].clone()],
    );
    stage.network.liar("liar").says(move |target, body| {
        let id = named(target, body);
        let found = told.iter().find(|event| event.event_id() == &*id);
        match found {
            Some(event) if target.contains("/event/") => pdus(event),
            Some(event) if target.contains("/state_ids/") && event.redacts().is_some() => {
                (200, state.clone())
            }
            _ => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &line[1]), None);
    assert!(!stage.held("one", &because).unwrap().is_outlier());
    let held = stage.held("one", &id).unwrap();
    assert_eq!(held.redacted_because, Some(because));
}
