//! PDU-27: redactions and their targets, in either order.

use comity_core::messaging::notice::Notice;

use crate::{
    forger::lied_to,
    stage::{VERSIONS, text},
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
