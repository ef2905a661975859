//! What users want, as commands to their servers.

use comity_core::messaging::command::{Command, CreateRoom, EduAudience, SendEvent};
use comity_core::pdu::{RoomVersion, StateKey};
use comity_core::persistence::queries::{Direction, Read};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};

use super::World;
use crate::simulation::plan::{Deed, NAMES, USERS, User, show};

impl World {
    /// Lets a user do something, if the server is up and the room is there.
    pub(super) fn deed(&mut self, user: User, deed: &Deed) {
        let server = show::server(user.server);
        if !self.is_up(server) {
            return;
        }
        self.network.chronicle.count_deed(deed);
        if let Deed::IsFoundOut(room) = deed {
            return self.find_out(user, *room);
        }
        for command in self.commands(user, deed) {
            let index = self.order(server, command);
            if let (Deed::Create { room, .. }, Some(index)) = (deed, index) {
                self.creating.insert(*room, index);
            }
        }
    }

    fn commands(&mut self, user: User, deed: &Deed) -> Vec<Command> {
        if let Deed::Create { room, .. } = deed {
            let taken = self.rooms.contains_key(room) || self.creating.contains_key(room);
            return if taken {
                Vec::new()
            } else {
                vec![create(user, deed)]
            };
        }
        let Some(room_id) = self.rooms.get(&deed.room()).cloned() else {
            return Vec::new();
        };
        match deed {
            Deed::Say(_, times) => (0..*times)
                .map(|_| message(user, &room_id, self.new_word()))
                .collect(),
            Deed::Repeat(_) => vec![message(user, &room_id, self.new_word()); 2],
            Deed::InviteAddress(slot) => {
                let token = self.new_word();
                vec![self.invite_address(user, *slot, room_id, token)]
            }
            _ => self.command(user, deed, room_id).into_iter().collect(),
        }
    }

    fn command(&mut self, user: User, deed: &Deed, room_id: OwnedRoomId) -> Option<Command> {
        let sender = id_of(user);
        let state =
            |event_type: &str, content: Value| event(user, &room_id, event_type, Some(""), content);
        Some(match deed {
            Deed::Create { .. }
            | Deed::Say(..)
            | Deed::Repeat(_)
            | Deed::InviteAddress(_)
            | Deed::IsFoundOut(_) => return None,
            Deed::Join(_, via) => Command::Join {
                user_id: sender,
                room_id,
                via: via_of(*via),
                content: Map::new(),
            },
            Deed::Knock(_, via) => Command::Knock {
                user_id: sender,
                room_id,
                via: via_of(*via),
                content: Map::new(),
            },
            Deed::Leave(_) => Command::Leave {
                user_id: sender,
                room_id,
                content: Map::new(),
            },
            Deed::Invite(_, target) => Command::Invite {
                sender,
                target: id_of(*target),
                room_id,
                content: Map::new(),
            },
            Deed::Moderate(_, target, membership) => {
                let content = json!({ "membership": membership });
                let target = id_of(*target);
                event(
                    user,
                    &room_id,
                    "m.room.member",
                    Some(target.as_str()),
                    content,
                )
            }
            Deed::Empower(_, target, level) => {
                let levels = self.levels(user, &room_id, *target, *level)?;
                state("m.room.power_levels", levels)
            }
            Deed::Redact(_, number) => Command::Redact {
                sender,
                redacts: self.message(user, &room_id, *number)?,
                room_id,
                reason: None,
                once: None,
            },
            Deed::Backfill(_) => Command::Backfill { room_id, limit: 10 },
            Deed::JoinRule(_, rule) => state("m.room.join_rules", json!({ "join_rule": rule })),
            Deed::Topic(_, number) => state("m.room.topic", json!({ "topic": number.to_string() })),
            Deed::Acl(_, denied) => {
                let deny: Vec<_> = denied.iter().map(|index| show::server(*index)).collect();
                state("m.room.server_acl", json!({ "allow": ["*"], "deny": deny }))
            }
            Deed::Visibility(_, visibility) => {
                let content = json!({ "history_visibility": visibility });
                state("m.room.history_visibility", content)
            }
            Deed::Type(_) => Command::SendEdu {
                edu_type: "m.typing".to_owned(),
                content: object(json!({ "room_id": room_id, "user_id": sender, "typing": true })),
                to: EduAudience::Room(room_id),
            },
        })
    }

    /// The room's power levels as the user's server knows them, with one changed.
    fn levels(
        &mut self,
        user: User,
        room_id: &OwnedRoomId,
        target: User,
        level: i64,
    ) -> Option<Value> {
        let key = StateKey::new("m.room.power_levels", "");
        let read = Read::CurrentStateEvent(room_id.clone(), key);
        let events = self.network.server(show::server(user.server)).events(read);
        let mut levels = Value::Object(events.first()?.pdu.content());
        levels["users"][id_of(target).as_str()] = level.into();
        Some(levels)
    }

    /// One of the messages that the user's server shows.
    fn message(&mut self, user: User, room_id: &OwnedRoomId, number: u16) -> Option<OwnedEventId> {
        let read = Read::Timeline {
            room_id: room_id.clone(),
            from: None,
            to: None,
            direction: Direction::Backward,
            limit: 50,
        };
        let shown = self.network.server(show::server(user.server)).events(read);
        let messages: Vec<_> = shown
            .iter()
            .filter(|event| event.pdu.event_type() == "m.room.message")
            .collect();
        let index = usize::from(number) % messages.len().max(1);
        let message = messages.get(index)?;
        Some(message.pdu.event_id().to_owned())
    }
}

/// What a user says: a word that nobody has said before, which is also the key under which it is
/// said once.
pub(super) fn message(user: User, room_id: &OwnedRoomId, word: String) -> Command {
    let content = json!({ "msgtype": "m.text", "body": word });
    Command::Send(Box::new(SendEvent {
        once: Some(word),
        ..new_event(user, room_id, "m.room.message", None, content)
    }))
}

/// A state event, or another.
pub(super) fn event(
    user: User,
    room_id: &OwnedRoomId,
    event_type: &str,
    state_key: Option<&str>,
    content: Value,
) -> Command {
    let event = new_event(user, room_id, event_type, state_key, content);
    Command::Send(Box::new(event))
}

fn new_event(
    user: User,
    room_id: &OwnedRoomId,
    event_type: &str,
    state_key: Option<&str>,
    content: Value,
) -> SendEvent {
    SendEvent {
        sender: id_of(user),
        room_id: room_id.clone(),
        event_type: event_type.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        content: object(content),
        once: None,
    }
}

fn create(user: User, deed: &Deed) -> Command {
    let Deed::Create {
        version,
        preset,
        levels,
        ..
    } = deed
    else {
        panic!("{deed:?} creates no room");
    };
    let creator = id_of(user);
    let mut users = Map::new();
    for (server, level) in levels {
        let ann = id_of(User {
            server: *server,
            name: 0,
        });
        users.insert(ann.to_string(), (*level).into());
    }
    users.remove(creator.as_str());
    if *version != RoomVersion::V12 {
        users.insert(creator.to_string(), 100.into());
    }
    Command::CreateRoom(Box::new(CreateRoom {
        version: Some(*version),
        preset: *preset,
        power_levels: object(json!({ "users": users })),
        ..CreateRoom::new(creator)
    }))
}

/// Whom to ask for a room: this server first.
fn via_of(first: u8) -> Vec<ruma_common::OwnedServerName> {
    let names = std::iter::once(show::server(first)).chain(NAMES.into_iter().take(4));
    names
        .map(|name| name.try_into().expect("a server name"))
        .collect()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A user's id.
pub(super) fn id_of(user: User) -> OwnedUserId {
    let name = USERS[usize::from(user.name) % USERS.len()];
    let id = format!("@{name}:{}", show::server(user.server));
    id.try_into().expect("a user id")
}
