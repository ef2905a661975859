//! What an operator is told of how the server stands.

use comity_core::{
    messaging::{
        command::{Command, Reply},
        status::{DestinationState, Status},
    },
    pdu::RoomVersion,
};

use crate::stage::Stage;

fn status(stage: &mut Stage) -> Status {
    match stage.network.run("one", Command::Status) {
        Ok(Reply::Status(status)) => *status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_does_not_answer_is_told_of_until_it_has_everything() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.say("one", "Hello.");
    stage.network.settle();
    assert_eq!(status(&mut stage).destinations, []);
    stage.network.set_cut("one", "two", true);
    stage.say("one", "Anybody there?");
    stage.pass_seconds(90);

    let before = stage.network.now().wall;
    let destinations = status(&mut stage).destinations;
    let [two] = destinations.as_slice() else {
        panic!("{destinations:?}");
    };
    assert_eq!(two.server, "two");
    assert!(two.failures > 1 && two.more_on_disk, "{two:?}");
    assert!(matches!(two.state, DestinationState::BackingOff { until } if until > before));
    let error = two.last_error.as_ref().expect("it failed");
    assert!(two.last_success < Some(error.at) && two.last_success.is_some());
    assert!(error.at <= before && !error.reason.is_empty());

    stage.network.set_cut("one", "two", false);
    stage.network.settle();
    assert_eq!(status(&mut stage).destinations, []);
}

#[test]
fn a_job_is_told_of_with_what_it_waits_for() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    let who = Command::Profile("@somebody:two".try_into().unwrap());
    stage.network.start_command("one", who);
    let jobs = stage.network.server("one").jobs();
    let [job] = jobs.as_slice() else {
        panic!("{jobs:?}");
    };
    assert_eq!(job.kind, "UserProfile");
    assert_eq!(
        job.waits_for,
        ["two to answer GET /_matrix/federation/v1/query/profile"]
    );
    stage.network.settle();
    assert_eq!(status(&mut stage).jobs, []);
}

#[test]
fn a_room_with_several_ends_is_told_of() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.settle();
    stage.network.set_cut("one", "two", true);
    stage.say("one", "on this side");
    stage.say("two", "on that side");
    assert_eq!(status(&mut stage).rooms, []);
    stage.network.set_cut("one", "two", false);
    stage.network.settle();
    let rooms = status(&mut stage).rooms;
    assert_eq!(rooms.len(), 1);
    assert_eq!(
        (&rooms[0].room_id, rooms[0].extremities),
        (&stage.room_id, 2)
    );
}
