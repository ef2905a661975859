//! What is odd about an event whose hashes and signatures are right: its server wanted it so.

use std::collections::BTreeMap;

use comity_core::pdu::{RoomVersion, canonical_json::Object};
use serde_json::{Value, json};

use super::{
    deeds::USERS,
    dice::Dice,
    draft::{Draft, server_of},
    odd,
    past::KnownEvent,
    servers::{FORMER_KEY, PRESENT_KEY, UNKNOWN_KEY},
};

/// Where an event is made: the room's version and its events.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub version: RoomVersion,
    pub events: &'a BTreeMap<String, KnownEvent>,
}

type Edit = fn(&mut Dice, &mut Draft, Scene<'_>);

const EDITS: &[(&str, Edit)] = &[
    ("depth", |dice, draft, _| {
        draft.set(
            "depth",
            dice.pick_value(json!([
                0,
                -1,
                9_007_199_254_740_991_i64,
                "5",
                null,
                true,
                [],
                1
            ])),
        );
    }),
    ("origin_server_ts", |dice, draft, _| {
        draft.set(
            "origin_server_ts",
            dice.pick_value(json!([0, -1, 9_007_199_254_740_991_i64, "5", null, true])),
        );
    }),
    ("type", |dice, draft, _| {
        let long = [255, 256].map(|length| "t".repeat(length));
        let wide = "é".repeat(128);
        let types = json!([
            5,
            null,
            "",
            long[0],
            long[1],
            wide,
            "m.room.member",
            "m.room.create",
            "m.room.aliases"
        ]);
        draft.set("type", dice.pick_value(types));
    }),
    ("sender", sender),
    ("room_id", |dice, draft, _| {
        let hash = "A".repeat(43);
        let ids = json!([
            null,
            5,
            "",
            "!",
            "!x",
            "room",
            "!another:a.example",
            "!room:b.example",
            format!("!{hash}"),
            format!("!{hash}:a.example"),
            "!room:a.example",
            "!a b:a.example",
            "!room:",
            "$room:a.example",
        ]);
        draft.set("room_id", dice.pick_value(ids));
    }),
    ("state_key", |dice, draft, _| {
        let long = [255, 256].map(|length| "k".repeat(length));
        let wide = "é".repeat(128);
        let keys = json!([
            5,
            null,
            "",
            "x",
            long[0],
            long[1],
            wide,
            "b.example",
            "@alice:b.example"
        ]);
        draft.set("state_key", dice.pick_value(keys));
    }),
    ("state_key of a user", |dice, draft, _| {
        draft.set("state_key", odd::user_id(dice))
    }),
    ("a field missing", |dice, draft, _| {
        let fields: Vec<_> = draft.fields.keys().cloned().collect();
        if let Some(field) = dice.choose(fields) {
            draft.fields.remove(&field);
        }
    }),
    ("a field of another type", |dice, draft, _| {
        let fields: Vec<_> = draft.fields.keys().cloned().collect();
        if let Some(field) = dice.choose(fields) {
            draft.set(&field, odd::value(dice));
        }
    }),
    ("a field more", |dice, draft, _| {
        let field = *dice.pick(&[
            "origin",
            "prev_state",
            "membership",
            "redacts",
            "age_ts",
            "outlier",
            "destinations",
            "unsigned",
            "event_id",
            "x",
            "replaces_state",
            "prev_content",
            "age",
            "user_id",
            "internal_metadata",
        ]);
        draft.set(field, odd::value(dice));
    }),
    ("content", |dice, draft, _| {
        draft.set("content", odd::value(dice))
    }),
    ("a value of the content", content_value),
    ("a value of the content", content_value),
    ("a value of the content missing", |dice, draft, _| {
        let keys: Vec<_> = draft.content().keys().cloned().collect();
        if let Some(key) = dice.choose(keys) {
            draft.content().remove(&key);
        }
    }),
    ("a value of the content more", |dice, draft, _| {
        let key = *dice.pick(&[
            "membership",
            "join_authorised_via_users_server",
            "third_party_invite",
            "creator",
            "room_version",
            "m.federate",
            "additional_creators",
            "join_rule",
            "allow",
            "users",
            "events",
            "ban",
            "invite",
            "notifications",
            "redacts",
            "aliases",
            "history_visibility",
            "public_key",
            "public_keys",
        ]);
        let value = odd::value(dice);
        draft.content().insert(key.to_owned(), value);
    }),
    ("membership", |dice, draft, _| {
        let membership = json!([
            "JOIN",
            "joined",
            "",
            null,
            5,
            ["join"],
            "knock",
            "ban",
            "leave",
            "invite",
            "join"
        ]);
        draft
            .content()
            .insert("membership".to_owned(), dice.pick_value(membership));
    }),
    ("join_rule", |dice, draft, _| {
        let rule = json!([
            "PUBLIC",
            "",
            null,
            5,
            [],
            "private",
            "knock_restricted",
            "restricted",
            "public"
        ]);
        draft
            .content()
            .insert("join_rule".to_owned(), dice.pick_value(rule));
    }),
    ("authorising user", |dice, draft, _| {
        let user = match dice.once_in(2) {
            true => odd::user_id(dice),
            false => (*dice.pick(&USERS)).into(),
        };
        draft
            .content()
            .insert("join_authorised_via_users_server".to_owned(), user);
    }),
    ("additional_creators", |dice, draft, _| {
        let user = odd::user_id(dice);
        let users = json!([
            user,
            [user],
            [USERS[1], user],
            [],
            {},
            "x",
            [USERS[1], USERS[1]]
        ]);
        draft
            .content()
            .insert("additional_creators".to_owned(), dice.pick_value(users));
    }),
    ("power level", power_level),
    ("power level", power_level),
    ("level of an odd user", |dice, draft, _| {
        if let Some(user) = odd::user_id(dice).as_str() {
            in_map(draft.content(), "users").insert(user.to_owned(), 0.into());
        }
    }),
    ("third_party_invite", third_party_invite),
    ("another auth event", |dice, draft, scene| {
        add_auth_event(dice, draft, scene, |_| true)
    }),
    ("a rejected auth event", |dice, draft, scene| {
        add_auth_event(dice, draft, scene, |known| known.is_rejected());
    }),
    ("older auth events", older_auth_events),
    ("an auth event less", |dice, draft, _| {
        let events = references(draft, "auth_events");
        if !events.is_empty() {
            events.remove(dice.below(events.len()));
        }
    }),
    ("an auth event twice", |dice, draft, _| {
        let events = references(draft, "auth_events");
        if let Some(event) = dice.choose(events.clone()) {
            events.push(event);
        }
    }),
    ("auth events in another order", |_, draft, _| {
        references(draft, "auth_events").reverse()
    }),
    ("an odd reference", odd_reference),
    ("many references", |dice, draft, scene| {
        let (field, count) = *dice.pick(&[
            ("auth_events", 10),
            ("auth_events", 11),
            ("prev_events", 20),
            ("prev_events", 21),
        ]);
        let known: Vec<_> = scene.events.values().map(KnownEvent::reference).collect();
        while !known.is_empty() && references(draft, field).len() < count {
            references(draft, field).push(dice.pick(&known).clone());
        }
    }),
    ("no previous events", |_, draft, _| {
        draft.set("prev_events", json!([]))
    }),
    ("signers", signers),
    ("a former key", |_, draft, _| {
        draft
            .signers
            .iter_mut()
            .for_each(|signer| signer.1 = FORMER_KEY)
    }),
    ("the size", size),
    ("a number", |dice, draft, scene| {
        odd::number(dice, draft, scene.version)
    }),
    ("nesting", |dice, draft, _| {
        let depth = *dice.pick(&[50, 100, 120, 124, 125, 126, 127, 140]);
        let nested = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        draft.content().insert("x".to_owned(), nested);
    }),
    ("unusual text", |dice, draft, _| {
        let text = *dice.pick(&[
            "é😀\u{ffff}",
            "\u{0}\u{1}\u{1f}",
            "\"\\/\u{7f}\u{2028}",
            "\u{feff}",
            "\r\n\t\u{8}\u{c}",
        ]);
        draft.content().insert(text.to_owned(), text.into());
    }),
];

/// Makes one thing about the event odd, and says what.
pub fn apply_one(dice: &mut Dice, draft: &mut Draft, scene: Scene<'_>) -> &'static str {
    let (name, edit) = dice.pick(EDITS);
    edit(dice, draft, scene);
    name
}

/// Another sender, whose server signs too.
fn sender(dice: &mut Dice, draft: &mut Draft, _: Scene<'_>) {
    let sender = match dice.once_in(3) {
        true => Value::from(*dice.pick(&USERS)),
        false => odd::user_id(dice),
    };
    let server = sender
        .as_str()
        .map(server_of)
        .unwrap_or_default()
        .to_owned();
    draft.signers.push((server, PRESENT_KEY));
    draft.set("sender", sender);
}

fn content_value(dice: &mut Dice, draft: &mut Draft, _: Scene<'_>) {
    let keys: Vec<_> = draft.content().keys().cloned().collect();
    if let Some(key) = dice.choose(keys) {
        let value = odd::value(dice);
        draft.content().insert(key, value);
    }
}

fn power_level(dice: &mut Dice, draft: &mut Draft, scene: Scene<'_>) {
    if draft.text_at("type") != "m.room.power_levels" {
        return content_value(dice, draft, scene);
    }
    let level = odd::level(dice);
    let content = draft.content();
    match dice.below(4) {
        0 => in_map(content, "users").insert((*dice.pick(&USERS)).to_owned(), level),
        1 => in_map(content, "events").insert("x".to_owned(), level),
        2 => in_map(content, "notifications").insert("room".to_owned(), level),
        _ => {
            let name = *dice.pick(&[
                "ban",
                "kick",
                "invite",
                "redact",
                "users_default",
                "events_default",
                "state_default",
            ]);
            content.insert(name.to_owned(), level)
        }
    };
}

/// The object at this key, made one if it was none.
fn in_map<'a>(content: &'a mut Object, key: &str) -> &'a mut Object {
    let map = content.entry(key).or_insert_with(|| json!({}));
    if !map.is_object() {
        *map = json!({});
    }
    map.as_object_mut().expect("just made one")
}

fn third_party_invite(dice: &mut Dice, draft: &mut Draft, _: Scene<'_>) {
    let value = odd::value(dice);
    let content = draft.content();
    let depth = dice.below(4);
    if depth == 0 {
        content.insert("third_party_invite".to_owned(), value);
        return;
    }
    let invite = in_map(content, "third_party_invite");
    if depth == 1 {
        let key = *dice.pick(&["signed", "display_name", "x"]);
        invite.insert(key.to_owned(), value);
        return;
    }
    let key = *dice.pick(&["mxid", "token", "signatures", "x"]);
    let signed = in_map(invite, "signed");
    match depth {
        2 => signed.remove(key),
        _ => signed.insert(key.to_owned(), value),
    };
}

fn references<'a>(draft: &'a mut Draft, field: &str) -> &'a mut Vec<Value> {
    let list = draft.fields.entry(field).or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    list.as_array_mut().expect("just made one")
}

fn add_auth_event(
    dice: &mut Dice,
    draft: &mut Draft,
    scene: Scene<'_>,
    which: fn(&KnownEvent) -> bool,
) {
    if let Some(known) = dice.choose(scene.events.values().filter(|known| which(known))) {
        references(draft, "auth_events").push(known.reference());
    }
}

/// For each auth event another one for the same key, rejected or not.
fn older_auth_events(dice: &mut Dice, draft: &mut Draft, scene: Scene<'_>) {
    let events = references(draft, "auth_events");
    for event in events {
        let named = scene
            .events
            .values()
            .find(|known| known.reference() == *event);
        let same_key = scene.events.values().filter(|known| {
            named.is_some_and(|named| named.key == known.key)
                && (!known.is_rejected() || dice.clone().once_in(4))
        });
        let same_key: Vec<_> = same_key.collect();
        if let Some(other) = dice.choose(same_key) {
            *event = other.reference();
        }
    }
}

fn odd_reference(dice: &mut Dice, draft: &mut Draft, _: Scene<'_>) {
    let field = *dice.pick(&["auth_events", "prev_events"]);
    let hash = "A".repeat(43);
    let odd = json!([
        5, null, "", "$", "x", format!("${hash}"), format!("${hash}="), "$unknown:a.example", ["$unknown:a.example"],
        ["$unknown:a.example", { "sha256": hash }], ["$unknown:a.example", {}], ["$unknown:a.example", {}, 1],
        [], {}, format!("${}", "k".repeat(255)), "$a b", "!x:a.example", ["$unknown:a.example", "x"],
    ]);
    references(draft, field).push(dice.pick_value(odd));
}

fn signers(dice: &mut Dice, draft: &mut Draft, _: Scene<'_>) {
    match dice.below(7) {
        0 => draft.signers.clear(),
        1 => draft.signers = vec![("b.example".to_owned(), PRESENT_KEY)],
        2 => draft.signers.push(("d.example".to_owned(), PRESENT_KEY)),
        3 => draft.signers.push(("x.example".to_owned(), PRESENT_KEY)),
        4 => draft
            .signers
            .iter_mut()
            .for_each(|signer| signer.1 = UNKNOWN_KEY),
        5 => draft.signers.extend(
            draft
                .signers
                .clone()
                .into_iter()
                .map(|(server, _)| (server, UNKNOWN_KEY)),
        ),
        _ => draft.signers.extend(
            draft
                .signers
                .clone()
                .into_iter()
                .map(|(server, _)| (server, FORMER_KEY)),
        ),
    }
}

/// About as large as an event may be.
fn size(dice: &mut Dice, draft: &mut Draft, scene: Scene<'_>) {
    draft.content().insert("x".to_owned(), "".into());
    let smallest = draft.clone().text(&mut dice.clone(), scene.version).len();
    let wanted = *dice.pick(&[65_000, 65_534, 65_535, 65_536, 65_537, 70_000]);
    let padding = "x".repeat(wanted - smallest.min(wanted));
    draft.content().insert("x".to_owned(), padding.into());
}
