//! What users do, more or less as an honest server would let them.

use comity_core::pdu::{RoomVersion, canonical_json::Object};
use serde_json::{Value, json};

use super::{
    dice::Dice,
    draft::{Draft, server_of},
    past::View,
    power,
    servers::{self, PRESENT_KEY},
};

/// Who makes the rooms.
pub const CREATOR: &str = "@creator:a.example";

/// Everybody.
pub const USERS: [&str; 6] = [
    CREATOR,
    "@moderator:a.example",
    "@alice:b.example",
    "@bob:c.example",
    "@carol:b.example",
    "@dave:d.example",
];

/// The server that vouches for addresses in third-party invites.
const IDENTITY_SERVER: &str = "identity.example";

/// An event with the fields that are its sender's choice.
fn event(sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Draft {
    let mut fields = Object::new();
    fields.insert("type".to_owned(), event_type.into());
    fields.insert("sender".to_owned(), sender.into());
    fields.insert("content".to_owned(), content);
    if let Some(state_key) = state_key {
        fields.insert("state_key".to_owned(), state_key.into());
    }
    Draft::new(fields, sender)
}

/// The first event of a room.
pub fn create(dice: &mut Dice, version: RoomVersion) -> Draft {
    let mut content = json!({ "room_version": version.as_str() });
    if version.as_str() == "1" && dice.once_in(2) {
        content = json!({});
    }
    if version.rules().creator_in_content {
        content["creator"] = CREATOR.into();
    }
    if dice.once_in(12) {
        content["m.federate"] = dice.pick_value(json!([false, true]));
    }
    if dice.once_in(3) {
        content["additional_creators"] =
            dice.pick_value(json!([[USERS[1]], [USERS[2], USERS[3]], []]));
    }
    event(CREATOR, "m.room.create", Some(""), content)
}

/// The events that usually follow the first one.
pub fn opening(dice: &mut Dice, step: usize, view: View<'_>) -> Option<Draft> {
    let state = |event_type, content| Some(event(CREATOR, event_type, Some(""), content));
    match step {
        0 => Some(membership(CREATOR, CREATOR, "join")),
        1 if !dice.once_in(8) => state("m.room.power_levels", power::usual(dice, view.version)),
        2 if !dice.once_in(8) => {
            let rule = *dice.pick(&["public", "public", "invite", "knock", "knock", "restricted"]);
            state("m.room.join_rules", json!({ "join_rule": rule }))
        }
        3..6 => Some(join(dice, view, USERS[step - 2])),
        _ => None,
    }
}

fn membership(sender: &str, target: &str, membership: &str) -> Draft {
    let content = json!({ "membership": membership });
    event(sender, "m.room.member", Some(target), content)
}

/// Something that somebody does in a room in this state.
pub fn any(dice: &mut Dice, view: View<'_>) -> Draft {
    let sender = someone_joined(dice, view);
    match dice.below(100) {
        0..36 => member_event(dice, view),
        36..50 => {
            let levels = power::changed(dice, view.content("m.room.power_levels"), view.version);
            event(sender, "m.room.power_levels", Some(""), levels)
        }
        50..58 => event(sender, "m.room.join_rules", Some(""), join_rules(dice)),
        58..62 => third_party_invite(dice, sender),
        62..68 => accepted_third_party_invite(dice, view)
            .unwrap_or_else(|| third_party_invite(dice, sender)),
        68..74 => event(sender, "m.room.message", None, json!({ "body": "hello" })),
        74..82 => redaction(dice, view, sender),
        _ => other_state(dice, sender),
    }
}

fn someone_joined(dice: &mut Dice, view: View<'_>) -> &'static str {
    let anyone = *dice.pick(&USERS);
    match dice.once_in(10) {
        true => anyone,
        false => view.user_who_is(dice, "join", &USERS).unwrap_or(anyone),
    }
}

fn member_event(dice: &mut Dice, view: View<'_>) -> Draft {
    let (sender, target) = (someone_joined(dice, view), *dice.pick(&USERS));
    let present = view.membership(target);
    if may_knock(view)
        && dice.once_in(3)
        && let Some(stranger) = view.user_who_is(dice, "leave", &USERS)
    {
        return membership(stranger, stranger, "knock");
    }
    match dice.below(14) {
        0..=2 if present != "join" => join(dice, view, target),
        0..=2 => renamed(dice, view, target),
        3..5 => membership(sender, target, "invite"),
        5..7 => membership(sender, target, "ban"),
        7..9 => membership(sender, target, "leave"),
        9 => membership(target, target, "leave"),
        10 => membership(target, target, "knock"),
        12 => membership(sender, target, "join"),
        _ => join(dice, view, target),
    }
}

fn may_knock(view: View<'_>) -> bool {
    let rules = view.content("m.room.join_rules");
    let rule = rules.get("join_rule").and_then(Value::as_str);
    rule.is_some_and(|rule| rule.starts_with("knock"))
}

/// A join, vouched for by somebody in the room if it has to be.
fn join(dice: &mut Dice, view: View<'_>, user: &'static str) -> Draft {
    let mut draft = membership(user, user, "join");
    let rules = view.content("m.room.join_rules");
    let rule = rules.get("join_rule").and_then(Value::as_str);
    if rule.is_some_and(|rule| rule.ends_with("restricted")) || dice.once_in(12) {
        let voucher = someone_joined(dice, view);
        draft.content().insert(
            "join_authorised_via_users_server".to_owned(),
            voucher.into(),
        );
        draft
            .signers
            .push((server_of(voucher).to_owned(), PRESENT_KEY));
    }
    draft
}

/// A join of someone who is in the room, as clients send it for a new name.
fn renamed(dice: &mut Dice, view: View<'_>, user: &'static str) -> Draft {
    let mut draft = join(dice, view, user);
    draft.content().insert(
        "displayname".to_owned(),
        format!("{} times", dice.below(100)).into(),
    );
    draft
}

fn join_rules(dice: &mut Dice) -> Value {
    let rule = *dice.pick(&[
        "public",
        "public",
        "invite",
        "invite",
        "knock",
        "knock",
        "restricted",
        "restricted",
        "knock_restricted",
        "private",
        "unheard_of",
    ]);
    let mut content = json!({ "join_rule": rule });
    if rule.ends_with("restricted") {
        content["allow"] = json!([{ "type": "m.room_membership", "room_id": "!other:a.example" }]);
    }
    content
}

fn third_party_invite(dice: &mut Dice, sender: &str) -> Draft {
    let token = *dice.pick(&["token", "other token"]);
    let public_key = servers::key(IDENTITY_SERVER, PRESENT_KEY).public_key();
    let other_key = servers::key(IDENTITY_SERVER, servers::UNKNOWN_KEY).public_key();
    let [right, other] = [public_key, other_key].map(|key| super::draft::base64(&key));
    let content = match dice.below(3) {
        0 => json!({ "display_name": "a…", "public_key": right }),
        1 => json!({ "public_key": other, "public_keys": [{ "public_key": right }] }),
        _ => json!({ "public_key": other, "public_keys": [{ "public_key": other }] }),
    };
    event(sender, "m.room.third_party_invite", Some(token), content)
}

/// The invite that follows from a third-party invite in the state, if there is one.
fn accepted_third_party_invite(dice: &mut Dice, view: View<'_>) -> Option<Draft> {
    let invites = view
        .state
        .iter()
        .filter(|((event_type, _), _)| event_type == "m.room.third_party_invite");
    let ((_, token), event_id) = dice.choose(invites)?;
    let inviter = view.events.get(event_id)?.event["sender"].as_str()?;
    let (target, sender) = match dice.once_in(8) {
        true => (*dice.pick(&USERS), *dice.pick(&USERS)),
        false => (*dice.pick(&USERS), inviter),
    };
    let mut signed = json!({ "mxid": target, "token": token });
    let signature = servers::key(IDENTITY_SERVER, PRESENT_KEY).sign(signed.to_string().as_bytes());
    signed["signatures"] = json!({ IDENTITY_SERVER: { PRESENT_KEY: signature } });
    let mut draft = membership(sender, target, "invite");
    let invite = json!({ "display_name": "a…", "signed": signed });
    draft
        .content()
        .insert("third_party_invite".to_owned(), invite);
    if dice.once_in(3) {
        // The invited user's server sends it, which the sender's server need not sign.
        draft.signers = vec![(server_of(target).to_owned(), PRESENT_KEY)];
    }
    Some(draft)
}

fn redaction(dice: &mut Dice, view: View<'_>, sender: &str) -> Draft {
    let target = dice.choose(view.events.keys()).cloned().unwrap_or_default();
    let mut draft = event(
        sender,
        "m.room.redaction",
        None,
        json!({ "reason": "spam" }),
    );
    match view.version.rules().redacts_in_content {
        true => draft.content().insert("redacts".to_owned(), target.into()),
        false => draft.fields.insert("redacts".to_owned(), target.into()),
    };
    draft
}

fn other_state(dice: &mut Dice, sender: &str) -> Draft {
    let number = dice.below(1_000);
    let user = *dice.pick(&USERS);
    let server = server_of(if dice.once_in(2) { sender } else { user });
    let (event_type, state_key, content) = match dice.below(12) {
        0 => ("m.room.name", "", json!({ "name": number.to_string() })),
        1 => ("m.room.topic", "", json!({ "topic": number.to_string() })),
        2 => (
            "m.room.tombstone",
            "",
            json!({ "replacement_room": "!new:a.example" }),
        ),
        3 => (
            "m.room.history_visibility",
            "",
            json!({ "history_visibility": "joined" }),
        ),
        4 => (
            "m.room.server_acl",
            "",
            json!({ "allow": ["*"], "deny": ["d.example"] }),
        ),
        5 | 6 => (
            "m.room.aliases",
            server,
            json!({ "aliases": [format!("#a{number}:{server}")] }),
        ),
        7 => ("x", user, json!({ "n": number })),
        8 => ("x", sender, json!({ "n": number })),
        9 => (
            "m.room.power_levels",
            "elsewhere",
            json!({ "users": { sender: 100 } }),
        ),
        _ => ("x", *dice.pick(&["", "a", "b"]), json!({ "n": number })),
    };
    event(sender, event_type, Some(state_key), content)
}
