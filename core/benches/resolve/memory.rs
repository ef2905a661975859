//! What a loaded room takes besides its events.

use allocation_counter::measure;
use comity_core::{
    engine::world,
    pdu::{RoomVersion, StateMap, event_type::MEMBER},
    persistence::{
        queries::LoadedRoom,
        tables::{RoomRecord, SnapshotId, StateEntry},
    },
};
use ruma_common::OwnedUserId;

use crate::room::Room;

/// How many rooms the resident growth is measured over.
const ROOMS: usize = 16;

pub fn print(members: usize) {
    let (room, state) = Room::new(RoomVersion::V12, members);
    // What loading a room leaves behind is there once, however many are loaded after it.
    let first = load(&state);
    let before = resident();
    let rooms: Vec<_> = (0..ROOMS).map(|_| load(&state)).collect();
    let after = resident();
    let mut one = None;
    let requested = measure(|| one = Some(load(&state))).bytes_current;
    let mut alone = None;
    let state_alone = measure(|| alone = Some(loaded_state(&state))).bytes_current;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!(
        "a room of {members} members besides its events: {:.1} MiB asked for, of which the state {:.1} MiB",
        mib(requested as f64),
        mib(state_alone as f64),
    );
    if let (Some(before), Some(after)) = (before, after) {
        let growth = (after - before) * 1024.0 / ROOMS as f64;
        println!(
            "resident growth for each of {ROOMS} such rooms: {:.1} MiB (bar: 8)",
            mib(growth)
        );
    }
    drop((room, first, rooms, one, alone));
}

fn entries(state: &StateMap) -> Vec<StateEntry> {
    let entries = state.iter().map(|(entry, event_id)| StateEntry {
        key: entry.into(),
        event_id: event_id.to_owned(),
    });
    entries.collect()
}

fn loaded_state(state: &StateMap) -> StateMap {
    let entries = entries(state).into_iter();
    entries.map(|entry| (entry.key, entry.event_id)).collect()
}

/// The room as it is after its row and its state were read from a store.
fn load(state: &StateMap) -> world::Room {
    let members = state
        .iter()
        .filter(|((event_type, _), _)| *event_type == MEMBER);
    let joined = members.map(|((_, user), _)| OwnedUserId::try_from(user).unwrap());
    world::Room::from(LoadedRoom {
        record: RoomRecord {
            room_id: "!room:example.org".try_into().unwrap(),
            version: RoomVersion::V12,
            extremities: Vec::new(),
            current: SnapshotId::default(),
            least_depth: 1,
        },
        state: entries(state),
        joined: joined.collect(),
    })
}

/// The memory of this process that is in RAM, in KiB, where the system tells.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
