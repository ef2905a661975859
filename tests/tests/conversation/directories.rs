//! Rooms as they look from outside: in a server's directory, and in spaces.

use std::time::Duration;

use comity_core::{
    messaging::{
        command::{Command, CreateRoom, Preset, Reply},
        hierarchy::Hierarchy,
        notice::{Question, Told},
        public_rooms::{PublicRooms, RoomFilter, WantedRooms},
    },
    pdu::RoomVersion,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::{Liar, Network};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::{
    forger::body,
    stage::{Stage, initial, object, room, user},
};

/// A room of server `one` with this name.
fn named(name: &str, preset: Preset) -> CreateRoom {
    CreateRoom {
        name: Some(name.to_owned()),
        ..room(RoomVersion::DEFAULT, preset)
    }
}

/// Creates a room at a moment of its own: since version 12 the id is a hash of the create event.
fn create(network: &mut Network, room: CreateRoom) -> OwnedRoomId {
    network.pass(Duration::from_millis(1));
    match network.run("one", Command::CreateRoom(Box::new(room))) {
        Ok(Reply::Room(room_id)) => room_id,
        other => panic!("{other:?}"),
    }
}

fn publish(network: &mut Network, rooms: &[&OwnedRoomId]) {
    let rooms = rooms.iter().map(|room_id| (*room_id).clone()).collect();
    let told = Told::PublishedRooms(rooms);
    network.server("one").knows(Question::PublishedRooms, told);
}

fn list(network: &mut Network, asker: &str, wanted: WantedRooms) -> PublicRooms {
    let server = "one".try_into().unwrap();
    match network.run(asker, Command::PublicRooms { server, wanted }) {
        Ok(Reply::PublicRooms(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn names(page: &PublicRooms) -> Vec<&str> {
    let names = page.chunk.iter().filter_map(|room| room.name.as_deref());
    names.collect()
}

/// PUBROOMS-1: what is published and nothing else, with what the room's state says of it.
#[test]
fn pubrooms_1_a_server_shows_the_rooms_that_it_publishes() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let mut wished = named("Library", Preset::Public);
    wished.topic = Some("Quiet, please".to_owned());
    wished.creation_content = object(json!({ "type": "m.space" }));
    wished.initial_state = vec![initial(
        "m.room.history_visibility",
        json!({ "history_visibility": "world_readable" }),
    )];
    let library = create(&mut stage.network, wished);
    let secret = create(&mut stage.network, named("Secret", Preset::Private));
    let unknown = "!unknown:one".try_into().unwrap();
    let garden = stage.room_id.clone();
    publish(&mut stage.network, &[&library, &unknown, &garden]);
    for asker in ["one", "two"] {
        let page = list(&mut stage.network, asker, WantedRooms::default());
        assert_eq!(names(&page), ["Garden", "Library"]);
        assert!(page.chunk.iter().all(|room| room.room_id != secret));
        assert_eq!(page.total_room_count_estimate, Some(2));
        assert_eq!((&page.next_batch, &page.prev_batch), (&None, &None));
        let [garden, library] = &page.chunk[..] else {
            panic!("{page:?}");
        };
        assert_eq!(
            (garden.num_joined_members, garden.world_readable),
            (2, false)
        );
        assert_eq!(
            (library.num_joined_members, library.world_readable),
            (1, true)
        );
        assert_eq!(library.topic.as_deref(), Some("Quiet, please"));
        assert_eq!(library.room_type.as_deref(), Some("m.space"));
        assert_eq!(library.join_rule.as_deref(), Some("public"));
    }
}

/// PUBROOMS-1: `POST` filters by text and by type, where `null` stands for rooms without one.
#[test]
fn pubrooms_1_a_directory_can_be_searched() {
    let mut network = Network::of(&["one", "two"]);
    let garden = create(&mut network, named("Garden", Preset::Public));
    let mut space = named("Places", Preset::Public);
    space.creation_content = object(json!({ "type": "m.space" }));
    space.topic = Some("The garden and the house".to_owned());
    let space = create(&mut network, space);
    publish(&mut network, &[&garden, &space]);
    let mut found = |term: Option<&str>, types: Option<Vec<Option<&str>>>| {
        let types = types.map(|types| {
            let owned = |name: Option<&str>| name.map(ToOwned::to_owned);
            types.into_iter().map(owned).collect()
        });
        let filter = RoomFilter {
            generic_search_term: term.map(ToOwned::to_owned),
            room_types: types,
        };
        let wanted = WantedRooms {
            filter: Some(filter),
            ..WantedRooms::default()
        };
        let page = list(&mut network, "two", wanted);
        let mut names: Vec<String> = names(&page).into_iter().map(ToOwned::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(found(Some("GARDEN"), None), ["Garden", "Places"]);
    assert_eq!(found(Some("house"), None), ["Places"]);
    assert_eq!(found(Some("garden"), Some(vec![None])), ["Garden"]);
    assert_eq!(found(None, Some(vec![Some("m.space")])), ["Places"]);
    assert!(found(None, Some(Vec::new())).is_empty());
}

/// LIMIT-15: who names no limit sees as much as anybody may see at once, and how to go on.
#[test]
fn limit_15_who_names_no_limit_gets_the_largest_page() {
    let mut network = Network::of(&["one", "two"]);
    let rooms: Vec<_> = (0..101)
        .map(|number| create(&mut network, named(&number.to_string(), Preset::Public)))
        .collect();
    publish(&mut network, &rooms.iter().collect::<Vec<_>>());
    for limit in [None, Some(0), Some(101)] {
        let wanted = WantedRooms {
            limit,
            ..WantedRooms::default()
        };
        let page = list(&mut network, "two", wanted);
        assert_eq!(page.chunk.len(), 100, "{limit:?}");
        assert!(page.next_batch.is_some());
    }
}

/// PUBROOMS-2: pages follow each other without a gap, and none is larger than we want it.
#[test]
fn pubrooms_2_pages_cover_the_directory() {
    let mut network = Network::of(&["one", "two"]);
    let rooms: Vec<_> = (0..5)
        .map(|number| create(&mut network, named(&number.to_string(), Preset::Public)))
        .collect();
    publish(&mut network, &rooms.iter().collect::<Vec<_>>());
    let (mut since, mut seen) = (None, Vec::new());
    loop {
        let wanted = WantedRooms {
            limit: Some(2),
            since: since.clone(),
            ..WantedRooms::default()
        };
        let page = list(&mut network, "two", wanted);
        assert_eq!(page.prev_batch.is_some(), since.is_some());
        seen.extend(page.chunk.iter().map(|room| room.room_id.clone()));
        since = page.next_batch;
        if since.is_none() {
            break;
        }
    }
    let mut all = rooms;
    all.sort();
    assert_eq!(seen, all);
    let other_network = WantedRooms {
        third_party_instance_id: Some("irc".to_owned()),
        ..WantedRooms::default()
    };
    assert!(list(&mut network, "two", other_network).chunk.is_empty());
}

/// A space of server `one`, and who is asked for it.
struct Space {
    network: Network,
    space: OwnedRoomId,
    open: OwnedRoomId,
    hidden: OwnedRoomId,
}

impl Space {
    /// A public space with a public child, a private one, one that nobody here knows, one that was
    /// taken back, and one room without the space's order.
    fn new() -> Self {
        let mut network = Network::of(&["one", "two"]);
        let open = create(&mut network, named("Open", Preset::Public));
        let hidden = create(&mut network, named("Hidden", Preset::Private));
        let gone = create(&mut network, named("Gone", Preset::Public));
        let mut wished = named("Space", Preset::Public);
        wished.creation_content = object(json!({ "type": "m.space" }));
        let space = create(&mut network, wished);
        let unknown: OwnedRoomId = "!unknown:elsewhere".try_into().unwrap();
        let mut scene = Self {
            network,
            space,
            open,
            hidden,
        };
        let (open, hidden) = (scene.open.clone(), scene.hidden.clone());
        scene.child(&hidden, json!({ "via": ["one"] }));
        let content = json!({ "via": ["one"], "order": "a", "suggested": true });
        scene.child(&open, content);
        scene.child(&unknown, json!({ "via": ["elsewhere"] }));
        scene.child(&gone, json!({}));
        scene
    }

    fn child(&mut self, child: &RoomId, content: Value) {
        let space = Stage {
            network: Network::of(&[]),
            room_id: self.space.clone(),
        };
        let command = space.event(&user("one"), "m.space.child", Some(child.as_str()), content);
        self.network.run("one", command).unwrap();
    }

    fn seen_by(&mut self, server: &str, suggested_only: bool) -> Result<Hierarchy, String> {
        let command = Command::Hierarchy {
            user_id: user(server),
            room_id: self.space.clone(),
            via: vec!["one".try_into().unwrap()],
            suggested_only,
        };
        match self.network.run(server, command) {
            Ok(Reply::Hierarchy(level)) => Ok(*level),
            Err(error) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

fn ids(children: &[Value]) -> Vec<&str> {
    let ids = children.iter().map(|child| child["state_key"].as_str());
    ids.map(Option::unwrap).collect()
}

/// SPACES-1, SPACES-2: one level; what may not be shown is named, what is unknown is left out.
#[test]
fn spaces_1_spaces_2_a_space_shows_the_children_that_may_be_seen() {
    let mut scene = Space::new();
    let level = scene.seen_by("two", false).unwrap();
    assert_eq!(level.room.overview.name.as_deref(), Some("Space"));
    let named = ids(&level.room.children_state);
    assert_eq!(named[..2], [scene.open.as_str(), scene.hidden.as_str()]);
    assert_eq!(named.len(), 3);
    let first = &level.room.children_state[0];
    assert!(first["origin_server_ts"].is_number() && first["event_id"].is_null());
    let [open] = &level.children[..] else {
        panic!("{level:?}");
    };
    assert_eq!(open.overview.room_id, scene.open);
    assert!(open.children_state.is_empty());
    assert_eq!(level.inaccessible_children, [scene.hidden.clone()]);
}

/// SPACES-1
#[test]
fn spaces_1_only_suggested_children_are_shown_if_that_is_wanted() {
    let mut scene = Space::new();
    let level = scene.seen_by("two", true).unwrap();
    assert_eq!(ids(&level.room.children_state), [scene.open.as_str()]);
    assert!(level.inaccessible_children.is_empty());
}

/// SPACES-2, SPACES-3: our own user sees what they are in; another server's user what they are
/// invited to.
#[test]
fn spaces_2_spaces_3_who_is_in_a_room_or_invited_sees_it() {
    let mut scene = Space::new();
    let level = scene.seen_by("one", false).unwrap();
    assert_eq!(level.children.len(), 2);
    let invite = Command::Invite {
        sender: user("one"),
        target: user("two"),
        room_id: scene.hidden.clone(),
        content: serde_json::Map::new(),
    };
    scene.network.run("one", invite).unwrap();
    scene.network.settle();
    let level = scene.seen_by("two", false).unwrap();
    assert_eq!(level.children.len(), 2);
}

/// SPACES-2: the members of a room that a restricted room allows see the restricted room.
#[test]
fn spaces_2_members_of_an_allowed_room_see_a_restricted_one() {
    let mut scene = Space::new();
    let rules = json!({
        "join_rule": "restricted",
        "allow": [{ "type": "m.room_membership", "room_id": scene.space }],
    });
    let mut wished = named("Inner", Preset::Private);
    wished.initial_state = vec![initial("m.room.join_rules", rules)];
    let inner = create(&mut scene.network, wished);
    scene.child(&inner, json!({ "via": ["one"] }));
    let shows_inner = |level: Hierarchy| {
        let shown = level
            .children
            .iter()
            .find(|child| child.overview.room_id == inner);
        shown.map(|child| child.allowed_room_ids.clone())
    };
    assert_eq!(shows_inner(scene.seen_by("two", false).unwrap()), None);
    let join = Command::Join {
        user_id: user("two"),
        room_id: scene.space.clone(),
        via: vec!["one".try_into().unwrap()],
        content: serde_json::Map::new(),
    };
    scene.network.run("two", join).unwrap();
    scene.network.settle();
    scene.network.add_liar(Liar::new("liar"));
    let ask = |network: &mut Network, from: &str| {
        let endpoint = Endpoint::Hierarchy {
            room_id: inner.clone(),
            suggested_only: false,
        };
        network.ask(from, "one", endpoint).status().as_u16()
    };
    assert_eq!(ask(&mut scene.network, "liar"), 404);
    let command = Command::Hierarchy {
        user_id: user("two"),
        room_id: inner.clone(),
        via: vec!["one".try_into().unwrap()],
        suggested_only: false,
    };
    let Ok(Reply::Hierarchy(level)) = scene.network.run("two", command) else {
        panic!("not shown");
    };
    assert_eq!(level.room.allowed_room_ids, [scene.space.clone()]);
}

/// SPACES-2: a root that may not be shown is as if it were not there.
#[test]
fn spaces_2_a_room_that_may_not_be_shown_is_not_found() {
    let mut scene = Space::new();
    scene.network.add_liar(Liar::new("liar"));
    for room_id in [scene.hidden.clone(), "!unknown:one".try_into().unwrap()] {
        let endpoint = Endpoint::Hierarchy {
            room_id,
            suggested_only: false,
        };
        let response = scene.network.ask("liar", "one", endpoint);
        assert_eq!(response.status(), 404);
        assert_eq!(body(&response)["errcode"], "M_NOT_FOUND");
    }
}

/// SPACES-3: what any user of a server may see is not for each of them.
#[test]
fn spaces_3_only_the_invited_user_of_a_server_sees_the_room() {
    let mut scene = Space::new();
    let other: ruma_common::OwnedUserId = "@ben:two".try_into().unwrap();
    let invite = Command::Invite {
        sender: user("one"),
        target: other.clone(),
        room_id: scene.hidden.clone(),
        content: serde_json::Map::new(),
    };
    scene.network.run("one", invite).unwrap();
    scene.network.settle();
    let level = scene.seen_by("two", false).unwrap();
    assert_eq!(level.children.len(), 1);
    assert_eq!(level.inaccessible_children, [scene.hidden.clone()]);
    let command = Command::Hierarchy {
        user_id: other,
        room_id: scene.space.clone(),
        via: vec!["one".try_into().unwrap()],
        suggested_only: false,
    };
    let Ok(Reply::Hierarchy(level)) = scene.network.run("two", command) else {
        panic!("no hierarchy");
    };
    assert_eq!(level.children.len(), 2);
}

/// SPACES-3: a server that describes another room than it was asked for is not believed.
#[test]
fn spaces_3_the_room_must_be_the_one_that_was_asked_for() {
    let mut network = Network::of(&["one"]);
    let mut liar = Liar::new("liar");
    let room = json!({
        "room_id": "!other:liar", "num_joined_members": 1, "world_readable": true,
        "guest_can_join": true, "children_state": [],
    });
    liar.says(move |_, _| (200, json!({ "room": room, "children": [] })));
    network.add_liar(liar);
    let mut see = |room_id: &str| {
        let command = Command::Hierarchy {
            user_id: user("one"),
            room_id: room_id.try_into().unwrap(),
            via: vec!["liar".try_into().unwrap()],
            suggested_only: false,
        };
        network.run("one", command)
    };
    see("!asked:liar").unwrap_err();
    assert!(matches!(see("!other:liar"), Ok(Reply::Hierarchy(_))));
}
