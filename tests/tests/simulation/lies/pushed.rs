//! What a hostile server pushes.

use comity_core::pdu::RoomVersion;
use comity_tests::simulation::{Deed, Fault, Lie, Ruse};

use super::{HONEST, Scene, Told, in_all_rooms};

/// Pushed to all.
fn push(ruse: Ruse) -> Lie {
    Lie::Push(0, ruse, None)
}

/// What comes of it in rooms of either kind.
fn pushed(ruse: Ruse) -> impl Iterator<Item = Told> {
    in_all_rooms(move |scene| scene.lies(push(ruse)))
}

/// A lie that only makes events that are in order, or nothing of which anything is left.
#[track_caller]
fn changes_nothing(ruse: Ruse, kind: &str) {
    for told in pushed(ruse) {
        assert_eq!(told.lies(kind), 1);
        assert_eq!(told.came_to("rejected"), 0);
    }
}

#[test]
fn an_event_without_a_signature_is_dropped_everywhere() {
    for told in pushed(Ruse::Unsigned) {
        told.comes_to("Unsigned", "dropped: there is no signature");
    }
}

#[test]
fn an_event_with_a_forged_signature_is_dropped_everywhere() {
    for told in pushed(Ruse::WrongSignature) {
        told.comes_to("WrongSignature", "dropped: the signature");
    }
}

#[test]
fn an_event_in_anothers_name_is_dropped_everywhere() {
    for told in pushed(Ruse::Impersonation) {
        told.comes_to("Impersonation", "dropped: ");
    }
}

/// KEY-4. Up to room version 4 the time at which a key was valid does not matter.
#[test]
fn an_event_that_is_signed_with_an_expired_key_is_dropped_everywhere() {
    let scene = |version| Scene::begin(version).lies(push(Ruse::RetiredKey)).play();
    let words = "dropped: … signed with no key";
    scene(RoomVersion::V11).comes_to("RetiredKey", words);
    assert_eq!(scene(RoomVersion::V2).came_to(words), 0);
}

#[test]
fn a_wrong_hash_leaves_the_redacted_event() {
    changes_nothing(Ruse::WrongHash, "WrongHash");
    changes_nothing(Ruse::AlteredContent, "AlteredContent");
}

#[test]
fn an_event_that_the_rules_deny_is_rejected_everywhere() {
    for told in pushed(Ruse::Denied) {
        told.comes_to("Denied", "rejected: ");
    }
    for told in pushed(Ruse::LacksAuthorisation) {
        told.comes_to("LacksAuthorisation", "rejected: ");
    }
    for told in pushed(Ruse::DeniedByState) {
        told.comes_to("DeniedByState", "rejected: ");
    }
}

#[test]
fn what_builds_on_a_denied_event_does_not_suffer_for_it() {
    for told in pushed(Ruse::BuiltOnDenied) {
        told.comes_to("BuiltOnDenied", "rejected: ");
        assert_eq!(told.came_to("rejected: "), HONEST);
    }
}

#[test]
fn an_event_with_the_auth_events_of_another_room_is_not_accepted() {
    for told in pushed(Ruse::ForeignAuthorisation) {
        assert_eq!(told.lies("ForeignAuthorisation"), 1);
        assert!(told.came_to("rejected: auth event") >= 1);
    }
}

#[test]
fn auth_events_that_never_come_are_asked_for_a_bounded_number_of_times() {
    for told in pushed(Ruse::UnknownAuthorisation) {
        told.comes_to("UnknownAuthorisation", "event_auth: 404");
        assert!(told.came_to("event_auth: 404") < 100);
    }
}

#[test]
fn different_histories_for_different_servers_become_one() {
    for told in pushed(Ruse::Equivocation) {
        assert_eq!(told.lies("Equivocation"), 1);
        // Who was not told it finds that it lacks it.
        assert!(told.came_to("get_missing_events: 200") >= 1);
    }
}

#[test]
fn a_huge_fork_is_joined_again() {
    for told in pushed(Ruse::Fork(40)) {
        assert_eq!(told.lies("Fork"), 1);
    }
}

#[test]
fn events_that_go_round_in_a_circle_hold_nothing_up() {
    let scene = |version| Scene::begin(version).lies(push(Ruse::Circle)).play();
    scene(RoomVersion::V2).comes_to("Circle", "dropped: the event builds on itself");
    // Where ids are hashes they build on what nobody has.
    scene(RoomVersion::V11).comes_to("Circle", "event: 403");
}

#[test]
fn two_events_with_one_id_leave_one() {
    changes_nothing(Ruse::SameId, "SameId");
}

#[test]
fn an_absurd_depth_holds_nothing_up() {
    for depth in [0, 9_007_199_254_740_991, u64::MAX] {
        changes_nothing(Ruse::Depth(depth), "Depth");
    }
}

#[test]
fn an_ancestor_that_never_comes_is_asked_for_in_vain_and_the_room_goes_on() {
    for told in pushed(Ruse::Orphan) {
        told.comes_to("Orphan", "event: 403");
    }
}

#[test]
fn ancestors_that_come_when_asked_for_are_taken() {
    for length in [5, 60] {
        for told in pushed(Ruse::Chain(length)) {
            told.comes_to("Chain", "get_missing_events: 200");
        }
    }
}

#[test]
fn an_event_that_builds_on_another_room_is_dropped() {
    for told in pushed(Ruse::ForeignPast) {
        assert_eq!(told.lies("ForeignPast"), 1);
        assert!(told.came_to("dropped: it builds on an event of another room") >= 1);
    }
}

#[test]
fn an_event_on_an_old_branch_and_one_from_another_time_are_judged_as_all() {
    changes_nothing(Ruse::OldBranch, "OldBranch");
    changes_nothing(Ruse::WrongTime(100_000_000), "WrongTime");
    changes_nothing(Ruse::WrongTime(-100_000_000), "WrongTime");
}

#[test]
fn what_is_no_event_falls_alone() {
    changes_nothing(Ruse::Malformed, "Malformed");
}

#[test]
fn what_is_said_of_the_moment_in_anothers_name_is_not_told() {
    for told in pushed(Ruse::FalseEdus) {
        assert_eq!(told.lies("FalseEdus"), 1);
        assert_eq!(told.came_to("notice Edu"), 0);
    }
}

/// TXN-6
#[test]
fn a_transaction_with_too_many_events_is_refused() {
    for told in pushed(Ruse::TooMany) {
        told.comes_to("TooMany", "send: 400 M_BAD_JSON too many events");
    }
}

/// TXN-7. That the answer is the same, and nothing is shown twice, are promises.
#[test]
fn a_replayed_transaction_changes_nothing() {
    let twice = |scene: Scene| scene.lies(push(Ruse::Orphan)).lies(push(Ruse::Replay));
    for told in in_all_rooms(twice) {
        assert_eq!(told.lies("Replay"), 1);
    }
}

#[test]
fn another_transaction_under_a_used_id_gets_the_first_ones_answer() {
    let again = |scene: Scene| scene.lies(push(Ruse::Denied)).lies(push(Ruse::ReusedId));
    for told in in_all_rooms(again) {
        assert_eq!((told.lies("Denied"), told.lies("ReusedId")), (1, 1));
        assert_eq!(told.came_to("rejected: "), HONEST);
    }
}

/// That the others are answered in time, and never refused, is a promise.
#[test]
fn a_flood_is_held_back_and_refused_in_part() {
    let flood = |scene: Scene| {
        let scene = scene.breaks(Fault::DiskSlow(0, 2_000));
        let scene = scene.lies(Lie::Push(0, Ruse::Flood(400), Some(0)));
        scene.does(1, Deed::Say(0, 1)).does(1, Deed::Topic(0, 1))
    };
    for told in in_all_rooms(flood) {
        assert_eq!(told.lies("Flood"), 1);
        assert!(told.came_to("too many requests are under way") >= 100);
        assert!(told.came_to("too many of your transactions are being received") >= 10);
    }
}
