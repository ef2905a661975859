//! Joins that outlive a crash, and what is said while one is under way (JOIN-5, JOIN-7).

use comity_core::{
    messaging::{
        command::{CommandError, Preset},
        join::candidates::{Failure, NotLetIn},
        notice::Notice,
    },
    pdu::RoomVersion,
    persistence::queries::{Answer, Read},
    transport::remote_response::RemoteError,
};

use crate::stage::{Stage, noticed, room, texts, user};

/// How many joins of server `two` are on record.
pub fn recorded(stage: &mut Stage) -> usize {
    match stage.network.server("two").read(Read::Boot) {
        Answer::Boot(boot) => boot.joins.len(),
        other => panic!("{other:?}"),
    }
}

/// How the joins ended that nobody waited for any more.
pub fn ended(stage: &mut Stage) -> Vec<Result<(), CommandError>> {
    let notices = stage.network.server("two").notices.iter();
    let result = |notice: &Notice| match notice {
        Notice::JoinEnded { result, .. } => Some(result.clone()),
        _ => None,
    };
    notices.filter_map(result).collect()
}

/// JOIN-5, lesson 20: from the moment when the join has left until the room is on disk, a crash at
/// any step ends in the room, and the application is told.
#[test]
fn a_join_that_was_handed_in_before_a_crash_is_taken_up_after_it() {
    let mut resumed = 0;
    for steps in 0..14 {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        for _ in 0..steps {
            stage.network.step();
        }
        stage.network.crash("two");
        let was_recorded = recorded(&mut stage) == 1;
        stage.network.start("two");
        stage.network.settle();
        let ended = ended(&mut stage);
        assert_eq!(recorded(&mut stage), 0, "after {steps} steps");
        match was_recorded {
            true => assert_eq!(ended, [Ok(())], "after {steps} steps"),
            false => assert_eq!(ended, [], "after {steps} steps"),
        }
        resumed += usize::from(was_recorded);
        let has_joined = stage.membership("one", "@bob:two").is_some();
        assert_eq!(stage.own_membership("two").is_some(), has_joined);
        assert!(has_joined || !was_recorded, "after {steps} steps");
        if has_joined {
            stage.must_agree(&servers);
        }
    }
    assert!(resumed > 3, "{resumed}");
}

/// The same, whichever batch was the last that reached the disk.
#[test]
fn a_join_survives_a_loss_of_power_after_any_batch() {
    for commits in 1..8 {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        stage.network.server("two").crash_after(commits);
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        stage.network.settle();
        if !stage.network.server("two").is_up() {
            stage.network.start("two");
            stage.network.settle();
        }
        assert_eq!(recorded(&mut stage), 0, "after {commits} batches");
        let has_joined = stage.membership("one", "@bob:two").is_some();
        assert_eq!(stage.own_membership("two").is_some(), has_joined);
    }
}

/// Nobody waits for the answer any more, so that only the notice says that the join failed: it is
/// given whichever batch was the last that reached the disk.
#[test]
fn a_join_that_failed_is_told_of_also_if_the_server_stops_again_meanwhile() {
    let mut commits_of_the_end = 0;
    for commits in 1.. {
        let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        while recorded(&mut stage) == 0 {
            stage.network.step();
        }
        stage.network.crash("two");
        stage.set_member("one", "@bob:two", "ban").unwrap();
        stage.network.server("two").crash_after(commits);
        stage.network.start("two");
        stage.network.settle();
        let stopped_again = !stage.network.server("two").is_up();
        if stopped_again {
            stage.network.start("two");
            stage.network.settle();
        }
        let ended = ended(&mut stage);
        assert!(!ended.is_empty(), "after {commits} batches");
        assert!(ended.iter().all(Result::is_err), "after {commits} batches");
        assert_eq!(recorded(&mut stage), 0, "after {commits} batches");
        if !stopped_again {
            break;
        }
        commits_of_the_end += 1;
    }
    assert!(commits_of_the_end > 1, "{commits_of_the_end}");
}

/// The one who took the join is gone after the crash: the next one lets our user in.
#[test]
fn a_join_that_is_taken_up_goes_on_to_the_next_server() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
    stage.join("three").unwrap();
    stage.invite("one", "@bob:two").unwrap();
    stage.network.settle();
    let join = stage.join_command(&user("two"), &["one", "three"]);
    stage.network.start_command("two", join);
    while recorded(&mut stage) == 0 {
        stage.network.step();
    }
    stage.network.crash("two");
    stage.network.crash("one");
    stage.network.start("two");
    stage.network.settle();
    assert_eq!(ended(&mut stage), [Ok(())]);
    stage.network.start("one");
    stage.must_agree(&servers);
}

/// Whatever made the server stop, it does not make it stop for ever.
#[test]
fn a_join_that_outlives_too_many_starts_is_given_up() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    let join = stage.join_command(&user("two"), &["one"]);
    stage.network.start_command("two", join);
    while recorded(&mut stage) == 0 {
        stage.network.step();
    }
    stage.network.crash("one");
    let mut starts = 0;
    while recorded(&mut stage) == 1 {
        stage.network.crash("two");
        stage.network.start("two");
        starts += 1;
        assert!(starts < 10);
    }
    assert!(starts > 3, "{starts}");
    assert!(matches!(
        ended(&mut stage)[..],
        [Err(CommandError::Stopped(_))]
    ));
    stage.network.start("one");
    stage.join("two").unwrap();
    stage.must_agree(&["one", "two"]);
}

/// JOIN-7: what is said between the moment when the resident took the join and the one when we have
/// its answer is acknowledged at once, survives a crash, and is shown after the join, in order.
#[test]
fn join_7_what_is_said_during_a_join_is_on_disk_before_the_room_is() {
    for crash in [false, true] {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
        stage.network.lose_response("one", "/send_join/");
        let join = stage.join_command(&user("two"), &["one"]);
        stage.network.start_command("two", join);
        while stage.membership("one", "@bob:two").is_none() {
            stage.network.step();
        }
        for number in 0..5 {
            stage.say("one", &number.to_string());
        }
        stage.pass_seconds(10);
        let summary = stage.network.server("one").statistics().unwrap();
        assert_eq!(summary.queued, 0, "two has acknowledged everything");
        assert!(noticed(&mut stage.network, "two").is_empty());
        assert_eq!(stage.network.server("two").statistics().unwrap().staged, 5);
        if crash {
            stage.network.crash("two");
            stage.network.start("two");
        }
        stage.must_agree(&servers);
        assert_eq!(noticed(&mut stage.network, "two"), texts(0..5));
        assert_eq!(stage.network.server("two").statistics().unwrap().staged, 0);
    }
}

/// A join that fails leaves nothing behind of what came meanwhile.
#[test]
fn join_7_what_came_during_a_join_that_failed_is_refused() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    for _ in 0..2 {
        stage.network.lose_response("one", "/send_join/");
    }
    let join = stage.join_command(&user("two"), &["one"]);
    let joined = stage.network.start_command("two", join);
    while stage.membership("one", "@bob:two").is_none() {
        stage.network.step();
    }
    stage.say("one", "who is there?");
    stage.network.settle();
    let joined = stage.network.server("two").finished(joined).unwrap();
    let Err(CommandError::NotLetIn(NotLetIn { failures, .. })) = joined else {
        panic!("{joined:?}");
    };
    let lost = |failure| matches!(failure, &Failure::SendJoin(RemoteError::Unreachable(_)));
    assert!(
        failures.iter().all(|(_, failure)| lost(failure)),
        "{failures:?}"
    );
    assert!(noticed(&mut stage.network, "two").is_empty());
    assert_eq!(stage.network.server("two").statistics().unwrap().staged, 0);
    stage.join("two").unwrap();
    stage.say("one", "welcome");
    stage.must_agree(&["one", "two"]);
    assert_eq!(
        noticed(&mut stage.network, "two").last().unwrap(),
        "welcome"
    );
}
