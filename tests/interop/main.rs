//! Comity against a real Synapse, both driven through their client APIs alone.
//!
//! Every scenario is played in each room version, once with each server making the room. Two
//! processes are shared by all of them, hence this runner in place of `#[test]`: it starts them
//! for the first scenario and ends them with the last. `README.md` beside this file says how to
//! choose what is played.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value without the key is null, not a panic"
)]

mod bot;
mod choice;
mod conversation;
mod pair;
mod person;
mod scenarios;
mod seen;
mod soak;
mod stage;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;

use comity_tests::homeservers::{
    authority, client, comity, failure, homeserver, installation, process, synapse,
};
use libtest_mimic::{Arguments, Trial};

use crate::choice::Choice;
use crate::pair::SharedPair;
use crate::scenarios::{
    SCENARIOS, SCENARIOS_OF_OLD, backlog, ordinary_life, restarts, secrets, weather,
};
use crate::stage::{ROOM_VERSIONS, ROOM_VERSIONS_OF_OLD};

/// Scenarios mostly wait, so more of them run at once than there are processors.
const SCENARIOS_AT_ONCE: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(SCENARIOS_AT_ONCE);
    let shared = match choice::choose() {
        Choice::Play(casting, python) => Arc::new(SharedPair::new(casting, python)),
        Choice::LeaveOut(reason) => {
            println!("interop: left out, because {reason}");
            return ExitCode::SUCCESS;
        }
        Choice::Fail(reason) => {
            println!("interop: cannot run: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials(&shared));
    if let Some(shared) = Arc::into_inner(shared) {
        shared.close(conclusion.has_failed());
    }
    conclusion.exit_code()
}

fn trials(shared: &Arc<SharedPair>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let old = ROOM_VERSIONS_OF_OLD.map(|version| (version, SCENARIOS_OF_OLD));
    let new = ROOM_VERSIONS.map(|version| (version, SCENARIOS));
    for (server, label) in shared.casting().labels().into_iter().enumerate() {
        for (version, scenarios) in old.into_iter().chain(new) {
            for (name, scenario) in scenarios {
                let shared = shared.clone();
                let name = format!("v{version}::room_of_{label}::{name}");
                trials.push(Trial::test(name, move || {
                    Ok(shared.play(|pair| scenario(&pair.stage(server, version)))?)
                }));
            }
        }
        let restarted = shared.clone();
        let name = format!("restarts::{label}_goes_down_while_all_talk");
        trials.push(Trial::test(name, move || {
            Ok(restarted.play_alone(|pair| restarts::goes_down_while_all_talk(pair, server))?)
        }));
        let living = shared.clone();
        let name = format!("ordinary_life::bots_live_it_on_{label}");
        trials.push(Trial::test(name, move || {
            Ok(living.play(|pair| ordinary_life::is_lived(pair, server))?)
        }));
        let bots = shared.clone();
        let name = format!("secrets::bots_keep_them_in_a_room_of_{label}");
        trials.push(Trial::test(name, move || {
            Ok(bots.play_alone(|pair| secrets::are_kept(pair, server))?)
        }));
        let behind = shared.clone();
        let name = format!("outage::{label}_misses_much_and_hears_it_all");
        trials.push(Trial::test(name, move || {
            Ok(behind.play_alone(|pair| backlog::is_made_good(pair, server))?)
        }));
    }
    for (name, scenario) in weather::SCENARIOS {
        let shared = shared.clone();
        trials.push(Trial::test(*name, move || Ok(shared.play_alone(scenario)?)));
    }
    let soaked = shared.clone();
    let soak = Trial::test("soak", move || Ok(soaked.play_alone(soak::soak)?));
    trials.push(soak.with_ignored_flag(true));
    trials
}
