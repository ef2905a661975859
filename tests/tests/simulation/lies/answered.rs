//! What a hostile server answers.

use comity_core::pdu::RoomVersion;
use comity_tests::simulation::{Corruption, Deed, Lie, Ruse};

use super::{Scene, in_all_rooms};

/// The next answer to a question for missing events is corrupted, and one is asked.
fn asked_for_missing_events(corruption: Corruption) -> impl Fn(Scene) -> Scene {
    move |scene| {
        let scene = scene.lies(Lie::Answer("/get_missing_events/", corruption));
        scene.lies(Lie::Push(0, Ruse::Chain(5), Some(0)))
    }
}

/// The lie is told, and what is missing is had all the same: the rest of the room goes on.
#[track_caller]
fn is_told_in_vain(corruption: Corruption, kind: &str) {
    for told in in_all_rooms(asked_for_missing_events(corruption)) {
        assert_eq!((told.lies("Chain"), told.lies(kind)), (1, 1));
    }
}

#[test]
fn an_error_instead_of_an_answer_is_got_over() {
    is_told_in_vain(Corruption::Refused(500), "RefusedAnswer");
    is_told_in_vain(Corruption::Refused(429), "RefusedAnswer");
}

#[test]
fn an_answer_of_the_wrong_type_is_got_over() {
    is_told_in_vain(Corruption::Garbage, "GarbageAnswer");
    is_told_in_vain(Corruption::Hollow, "HollowAnswer");
    is_told_in_vain(Corruption::WrongTypes, "WrongTypesAnswer");
}

#[test]
fn an_answer_of_the_wrong_room_is_got_over() {
    is_told_in_vain(Corruption::Foreign, "ForeignAnswer");
}

#[test]
fn altered_unsigned_and_missing_events_in_an_answer_are_got_over() {
    is_told_in_vain(Corruption::Altered, "AlteredAnswer");
    is_told_in_vain(Corruption::Unsigned, "UnsignedAnswer");
    is_told_in_vain(Corruption::Shortened, "ShortenedAnswer");
}

#[test]
fn a_slow_an_endless_and_an_oversized_answer_are_got_over() {
    is_told_in_vain(Corruption::Late(40), "LateAnswer");
    is_told_in_vain(Corruption::Endless, "EndlessAnswer");
    is_told_in_vain(Corruption::Oversized, "OversizedAnswer");
}

/// JOIN-6. One who is in another room of the liar's joins by way of the liar, who adds that room's
/// state to the answer.
#[test]
fn a_join_whose_answer_holds_another_rooms_state_takes_none_of_it() {
    let comes_back = |scene: Scene| {
        let scene = scene.does(2, Deed::Topic(1, 7)).does(1, Deed::Join(1, 2));
        let scene = scene.does(1, Deed::Leave(0));
        let lie = Lie::Answer("/send_join/", Corruption::Foreign);
        scene.lies(lie).does(1, Deed::Join(0, 2))
    };
    for told in in_all_rooms(comes_back) {
        assert_eq!(told.lies("ForeignAnswer"), 1);
    }
}

#[test]
fn keys_that_have_expired_or_are_others_hold_up_nobody_else() {
    for (corruption, kind) in [
        (Corruption::Expired, "ExpiredAnswer"),
        (Corruption::Rotated, "RotatedAnswer"),
        (Corruption::Unsigned, "UnsignedAnswer"),
    ] {
        let scene = Scene::nobody_knows_the_liar(RoomVersion::V11);
        let scene = scene.lies(Lie::Answer("/key/", corruption));
        let told = scene.does(2, Deed::Join(0, 0)).play();
        assert_eq!(told.lies(kind), 1);
    }
}
