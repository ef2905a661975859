//! Plays rooms and puts every question they raise to the panel.

use std::{collections::BTreeMap, env, fs};

use comity_core::pdu::RoomVersion;
use comity_tests::rooms::{History, Standing, State};
use serde_json::Value;

use crate::{
    answers::Oracle, deeds::Deeds, installation, panel::Panel, ruma::Ruma, synapse::Synapse,
};

/// How many events are proposed in a room.
const PROPOSALS_PER_ROOM: usize = 40;

/// How many cases are played of each version if nobody says otherwise.
const USUAL_CASES: usize = 600;

/// In how many cases everything that happens in rooms should happen.
const ENOUGH_CASES: usize = 5_000;

/// How many differences are shown at most.
const SHOWN: usize = 10;

/// Plays rooms of this version, until there were enough cases.
///
/// A case is an event that somebody proposes, with all the questions it raises: it is received, the
/// states it follows are resolved, and it is authorised.
pub fn compare(version: RoomVersion) {
    let mut panel = Panel::new(version, peers());
    let (first_room, cases) = match room_to_repeat(version) {
        Repeat::Nothing => (0, number_from("COMITY_CASES").unwrap_or(USUAL_CASES)),
        Repeat::Room(seed) => (seed, PROPOSALS_PER_ROOM),
        Repeat::AnotherVersion => return,
    };
    let rooms = cases.div_ceil(PROPOSALS_PER_ROOM);
    let (mut seen, mut unexplained) = (Seen::default(), Vec::new());
    for seed in first_room..first_room + rooms as u64 {
        let room = Room {
            history: History::new(version, seed),
            panel: &mut panel,
            seen: &mut seen,
        };
        for (line, case) in room.play() {
            unexplained.push((format!("COMITY_ROOM={version}:{seed} {line}"), case));
        }
    }
    println!(
        "version {version}: {} cases in {rooms} rooms",
        rooms * PROPOSALS_PER_ROOM
    );
    println!("{}{}", panel.summary(), seen.deeds.summary(version));
    if env::var_os("COMITY_ODDITIES").is_some() {
        println!("{:#?}", seen.oddities);
    }
    complain(version, &unexplained);
    let missing = seen.deeds.missing(version);
    assert!(
        cases < ENOUGH_CASES || missing.is_empty(),
        "nowhere was there {missing:?}"
    );
}

/// What the rooms were made of.
#[derive(Default)]
struct Seen {
    deeds: Deeds,
    oddities: BTreeMap<&'static str, usize>,
}

/// Fails if there is a difference that nothing explains, and leaves all that was asked in a file.
fn complain(version: RoomVersion, unexplained: &[(String, Value)]) {
    let file = format!("{}/differences-{version}.json", env!("CARGO_TARGET_TMPDIR"));
    let (lines, cases): (Vec<_>, Vec<_>) = unexplained.iter().cloned().unzip();
    if lines.is_empty() {
        return;
    }
    fs::write(&file, format!("{:#}", Value::from(cases)))
        .expect("the target directory is writable");
    panic!(
        "{} differences that nothing explains. All that was asked is in {file}; the first are\n{}",
        lines.len(),
        lines[..lines.len().min(SHOWN)].join("\n")
    );
}

/// Ruma, and Synapse where it is installed.
fn peers() -> Vec<Box<dyn Oracle>> {
    let mut peers: Vec<Box<dyn Oracle>> = vec![Box::new(Ruma::new())];
    let wish = env::var("COMITY_INTEROP").unwrap_or_default();
    match installation::python() {
        _ if wish == "off" => println!("differential: without Synapse, as COMITY_INTEROP is off"),
        Ok(python) => peers.push(Box::new(Synapse::start(&python))),
        Err(reason) if wish == "require" => panic!("differential: cannot run: {reason}"),
        Err(reason) => println!("differential: without Synapse, because {reason}"),
    }
    peers
}

enum Repeat {
    Nothing,
    Room(u64),
    AnotherVersion,
}

/// The room that `COMITY_ROOM` names, as `version:seed`.
fn room_to_repeat(version: RoomVersion) -> Repeat {
    let Ok(room) = env::var("COMITY_ROOM") else {
        return Repeat::Nothing;
    };
    let (wanted, seed) = room.split_once(':').expect("COMITY_ROOM is version:seed");
    match wanted == version.as_str() {
        true => Repeat::Room(seed.parse().expect("the seed is a number")),
        false => Repeat::AnotherVersion,
    }
}

fn number_from(variable: &str) -> Option<usize> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}

struct Room<'a> {
    history: History,
    panel: &'a mut Panel,
    seen: &'a mut Seen,
}

impl Room<'_> {
    /// Plays the room to its end, and returns what nothing explains.
    fn play(mut self) -> Vec<(String, Value)> {
        self.panel.begin();
        let another = self.history.create_of_another_room();
        if let Some(taken) = self.panel.receive(&another.text) {
            self.history
                .take_foreign(&taken.event_id, &taken.room_id, &taken.kept);
        }
        for _ in 0..PROPOSALS_PER_ROOM {
            let branches = self.history.branches();
            let before = self.resolve(&branches);
            let proposal = self.history.propose(&before);
            for oddity in proposal.oddities {
                *self.seen.oddities.entry(oddity).or_default() += 1;
            }
            self.judge(&proposal.text, &before);
            let wild = self.history.wild_states();
            if !wild.is_empty() {
                self.resolve(&wild);
            }
        }
        self.panel.take_unexplained()
    }

    fn resolve(&mut self, states: &[State]) -> State {
        let Some((first, others)) = states.split_first() else {
            return State::new();
        };
        if others.iter().all(|other| other == first) {
            return first.clone();
        }
        let known = self.history.events();
        let events = |state: &State| state.values().map(|id| &known[id]).collect();
        let states: Vec<Vec<_>> = states.iter().map(events).collect();
        let resolved = self.panel.resolve(&states);
        let entry = |id: String| known[&id].key.clone().map(|key| (key, id));
        resolved.into_iter().filter_map(entry).collect()
    }

    fn judge(&mut self, text: &str, state: &State) {
        let Some(taken) = self.panel.receive(text) else {
            return;
        };
        let known = self.history.events();
        if known.contains_key(&taken.event_id) {
            return;
        }
        let event: Value = serde_json::from_str(&taken.kept).expect("canonical JSON");
        let before: Vec<_> = state.values().map(|id| &known[id]).collect();
        let named = event["auth_events"].as_array().into_iter().flatten();
        let named = named.filter_map(|item| item.get(0).unwrap_or(item).as_str());
        let Some(auth_events) = named.map(|id| known.get(id)).collect::<Option<Vec<_>>>() else {
            // A server asks for auth events that it lacks, and judges nothing without them.
            return;
        };
        let verdict = self
            .panel
            .authorise(&taken.event_id, &taken.kept, &before, &auth_events);
        let Some(verdict) = verdict else {
            return;
        };
        let standing = match (verdict.by_auth_events, verdict.on_state) {
            (Err(_), _) => Standing::Rejected,
            (Ok(()), Err(_)) => Standing::RejectedByState,
            (Ok(()), Ok(())) => Standing::Allowed,
        };
        match standing {
            Standing::Allowed => self.seen.deeds.count(&event),
            Standing::RejectedByState | Standing::Rejected => self.panel.reject(&taken.event_id),
        }
        self.history.take(
            &taken.event_id,
            &taken.room_id,
            &taken.kept,
            state,
            standing,
        );
    }
}
