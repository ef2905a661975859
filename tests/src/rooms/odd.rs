//! Values that are not what belongs where they stand.

use comity_core::pdu::RoomVersion;
use serde_json::{Value, json};

use super::{
    dice::Dice,
    draft::{Draft, NUMBER},
};

/// A value of any kind.
pub fn value(dice: &mut Dice) -> Value {
    dice.pick_value(json!([
        null, true, false, 0, 1, -1, 50, 9_007_199_254_740_991_i64, "", "x", "50", [], ["x"], [50], {},
        { "x": 1 }, [[]], "@alice:b.example", "$x", "é\u{1}\"\\/😀\u{7f}",
    ]))
}

/// A power level that is none everywhere.
pub fn level(dice: &mut Dice) -> Value {
    dice.pick_value(json!([
        "50",
        " 50 ",
        "+50",
        "-50",
        "0050",
        "5_0",
        "٥٠",
        "",
        "fifty",
        "50.0",
        "\t50\n",
        "5 0",
        null,
        true,
        false,
        [],
        {},
        [50],
        "1e2",
        "9007199254740992",
        "99999999999999999999",
        "\u{a0}50",
        "--1",
        "+",
        9_007_199_254_740_991_i64,
        -9_007_199_254_740_991_i64,
    ]))
}

/// A user id, or what somebody may take for one.
pub fn user_id(dice: &mut Dice) -> Value {
    dice.pick_value(json!([
        "@nobody:x.example",
        "alice",
        "@alice",
        "@",
        "",
        "@:b.example",
        "@alice:",
        "@Älice Ü:b.example",
        "@alice:B.example",
        "@alice:b.example:443",
        "@alice:b.example:",
        "@alice:b.example:+443",
        "@alice:bad domain",
        "#alice:b.example",
        "@ALICE:b.example",
        "@a\u{0}b:b.example",
        "@a:b:b.example",
        "@alice:1.2.3.4",
        "@alice:[::1]:80",
        "@alice:b_example",
        "@alice:b.example:99999",
        5,
        null,
        [],
    ]))
}

/// Numbers as they may be sent, with how Synapse hashes them, for versions that allow any. All
/// others must refuse them, unless they are integers in ±(2^53−1).
const NUMBERS: [(&str, &str); 14] = [
    ("0.5", "0.5"),
    ("-0", "0"),
    ("-0.0", "-0.0"),
    ("1.0", "1.0"),
    ("1.50", "1.5"),
    ("1e2", "100.0"),
    ("1E2", "100.0"),
    ("1e20", "1e+20"),
    ("1e-7", "1e-07"),
    ("9007199254740992", "9007199254740992"),
    ("-9007199254740992", "-9007199254740992"),
    ("18446744073709551616", "18446744073709551616"),
    (
        "123456789012345678901234567890",
        "123456789012345678901234567890",
    ),
    ("1e400", "1e400"),
];

/// Where a number may stand that JSON values cannot hold.
pub fn number(dice: &mut Dice, draft: &mut Draft, _: RoomVersion) {
    draft.number = Some(*dice.pick(&NUMBERS));
    match dice.below(6) {
        0 => draft.set("origin_server_ts", NUMBER),
        1 => draft.set("depth", NUMBER),
        2 => draft.set("x", NUMBER),
        3 if draft.text_at("type") == "m.room.power_levels" => {
            let name = *dice.pick(&["ban", "users_default", "state_default"]);
            draft.content().insert(name.to_owned(), NUMBER.into());
        }
        _ => {
            draft.content().insert("x".to_owned(), json!([NUMBER]));
        }
    }
}
