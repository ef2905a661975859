//! What clients keep with their user's account.

use super::*;

fn path(client: &Client, rest: &str) -> String {
    format!("user/{}/{rest}", client.user_id)
}

#[test]
fn what_is_kept_comes_back_and_shows_in_sync_once() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({}));
    let first = alice.sync("");
    let (direct, tag) = (json!({ "@bob:x": ["!r:x"] }), json!({ "tags": {} }));
    let (all, one) = (
        path(&alice, "account_data/m.direct"),
        path(&alice, &format!("rooms/{room_id}/account_data/m.tag")),
    );
    assert_eq!(alice.refused(Method::GET, &all, &json!({})).0, 404);
    alice.put(&all, &json!({ "old": 1 }));
    alice.put(&all, &direct);
    alice.put(&one, &tag);
    assert_eq!(
        (alice.get(&all), alice.get(&one)),
        (direct.clone(), tag.clone())
    );
    let shown = |answer: &Value| {
        let room = &answer["rooms"]["join"][&room_id]["account_data"]["events"];
        (answer["account_data"]["events"].clone(), room.clone())
    };
    let expected = (
        json!([{ "type": "m.direct", "content": direct }]),
        json!([{ "type": "m.tag", "content": tag }]),
    );
    let second = alice.sync(&since(&first));
    assert_eq!(shown(&second), expected);
    assert_eq!(
        shown(&alice.sync(&since(&second))),
        (json!([]), Value::Null)
    );
    assert_eq!(shown(&alice.sync("")), expected);
    assert_eq!(bob.sync("")["account_data"]["events"], json!([]));
    for method in [Method::GET, Method::PUT] {
        let refused = bob.refused(method, &all, &json!({}));
        assert_eq!(refused, (403, "M_FORBIDDEN".to_owned()));
    }
}

#[test]
fn how_far_a_user_has_fully_read_is_kept_and_shown_to_them_alone() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let event_id = alice.say(&room_id, "hello");
    let (first, bobs) = (alice.sync(""), bob.sync(""));
    alice.post(
        &format!("rooms/{room_id}/read_markers"),
        &json!({ "m.fully_read": event_id, "m.read.private": event_id }),
    );
    let room = alice.sync(&since(&first))["rooms"]["join"][&room_id].clone();
    let marker = json!([{ "type": "m.fully_read", "content": { "event_id": event_id } }]);
    assert_eq!(room["account_data"]["events"], marker);
    assert_eq!(bob.sync(&since(&bobs))["rooms"]["join"], json!({}));
    let elsewhere = path(
        &alice,
        &format!("rooms/{room_id}/account_data/m.fully_read"),
    );
    assert_eq!(alice.refused(Method::PUT, &elsewhere, &json!({})).0, 405);
    alice.post(
        &format!("rooms/{room_id}/receipt/m.fully_read/$other"),
        &json!({}),
    );
    assert_eq!(alice.get(&elsewhere), json!({ "event_id": "$other" }));
}

/// INVITE-7: who wants no invites gets none, of whomever.
#[test]
fn invite_7_who_wants_no_invites_gets_none() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let blocking = path(&bob, "account_data/m.invite_permission_config");
    bob.put(&blocking, &json!({ "default_action": "block" }));
    let room_id = alice.create_room(&json!({}));
    let invite = format!("rooms/{room_id}/invite");
    let refused = alice.refused(Method::POST, &invite, &json!({ "user_id": bob.user_id }));
    assert_eq!(refused, (403, "M_INVITE_BLOCKED".to_owned()));
    let question = |sender: &str, target: &str| {
        let question = Question::Invite {
            sender: sender.try_into().unwrap(),
            target: target.try_into().unwrap(),
            room_id: "!r:there.example".try_into().unwrap(),
        };
        let unwelcome = ["spam.example".try_into().unwrap()].into();
        questions::answer(
            &stage.accounts,
            &stage.api.server_name,
            &unwelcome,
            &question,
        )
    };
    let by = Told::InviteRefused;
    let erin = "@erin:there.example";
    assert_eq!(question(erin, &bob.user_id), by(InviteRefusal::ByUser));
    assert_eq!(question(erin, &alice.user_id), Told::NotFound);
    let spam = question("@eve:spam.example", &alice.user_id);
    assert_eq!(spam, by(InviteRefusal::ByServer));
    bob.put(&blocking, &json!({}));
    alice.post(&invite, &json!({ "user_id": bob.user_id }));
}

#[test]
fn who_leaves_a_room_loses_sight_of_those_who_are_in_no_other() {
    let stage = Stage::new();
    let clients = ["alice", "bob", "carol"].map(|name| stage.client(name));
    let [alice, bob, carol] = &clients;
    let rooms = [0, 1].map(|_| alice.create_room(&json!({ "preset": "public_chat" })));
    for (client, rooms) in [(bob, &rooms[..1]), (carol, &rooms[..])] {
        for room_id in rooms {
            client.post(&format!("join/{room_id}"), &json!({}));
        }
    }
    let first = alice.sync("");
    alice.post(&format!("rooms/{}/leave", rooms[0]), &json!({}));
    let lists = alice.sync(&since(&first))["device_lists"].clone();
    assert_eq!(lists["left"], json!([bob.user_id]));
}
