//! What users do to the power levels.

use comity_core::pdu::{RoomVersion, canonical_json::Object, room_version::LevelForm};
use serde_json::{Value, json};

use super::{
    deeds::{CREATOR, USERS},
    dice::Dice,
};

const NAMED: [&str; 7] = [
    "ban",
    "events_default",
    "invite",
    "kick",
    "redact",
    "state_default",
    "users_default",
];

/// The levels at the beginning of most rooms.
pub fn usual(dice: &mut Dice, version: RoomVersion) -> Value {
    let mut users = json!({ USERS[1]: 50 });
    if !version.rules().creators_above_levels {
        users[CREATOR] = 100.into();
    }
    let mut levels = json!({
        "users": users,
        "events": { "m.room.name": 50, "x": 0 },
        "notifications": { "room": 50 },
    });
    for name in NAMED {
        if !dice.once_in(4) {
            let usual = [50, 0, 0, 50, 50, 50, 0];
            let index = NAMED.iter().position(|other| *other == name);
            levels[name] = index.map_or(0, |index| usual[index]).into();
        }
    }
    levels
}

/// The present levels with one to three of them changed.
pub fn changed(dice: &mut Dice, mut levels: Object, version: RoomVersion) -> Value {
    if levels.is_empty() {
        return usual(dice, version);
    }
    for _ in 0..=dice.below(3) {
        change_one(dice, &mut levels, version);
    }
    Value::Object(levels)
}

fn change_one(dice: &mut Dice, levels: &mut Object, version: RoomVersion) {
    let level = some_level(dice, version);
    let (map, key) = match dice.below(10) {
        0..5 => ("users", *dice.pick(&USERS)),
        5..7 => (
            "events",
            *dice.pick(&["x", "m.room.name", "m.room.member", "m.room.power_levels"]),
        ),
        7 => ("notifications", *dice.pick(&["room", "x"])),
        _ => {
            let name = *dice.pick(&NAMED);
            match dice.once_in(5) {
                true => levels.remove(name),
                false => levels.insert(name.to_owned(), level),
            };
            return;
        }
    };
    if key == CREATOR && version.rules().creators_above_levels && !dice.once_in(10) {
        return;
    }
    let map = levels.entry(map).or_insert_with(|| json!({}));
    let Some(map) = map.as_object_mut() else {
        return;
    };
    match dice.once_in(5) {
        true => map.remove(key),
        false => map.insert(key.to_owned(), level),
    };
}

fn some_level(dice: &mut Dice, version: RoomVersion) -> Value {
    let level = *dice.pick(&[0, 0, 1, 25, 49, 50, 50, 51, 75, 99, 100, 100, 101, -1]);
    let text_allowed = version.rules().levels != LevelForm::Integer;
    match dice.below(8) {
        0 if text_allowed => level.to_string().into(),
        1 if version.rules().levels == LevelForm::Number => json!(f64::from(level) + 0.5),
        _ => level.into(),
    }
}
