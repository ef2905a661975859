//! A federation in memory: what the API needs of it, without rules, peers or disk.

mod reads;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use comity_core::{
    messaging::{
        command::{Command, CommandError, Content, CreateRoom, Preset, Reply, SendEvent},
        device_keys::{DeviceList, UserKeys, WantedKeys},
        notice::Notice,
    },
    pdu::{
        Pdu, RoomVersion, StateKey, StateMap,
        build::{EventTemplate, build},
        signing::SigningKey,
    },
    persistence::tables::{
        EventState, LocalMembership, Position, SnapshotId, StoredEvent, Verdict,
    },
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::json;

use crate::homeserver::{Homeserver, NoticeCallback, QuestionCallback};

pub(super) const SERVER: &str = "here.example";

#[derive(Default)]
pub(super) struct World {
    inside: Mutex<Inside>,
    listeners: Mutex<Vec<NoticeCallback>>,
}

#[derive(Default)]
struct Inside {
    events: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    snapshots: Vec<StateMap>,
    rooms: BTreeMap<OwnedRoomId, SnapshotId>,
    memberships: BTreeMap<(OwnedUserId, OwnedRoomId), LocalMembership>,
    once: BTreeMap<String, OwnedEventId>,
    newest: i64,
    oldest: i64,
    /// Bodies of messages that another server would give as history, newest first.
    elsewhere: Vec<String>,
    /// The devices of users of other servers.
    devices: BTreeMap<OwnedUserId, DeviceList>,
    /// How often other servers were asked for their keys.
    keys_asked: usize,
    /// What was sent that is no event.
    edus: Vec<Content>,
}

/// What a new event is made of.
pub(super) struct Draft<'a> {
    pub(super) room_id: &'a str,
    pub(super) sender: &'a str,
    pub(super) event_type: &'a str,
    pub(super) state_key: Option<&'a str>,
    pub(super) content: serde_json::Value,
}

impl World {
    /// An event arrives, from here or from another server.
    pub(super) fn arrive(&self, draft: &Draft<'_>) -> Arc<StoredEvent> {
        let before = self.inside().rooms.get(draft.room_id).copied();
        self.arrive_after(draft, before.unwrap_or_default())
    }

    /// An event arrives whose sender knew of this state only. The room's state is then the newer
    /// event of each key.
    pub(super) fn arrive_after(&self, draft: &Draft<'_>, before: SnapshotId) -> Arc<StoredEvent> {
        let event = self.inside().add(draft, before);
        self.tell(&Notice::Event(event.clone()));
        event
    }

    /// Another server invites one of our users to a room that we are not in.
    pub(super) fn invite_from_elsewhere(&self, user_id: &str, room_id: &str, name: &str) {
        let draft = Draft {
            room_id,
            sender: "@erin:there.example",
            event_type: "m.room.member",
            state_key: Some(user_id),
            content: json!({ "membership": "invite" }),
        };
        let stripped = json!({
            "type": "m.room.name", "state_key": "", "sender": draft.sender,
            "content": { "name": name },
        });
        self.outside(&draft, vec![stripped]);
    }

    fn outside(&self, draft: &Draft<'_>, stripped_state: Vec<serde_json::Value>) -> OwnedEventId {
        let mut inside = self.inside();
        let event = StoredEvent::outlier(Arc::new(inside.pdu(draft)), Verdict::Accepted);
        inside.newest += 1;
        let membership = inside.note_membership(&Arc::new(event), stripped_state);
        drop(inside);
        let membership = membership.unwrap();
        self.tell(&Notice::Membership(Box::new(membership.clone())));
        membership.event.pdu.event_id().to_owned()
    }

    /// Messages of the past that other servers hold, newest first.
    pub(super) fn hold_elsewhere(&self, bodies: &[&str]) {
        self.inside().elsewhere = bodies.iter().map(|&body| body.to_owned()).collect();
    }

    /// What another server would tell of a user's devices.
    pub(super) fn has_devices(&self, list: DeviceList) {
        self.inside().devices.insert(list.user_id.clone(), list);
    }

    /// How often other servers were asked for keys.
    pub(super) fn keys_asked(&self) -> usize {
        self.inside().keys_asked
    }

    /// The contents of what was sent that is no event.
    pub(super) fn edus(&self) -> Vec<Content> {
        self.inside().edus.clone()
    }

    pub(super) fn current(&self, room_id: &str) -> SnapshotId {
        self.inside().rooms[<&RoomId>::try_from(room_id).unwrap()]
    }

    pub(super) fn tell(&self, notice: &Notice) {
        self.listeners
            .lock()
            .unwrap()
            .iter_mut()
            .for_each(|listener| listener(Ok(notice.clone())));
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    fn create(&self, room: &CreateRoom) -> OwnedRoomId {
        let number = self.inside().rooms.len();
        let room_id = format!("!room{number}:{SERVER}");
        let send = |event_type: &str, state_key: &str, content: serde_json::Value| {
            self.arrive(&Draft {
                room_id: &room_id,
                sender: room.creator.as_str(),
                event_type,
                state_key: Some(state_key),
                content,
            });
        };
        let mut member = room.creator_content.clone();
        member.insert("membership".into(), "join".into());
        let rule = if room.preset == Preset::Public {
            "public"
        } else {
            "invite"
        };
        send("m.room.create", "", json!({ "room_version": "11" }));
        send("m.room.member", room.creator.as_str(), member.into());
        send("m.room.power_levels", "", room.power_levels.clone().into());
        send("m.room.join_rules", "", json!({ "join_rule": rule }));
        for state in &room.initial_state {
            send(
                &state.event_type,
                &state.state_key,
                state.content.clone().into(),
            );
        }
        if let Some(name) = &room.name {
            send("m.room.name", "", json!({ "name": name }));
        }
        room_id.try_into().unwrap()
    }

    fn send(&self, event: &SendEvent) -> OwnedEventId {
        let known = event
            .once
            .as_ref()
            .and_then(|key| self.inside().once.get(key).cloned());
        if let Some(event_id) = known {
            return event_id;
        }
        let stored = self.arrive(&Draft {
            room_id: event.room_id.as_str(),
            sender: event.sender.as_str(),
            event_type: &event.event_type,
            state_key: event.state_key.as_deref(),
            content: event.content.clone().into(),
        });
        let event_id = stored.pdu.event_id().to_owned();
        self.inside()
            .once
            .extend(event.once.iter().map(|key| (key.clone(), event_id.clone())));
        event_id
    }

    fn member(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        content: Content,
    ) -> Reply {
        let draft = Draft {
            room_id: room_id.as_str(),
            sender: sender.as_str(),
            event_type: "m.room.member",
            state_key: Some(target.as_str()),
            content: content.into(),
        };
        let is_ours = self.inside().rooms.contains_key(room_id);
        Reply::Event(match is_ours {
            true => self.arrive(&draft).pdu.event_id().to_owned(),
            false => self.outside(&draft, Vec::new()),
        })
    }
}

impl Homeserver for World {
    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let with = |mut content: Content, membership: &str| {
            content.insert("membership".into(), membership.into());
            content
        };
        Ok(match command {
            Command::Status => Reply::Status(Box::default()),
            Command::Retry(destination) => Reply::Retrying(destination.map_or(2, |_| 1)),
            Command::CreateRoom(room) => Reply::Room(self.create(&room)),
            Command::Join {
                user_id,
                room_id,
                content,
                ..
            } => {
                if !self.inside().rooms.contains_key(&room_id) {
                    return Err(CommandError::Unreachable("nobody there".into()));
                }
                self.member(&user_id, &user_id, &room_id, with(content, "join"));
                Reply::Room(room_id)
            }
            Command::Leave {
                user_id,
                room_id,
                content,
            } => self.member(&user_id, &user_id, &room_id, with(content, "leave")),
            Command::Invite {
                sender,
                target,
                room_id,
                content,
            } => self.member(&sender, &target, &room_id, with(content, "invite")),
            Command::Send(event) if !self.inside().rooms.contains_key(&event.room_id) => {
                return Err(CommandError::Forbidden("no such room".into()));
            }
            Command::Send(event) => Reply::Event(self.send(&event)),
            Command::Redact {
                sender,
                room_id,
                redacts,
                once,
                ..
            } => {
                let content = json!({ "redacts": redacts }).as_object().unwrap().clone();
                let event_type = "m.room.redaction".to_owned();
                let event = SendEvent {
                    sender,
                    room_id,
                    event_type,
                    state_key: None,
                    content,
                    once,
                };
                Reply::Event(self.send(&event))
            }
            Command::Backfill { room_id, limit } => {
                Reply::Backfilled(self.inside().backfill(&room_id, limit))
            }
            Command::SendEdu { content, .. } => self.inside().queue(content),
            Command::Acknowledge { .. } => Reply::Acknowledged,
            Command::Read(read) => Reply::Read(self.inside().read(read)),
            Command::QueryKeys(wanted) => self.inside().query_keys(&wanted),
            Command::ListDevices(user_id) => {
                let list = self.inside().devices.get(&user_id).cloned();
                let none = || CommandError::NotFound("nobody".into());
                Reply::Devices(Box::new(list.ok_or_else(none)?))
            }
            Command::ResolveAlias(_)
            | Command::Profile(_)
            | Command::ClaimKeys(_)
            | Command::PublicRooms { .. }
            | Command::OpenIdUser { .. }
            | Command::Knock { .. }
            | Command::EventByTime { .. }
            | Command::Media { .. }
            | Command::Hierarchy { .. }
            | Command::RoomSummary(_)
            | Command::Statistics => return Err(CommandError::NotFound("not here".into())),
        })
    }

    fn metrics(&self) -> Result<String, CommandError> {
        Err(CommandError::NotFound("not here".into()))
    }

    fn on_notice(&self, callback: NoticeCallback) -> io::Result<()> {
        self.listeners.lock().unwrap().push(callback);
        Ok(())
    }

    fn on_question(&self, _callback: QuestionCallback) {}
}

impl Inside {
    fn queue(&mut self, content: Content) -> Reply {
        self.edus.push(content);
        Reply::Queued
    }

    fn query_keys(&mut self, wanted: &WantedKeys) -> Reply {
        let mut keys = UserKeys::default();
        for user_id in wanted.keys() {
            if let Some(list) = self.devices.get(user_id) {
                self.keys_asked += 1;
                let devices = list.devices.iter();
                let devices = devices.map(|d| (d.device_id.clone(), d.keys.clone()));
                keys.device_keys.insert(user_id.clone(), devices.collect());
            }
        }
        let failures = BTreeMap::new();
        Reply::Keys { keys, failures }
    }

    fn pdu(&self, draft: &Draft<'_>) -> Pdu {
        let key = SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap();
        let sender: OwnedUserId = draft.sender.try_into().unwrap();
        let number = i64::try_from(self.events.len()).unwrap();
        let template = EventTemplate {
            reference_hashes: BTreeMap::new(),
            room_id: Some(draft.room_id.try_into().unwrap()),
            event_type: draft.event_type.to_owned(),
            state_key: draft.state_key.map(ToOwned::to_owned),
            content: draft.content.as_object().unwrap().clone(),
            redacts: None,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            depth: 1,
            origin_server_ts: number + self.newest - self.oldest,
            sender: sender.clone(),
        };
        build(template, RoomVersion::V11, sender.server_name(), &key).unwrap()
    }

    fn add(&mut self, draft: &Draft<'_>, before: SnapshotId) -> Arc<StoredEvent> {
        let pdu = Arc::new(self.pdu(draft));
        let room_id = pdu.room_id().to_owned();
        let mut current = self.snapshot(self.rooms.get(&room_id).copied().unwrap_or_default());
        let mut after = before;
        if let Some(key) = state_key(&pdu) {
            let mut state = self.snapshot(before);
            state.insert(key.clone(), pdu.event_id().to_owned());
            after = self.add_snapshot(state);
            current.insert(key, pdu.event_id().to_owned());
        }
        let is_linear = self.snapshot(after) == current;
        let newest = if is_linear {
            after
        } else {
            self.add_snapshot(current)
        };
        self.rooms.insert(room_id, newest);
        self.newest += 1;
        let event = Arc::new(StoredEvent {
            state: Some(EventState { before, after }),
            position: Some(Position(self.newest)),
            ..StoredEvent::outlier(pdu, Verdict::Accepted)
        });
        self.events
            .insert(event.pdu.event_id().to_owned(), event.clone());
        self.note_membership(&event, Vec::new());
        event
    }

    fn note_membership(
        &mut self,
        event: &Arc<StoredEvent>,
        stripped_state: Vec<serde_json::Value>,
    ) -> Option<LocalMembership> {
        let user_id: OwnedUserId = event.pdu.state_key()?.try_into().ok()?;
        let membership = LocalMembership {
            user_id: user_id.clone(),
            room_id: event.pdu.room_id().to_owned(),
            membership: event.pdu.membership()?.to_owned(),
            event: event.clone(),
            position: Position(self.newest),
            stripped_state,
        };
        let key = (user_id, membership.room_id.clone());
        (membership.user_id.server_name() == SERVER).then(|| {
            self.memberships.insert(key, membership.clone());
            membership
        })
    }

    fn backfill(&mut self, room_id: &RoomId, limit: u32) -> u32 {
        let count = self.elsewhere.len().min(limit as usize);
        let bodies: Vec<_> = self.elsewhere.drain(..count).collect();
        for body in bodies {
            self.oldest -= 1;
            let pdu = self.pdu(&Draft {
                room_id: room_id.as_str(),
                sender: "@erin:there.example",
                event_type: "m.room.message",
                state_key: None,
                content: json!({ "body": body }),
            });
            let mut event = StoredEvent::outlier(Arc::new(pdu), Verdict::Accepted);
            event.position = Some(Position(self.oldest));
            self.events
                .insert(event.pdu.event_id().to_owned(), Arc::new(event));
        }
        u32::try_from(count).unwrap()
    }
}

fn state_key(pdu: &Pdu) -> Option<StateKey> {
    Some(StateKey::new(pdu.event_type(), pdu.state_key()?))
}
