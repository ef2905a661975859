//! Short words for what users do, and for what can be seen of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use comity_core::{
    messaging::{
        command::{
            Command, CommandError, CreateRoom, InitialState, Preset, Reply, RoomSummary, SendEvent,
        },
        notice::Notice,
    },
    pdu::{Pdu, RoomVersion, StateKey},
    persistence::{
        queries::{Answer, Direction, Read},
        tables::{LocalMembership, StoredEvent},
    },
};
use comity_tests::simulation::{Finished, Network};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};

/// Every room version.
pub const VERSIONS: [RoomVersion; RoomVersion::SUPPORTED.len()] =
    *RoomVersion::SUPPORTED.first_chunk().unwrap();

/// Servers and one room that all of them may be in.
pub struct Stage {
    pub network: Network,
    pub room_id: OwnedRoomId,
}

/// The user that each server has: `@ann:one`, `@bob:two`, `@cyd:three`, `@dan:four`.
pub fn user(server: &str) -> OwnedUserId {
    let name = match server {
        "one" => "ann",
        "two" => "bob",
        "three" => "cyd",
        _ => "dan",
    };
    format!("@{name}:{server}").try_into().unwrap()
}

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A room that is yet to be created by the user of server `one`.
pub fn room(version: RoomVersion, preset: Preset) -> CreateRoom {
    CreateRoom {
        creator: user("one"),
        version: Some(version),
        preset,
        creation_content: Map::new(),
        power_levels: Map::new(),
        creator_content: Map::new(),
        alias: None,
        initial_state: Vec::new(),
        name: Some("Garden".to_owned()),
        topic: None,
    }
}

impl Stage {
    /// A room that server `one` made, with nobody else in it.
    pub fn with(servers: &[&str], room: CreateRoom) -> Self {
        let mut network = Network::of(servers);
        let room_id = match network.run("one", Command::CreateRoom(Box::new(room))) {
            Ok(Reply::Room(room_id)) => room_id,
            other => panic!("{other:?}"),
        };
        Self { network, room_id }
    }

    /// A public room of this version with the users of all servers in it.
    pub fn of(servers: &[&str], version: RoomVersion) -> Self {
        let mut stage = Self::with(servers, room(version, Preset::Public));
        for server in &servers[1..] {
            stage.join(server).unwrap();
        }
        stage.network.settle();
        stage
    }

    pub fn say(&mut self, server: &str, text: &str) -> OwnedEventId {
        sent(self.network.run(server, self.message(server, text)))
    }

    pub fn message(&self, server: &str, text: &str) -> Command {
        let content = json!({ "msgtype": "m.text", "body": text });
        self.event(&user(server), "m.room.message", None, content)
    }

    pub fn event(
        &self,
        sender: &OwnedUserId,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Command {
        Command::Send(Box::new(SendEvent {
            sender: sender.clone(),
            room_id: self.room_id.clone(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            content: object(content),
            once: None,
        }))
    }

    /// Sets state with an empty key.
    pub fn set(&mut self, server: &str, event_type: &str, content: Value) -> Finished {
        let command = self.event(&user(server), event_type, Some(""), content);
        self.network.run(server, command)
    }

    /// Sets somebody else's membership: kicks, bans, unbans.
    pub fn set_member(&mut self, server: &str, target: &str, membership: &str) -> Finished {
        let content = json!({ "membership": membership });
        let command = self.event(&user(server), "m.room.member", Some(target), content);
        self.network.run(server, command)
    }

    pub fn join(&mut self, server: &str) -> Finished {
        self.join_via(server, &["one"])
    }

    pub fn join_via(&mut self, server: &str, via: &[&str]) -> Finished {
        self.join_as(server, &user(server), via)
    }

    pub fn join_as(&mut self, server: &str, user_id: &OwnedUserId, via: &[&str]) -> Finished {
        self.network.run(server, self.join_command(user_id, via))
    }

    pub fn join_command(&self, user_id: &OwnedUserId, via: &[&str]) -> Command {
        Command::Join {
            user_id: user_id.clone(),
            room_id: self.room_id.clone(),
            via: via.iter().map(|name| (*name).try_into().unwrap()).collect(),
            content: Map::new(),
        }
    }

    pub fn leave(&mut self, server: &str) -> Finished {
        let command = Command::Leave {
            user_id: user(server),
            room_id: self.room_id.clone(),
            content: Map::new(),
        };
        self.network.run(server, command)
    }

    pub fn invite(&mut self, server: &str, target: &str) -> Finished {
        self.network
            .run(server, self.invite_command(server, target))
    }

    pub fn invite_command(&self, server: &str, target: &str) -> Command {
        Command::Invite {
            sender: user(server),
            target: target.try_into().unwrap(),
            room_id: self.room_id.clone(),
            content: Map::new(),
        }
    }

    pub fn redact(&mut self, server: &str, redacts: &OwnedEventId) -> Finished {
        let command = Command::Redact {
            sender: user(server),
            room_id: self.room_id.clone(),
            redacts: redacts.clone(),
            reason: None,
            once: None,
        };
        self.network.run(server, command)
    }

    pub fn backfill(&mut self, server: &str, limit: u32) -> u32 {
        let room_id = self.room_id.clone();
        match self
            .network
            .run(server, Command::Backfill { room_id, limit })
        {
            Ok(Reply::Backfilled(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    /// The room's timeline as it is on a server's disk, oldest first.
    pub fn timeline(&mut self, server: &str) -> Vec<Arc<StoredEvent>> {
        let read = Read::Timeline {
            room_id: self.room_id.clone(),
            from: None,
            to: None,
            direction: Direction::Forward,
            limit: 100_000,
        };
        events(self.network.server(server).read(read))
    }

    /// The texts in that timeline.
    pub fn said(&mut self, server: &str) -> Vec<String> {
        self.timeline(server)
            .iter()
            .filter_map(|event| text(&event.pdu))
            .collect()
    }

    /// The content of a piece of a server's current state.
    pub fn state(&mut self, server: &str, event_type: &str, state_key: &str) -> Option<Value> {
        let key = StateKey::new(event_type, state_key);
        let read = Read::CurrentStateEvent(self.room_id.clone(), key);
        let found = events(self.network.server(server).read(read));
        found
            .first()
            .map(|event| Value::Object(event.pdu.content()))
    }

    /// Somebody's membership in a server's current state.
    pub fn membership(&mut self, server: &str, user_id: &str) -> Option<String> {
        let member = self.state(server, "m.room.member", user_id)?;
        Some(member["membership"].as_str()?.to_owned())
    }

    /// One event as a server holds it.
    pub fn held(&mut self, server: &str, event_id: &OwnedEventId) -> Option<Arc<StoredEvent>> {
        let read = Read::Events(vec![event_id.clone()]);
        events(self.network.server(server).read(read)).pop()
    }

    /// What a server knows of its own user.
    pub fn own_membership(&mut self, server: &str) -> Option<LocalMembership> {
        let read = Read::Memberships(user(server));
        let Answer::Memberships(known) = self.network.server(server).read(read) else {
            panic!("no memberships");
        };
        known
            .into_iter()
            .find(|known| known.room_id == self.room_id)
    }

    pub fn summary(&mut self, server: &str) -> RoomSummary {
        let command = Command::RoomSummary(self.room_id.clone());
        match self.network.run(server, command) {
            Ok(Reply::RoomSummary(summary)) => summary,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the world come to rest; then these servers must hold the same state, and none may
    /// have broken a promise.
    pub fn must_agree(&mut self, servers: &[&str]) {
        self.network.settle();
        let digests: Vec<_> = servers
            .iter()
            .map(|server| self.summary(server).state_digest)
            .collect();
        for (server, digest) in servers.iter().zip(&digests) {
            assert_eq!(*digest, digests[0], "{server} and {} differ", servers[0]);
            self.must_keep_promises(server);
            self.must_explain_itself(server);
        }
    }

    /// Every event is noticed at most once and after what it builds on; nothing is under way any
    /// more, and the database never failed.
    pub fn must_keep_promises(&mut self, server: &str) {
        let server = self.network.server(server);
        let events = server.notices.iter().filter_map(|notice| match notice {
            Notice::Event(event) => Some(event),
            _ => None,
        });
        let mut noticed = BTreeSet::new();
        let all: BTreeSet<_> = events.clone().map(|event| event.pdu.event_id()).collect();
        for event in events {
            let later = event
                .pdu
                .prev_events()
                .iter()
                .find(|id| all.contains(*id) && !noticed.contains(*id));
            assert_eq!(later, None, "{} came too early", event.pdu.event_id());
            assert!(
                noticed.insert(event.pdu.event_id()),
                "noticed twice: {event:?}"
            );
        }
        assert_eq!(server.halted, None);
        assert_eq!(server.jobs(), []);
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.network.pass(Duration::from_secs(seconds));
    }
}

/// The texts that a server's application was shown since the world began, in order.
pub fn noticed(network: &mut Network, server: &str) -> Vec<String> {
    let text = |notice: &Notice| match notice {
        Notice::Event(event) => text(&event.pdu),
        _ => None,
    };
    network
        .server(server)
        .notices
        .iter()
        .filter_map(text)
        .collect()
}

pub fn text(event: &Pdu) -> Option<String> {
    Some(event.content().get("body")?.as_str()?.to_owned())
}

pub fn sent(finished: Finished) -> OwnedEventId {
    match finished {
        Ok(Reply::Event(event_id)) => event_id,
        other => panic!("{other:?}"),
    }
}

/// Why a command was forbidden.
pub fn forbidden(finished: Finished) -> String {
    match finished {
        Err(CommandError::Forbidden(reason)) => reason,
        Err(CommandError::Refused { errcode, error, .. }) if errcode == "M_FORBIDDEN" => error,
        other => panic!("{other:?}"),
    }
}

pub fn initial(event_type: &str, content: Value) -> InitialState {
    InitialState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content: object(content),
    }
}

pub fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

fn events(answer: Answer) -> Vec<Arc<StoredEvent>> {
    match answer {
        Answer::Events(events) => events,
        other => panic!("{other:?}"),
    }
}
