//! What happens to an event on its way: to its fields after they were signed, or to its text.

use comity_core::pdu::{RoomVersion, canonical_json::Object};
use serde_json::{Value, json};

use super::{
    dice::Dice,
    draft::{Draft, redact},
    odd,
};

type Tamper = fn(&mut Dice, &mut Object, RoomVersion);
type Rewrite = fn(&mut Dice, String) -> String;

const TAMPERINGS: &[(&str, Tamper)] = &[
    ("altered content", |dice, event, _| {
        event["content"] = json!({ "membership": dice.pick_value(json!(["join", "ban"])), "x": 1 });
    }),
    ("a redacted copy", |_, event, version| {
        *event = redact(event, version)
    }),
    ("a value added to the content", |dice, event, _| {
        if let Some(content) = event.get_mut("content").and_then(Value::as_object_mut) {
            content.insert("x".to_owned(), odd::value(dice));
        }
    }),
    ("an altered field", |dice, event, _| {
        let fields: Vec<_> = event.keys().cloned().collect();
        let field = dice.pick(&fields).clone();
        event.insert(field, odd::value(dice));
    }),
    ("a field added", |dice, event, _| {
        let field = *dice.pick(&[
            "x",
            "origin",
            "unsigned",
            "age_ts",
            "outlier",
            "destinations",
            "redacts",
        ]);
        event.insert(field.to_owned(), odd::value(dice));
    }),
    ("hashes", |dice, event, _| {
        let hash = event["hashes"]["sha256"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        event["hashes"] = dice.pick_value(json!([
            null, [], {}, { "sha256": 5 }, { "sha256": "" }, { "sha256": "A".repeat(43) }, { "sha256": "no base64!" },
            { "sha256": format!("{hash}=") }, { "sha256": hash.replace('+', "-").replace('/', "_") },
            { "sha256": hash, "x": 1 }, { "sha512": hash }, { "sha256": format!("{hash}==") },
            { "sha256": format!("{hash} ") },
        ]));
    }),
    ("signatures", |dice, event, _| {
        event["signatures"] = dice.pick_value(json!([
            null, [], {}, "x", { "a.example": {} }, { "a.example": [] }, { "a.example": null },
            { "b.example": { "ed25519:present": 5 } }, { "a.example": { "ed25519:present": "x" } },
        ]));
    }),
    ("a signature", |dice, event, _| {
        let Some(servers) = event["signatures"].as_object_mut() else {
            return;
        };
        for (_, keys) in servers.iter_mut() {
            for (_, signature) in keys.as_object_mut().into_iter().flatten() {
                *signature = odd_signature(dice, signature.as_str().unwrap_or_default());
            }
        }
    }),
    ("a signature more", |dice, event, _| {
        let server = *dice.pick(&["a.example", "b.example", "x.example", "", "d.example"]);
        let key_id = *dice.pick(&[
            "ed25519:x",
            "ed25519:",
            "x",
            "",
            "curve25519:x",
            "ed25519:present",
            "ed25519:former",
        ]);
        let value = dice.pick_value(json!(["x", 5, null, "A".repeat(86)]));
        if let Some(servers) = event["signatures"].as_object_mut() {
            let of_server = servers.entry(server).or_insert_with(|| json!({}));
            if let Some(of_server) = of_server.as_object_mut() {
                of_server.insert(key_id.to_owned(), value);
            }
        }
    }),
];

const REWRITINGS: &[(&str, Rewrite)] = &[
    ("white space", |_, text| {
        serde_json::from_str::<Value>(&text).map_or(text, |value| format!("\n{value:#}\t\r\n"))
    }),
    ("everything escaped", |_, text| escaped(&text)),
    ("a key before its double", |dice, text| {
        let (key, value) = (dice.pick(&DOUBLES), odd::value(dice));
        text.replacen('{', &format!("{{\"{key}\":{value},"), 1)
    }),
    ("a key after its double", |dice, text| {
        let (key, value) = (dice.pick(&DOUBLES), odd::value(dice));
        format!("{},\"{key}\":{value}}}", text.trim_end_matches('}'))
    }),
    ("no JSON", |dice, text| match dice.below(6) {
        0 => text.replacen("\"depth\":", "\"depth\":0", 1),
        1 => format!("{text}x"),
        2 => format!("\u{feff}{text}"),
        3 => text.replacen('{', "{\"x\":NaN,", 1),
        4 => format!("[{text}]"),
        _ => text.replacen('}', ",}", 1),
    }),
    ("a lone surrogate", |_, text| {
        text.replacen("\"content\":{", "\"content\":{\"x\":\"\\ud800\",", 1)
    }),
    ("a surrogate pair", |_, text| {
        text.replacen("\"content\":{", "\"content\":{\"x\":\"\\ud83d\\uDE00\",", 1)
    }),
    ("depth with a fraction", |_, text| {
        text.replacen("\"depth\":", "\"depth\":0.", 1)
    }),
    ("a raw control character", |_, text| {
        text.replacen("\"content\":{", "\"content\":{\"x\":\"\u{1}\",", 1)
    }),
];

/// Lets one thing happen to the event after it was signed, and says what.
pub fn apply_one(dice: &mut Dice, draft: &mut Draft) -> &'static str {
    if dice.once_in(3) {
        let (name, rewrite) = dice.pick(REWRITINGS);
        draft.rewriting.push(*rewrite);
        return name;
    }
    let (name, tamper) = dice.pick(TAMPERINGS);
    draft.tampering.push(*tamper);
    name
}

fn odd_signature(dice: &mut Dice, signature: &str) -> Value {
    let flipped = match signature.starts_with('A') {
        true => signature.replacen('A', "B", 1),
        false => format!("A{}", signature.get(1..).unwrap_or_default()),
    };
    dice.pick_value(json!([
        flipped,
        format!("{signature}=="),
        format!("{signature}="),
        format!("{signature}x"),
        "",
        5,
        null,
        signature.replace('+', "-").replace('/', "_"),
        signature.get(..40),
        format!(" {signature}"),
        format!("{signature}\n"),
    ]))
}

/// Keys that may come twice.
const DOUBLES: [&str; 9] = [
    "depth",
    "content",
    "type",
    "sender",
    "x",
    "hashes",
    "unsigned",
    "room_id",
    "state_key",
];

/// Every character of every string that is no ASCII letter or digit as `\u`, and slashes with `\`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let (mut in_string, mut after_backslash) = (false, false);
    for character in text.chars() {
        match character {
            '"' if !after_backslash => {
                in_string = !in_string;
                out.push('"');
            }
            '/' if in_string => out.push_str("\\/"),
            other
                if in_string
                    && !after_backslash
                    && other != '\\'
                    && !other.is_ascii_alphanumeric() =>
            {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            other => out.push(other),
        }
        after_backslash = character == '\\' && !after_backslash;
    }
    out
}
