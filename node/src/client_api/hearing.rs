//! What other servers say that is no event: taken in by a thread of its own, since whoever is told
//! of it must not block.
//!
//! What must not be lost is read from the federation's inbox, whatever notices come or are missed,
//! and acknowledged once it is in the node's own store. All else may be dropped when there is too
//! much of it.

use std::{
    io,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use comity_core::{
    messaging::command::{Command, Content, EduAudience, Reply},
    pdu::{StateKey, event_type::MEMBER},
    persistence::{
        queries::{Answer, Read},
        tables::{InboxId, InboxRecord},
    },
};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::{Value, json};

use super::{
    announcing::announce_devices_in,
    device_cache::DeviceCache,
    event_format::object,
    moments::{Moments, TYPING_TIME},
    news::News,
    room_reads::membership_of,
};
use crate::{
    accounts::{Accounts, AccountsError, DeviceMessage, Receipt},
    homeserver::Homeserver,
};

/// How much that is true for a moment may wait.
const WAITING_MAX: usize = 1_000;

/// How many messages of the inbox are read at once.
const PAGE: u32 = 100;

/// How many events of one receipt are looked at.
const EVENTS_READ_MAX: usize = 20;

/// How many rooms are looked through for a user of another server.
const ROOMS_MAX: u32 = 200;

/// How often to look into the inbox at least: a word that there is something may be lost when too
/// much else waits.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often to look who is no longer there.
const TICK: Duration = Duration::from_secs(15);

/// Something that another server said for the moment.
pub(super) struct Said {
    pub(super) edu_type: String,
    pub(super) content: Content,
}

/// What there is to take in.
pub(super) enum Heard {
    /// There is something in the inbox.
    Inbox,
    /// Somebody said something for the moment.
    Said(Said),
    /// One of our users is in a room at last, and nobody waited for it.
    Entered(OwnedUserId, OwnedRoomId),
}

/// Where to send what is heard.
pub(super) type Ear = SyncSender<Heard>;

/// Takes in what other servers say.
pub(super) struct Hearing {
    pub(super) homeserver: Weak<dyn Homeserver>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) moments: Arc<Moments>,
    pub(super) devices: Arc<DeviceCache>,
    pub(super) news: Weak<News>,
}

/// Why something was not taken in.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("the federation did not answer: {0}")]
    Federation(String),
}

impl Hearing {
    /// Begins to take in, until the [`Ear`] or the homeserver is gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self) -> io::Result<Ear> {
        let (ear, heard) = sync_channel(WAITING_MAX);
        thread::Builder::new()
            .name("hearing".to_owned())
            .spawn(move || self.run(&heard))?;
        Ok(ear)
    }

    fn run(&self, heard: &Receiver<Heard>) {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        let (mut after, mut looked, mut let_go) = (None, Instant::now(), Instant::now());
        loop {
            let heard = match heard.recv_timeout(TICK) {
                Ok(heard) => Some(heard),
                Err(Timeout) => None,
                Err(Disconnected) => return,
            };
            let Some(homeserver) = self.homeserver.upgrade() else {
                return;
            };
            let is_called = matches!(heard, Some(Heard::Inbox));
            let is_due = is_called || looked.elapsed() > LOOK_EVERY;
            let mut is_news = heard.is_some() || is_due;
            let mut taken_in = match heard {
                Some(Heard::Said(said)) => self.take_in_moment(&*homeserver, &said),
                Some(Heard::Entered(user_id, room_id)) => {
                    announce_devices_in(&room_id, &user_id, &self.accounts, &*homeserver)
                        .map_err(|error| Unheard::Federation(error.to_string()))
                }
                Some(Heard::Inbox) | None => Ok(()),
            };
            if is_due {
                looked = Instant::now();
                taken_in = taken_in.and(self.empty_inbox(&*homeserver, &mut after));
            }
            if let_go.elapsed() > TICK {
                let_go = Instant::now();
                is_news |= self.let_go(&*homeserver, let_go);
            }
            if let Err(error) = taken_in {
                tracing::debug!(%error, "what another server said was not taken in");
            }
            if let Some(news) = self.news.upgrade().filter(|_| is_news) {
                news.publish();
            }
        }
    }

    /// Tells other servers who is no longer there; tells whether anybody is not.
    fn let_go(&self, homeserver: &dyn Homeserver, now: Instant) -> bool {
        let before = self.moments.last();
        for (user_id, said) in self.moments.let_go(now) {
            let content = json!({ "push": [said] });
            let told = homeserver.command(Command::SendEdu {
                to: EduAudience::Peers(user_id),
                edu_type: "m.presence".to_owned(),
                content: object(content),
            });
            if let Err(error) = told {
                tracing::debug!(%error, "a user's presence is not told");
            }
        }
        self.moments.last() != before
    }

    fn empty_inbox(
        &self,
        homeserver: &dyn Homeserver,
        after: &mut Option<InboxId>,
    ) -> Result<(), Unheard> {
        let mut last = match *after {
            Some(after) => after,
            None => self.accounts.heard()?,
        };
        loop {
            let read = Read::Inbox {
                after: last,
                limit: PAGE,
            };
            let Answer::Inbox(records) = ask(homeserver, read)? else {
                return Ok(());
            };
            let Some(newest) = records.last().map(|record| record.id) else {
                return Ok(());
            };
            for record in &records {
                self.take_in(homeserver, record)?;
                last = record.id;
                *after = Some(last);
            }
            let acknowledge = Command::Acknowledge { through: newest };
            homeserver
                .command(acknowledge)
                .map_err(|error| Unheard::Federation(error.to_string()))?;
        }
    }

    fn take_in(&self, homeserver: &dyn Homeserver, record: &InboxRecord) -> Result<(), Unheard> {
        let (mut messages, mut changed) = (Vec::new(), None);
        match record.edu_type.as_str() {
            "m.direct_to_device" => messages = device_messages(&record.content),
            _ => {
                let user_id = record.content.get("user_id").and_then(Value::as_str);
                let user_id = user_id.and_then(|user_id| OwnedUserId::try_from(user_id).ok());
                if let Some(user_id) = &user_id {
                    self.keep_devices(user_id, &record.edu_type, &record.content);
                }
                if let Some(user_id) = user_id
                    && is_met(homeserver, &record.origin, &user_id)?
                {
                    changed = Some(user_id);
                }
            }
        }
        Ok(self
            .accounts
            .take_in(record.id, &messages, changed.as_ref())?)
    }

    /// Before anybody is told that something changed: they will look here.
    fn keep_devices(&self, user_id: &UserId, edu_type: &str, content: &Content) {
        match edu_type {
            "m.device_list_update" => self.devices.update(user_id, content),
            _ => self.devices.update_signing_keys(user_id, content),
        }
    }

    fn take_in_moment(&self, homeserver: &dyn Homeserver, said: &Said) -> Result<(), Unheard> {
        match said.edu_type.as_str() {
            "m.typing" => self.take_in_typing(&said.content),
            "m.presence" => {
                let users = said.content.get("push").and_then(Value::as_array);
                for user in users.into_iter().flatten() {
                    if let Some(user_id) = user_id(user.get("user_id")) {
                        self.moments.hear_presence(&user_id, user);
                    }
                }
            }
            "m.receipt" => self.take_in_receipts(homeserver, &said.content)?,
            _ => {}
        }
        Ok(())
    }

    fn take_in_typing(&self, content: &Content) {
        let room_id = content.get("room_id").and_then(Value::as_str);
        let room_id = room_id.and_then(|room_id| OwnedRoomId::try_from(room_id).ok());
        if let (Some(room_id), Some(user_id)) = (room_id, user_id(content.get("user_id"))) {
            let types = content.get("typing").and_then(Value::as_bool) == Some(true);
            let until = types.then(|| Instant::now() + TYPING_TIME);
            self.moments.set_typing(&room_id, &user_id, until);
        }
    }

    /// Receipts of users who are in the room.
    fn take_in_receipts(
        &self,
        homeserver: &dyn Homeserver,
        content: &Content,
    ) -> Result<(), Unheard> {
        for (room, types) in content {
            let users = types.get("m.read").and_then(Value::as_object);
            for (user, read) in users.into_iter().flatten() {
                let (Ok(room_id), Ok(user_id)) = (
                    OwnedRoomId::try_from(room.as_str()),
                    OwnedUserId::try_from(user.as_str()),
                ) else {
                    continue;
                };
                let Some(event_id) = last_read(homeserver, read)? else {
                    continue;
                };
                let receipt = receipt(&room_id, &user_id, &event_id, read);
                if is_joined(homeserver, &room_id, &user_id)? {
                    self.accounts.set_receipt(&receipt)?;
                }
            }
        }
        Ok(())
    }
}

/// How far somebody has read. There should be one event (EDU-3); of several it is the one that
/// came here last, or the first if we hold none of them.
fn last_read(homeserver: &dyn Homeserver, read: &Value) -> Result<Option<OwnedEventId>, Unheard> {
    let named = read.get("event_ids").and_then(Value::as_array);
    let named = named.into_iter().flatten().take(EVENTS_READ_MAX);
    let named = named.filter_map(Value::as_str);
    let named: Vec<OwnedEventId> = named.filter_map(|id| id.try_into().ok()).collect();
    if named.len() < 2 {
        return Ok(named.into_iter().next());
    }
    let Answer::Events(held) = ask(homeserver, Read::Events(named.clone()))? else {
        return Ok(None);
    };
    let last = held.iter().max_by_key(|event| event.position);
    let last = last.map(|event| event.pdu.event_id().to_owned());
    Ok(last.or_else(|| named.into_iter().next()))
}

fn receipt(room_id: &RoomId, user_id: &UserId, event_id: &EventId, read: &Value) -> Receipt {
    let thread_id = read.pointer("/data/thread_id").and_then(Value::as_str);
    let ts = read.pointer("/data/ts").and_then(Value::as_i64);
    Receipt {
        room_id: room_id.to_string(),
        user_id: user_id.to_string(),
        receipt_type: "m.read".to_owned(),
        thread_id: thread_id.map(ToOwned::to_owned),
        event_id: event_id.to_string(),
        ts: ts.unwrap_or_default(),
    }
}

/// The messages of an EDU, as the devices of our users get them.
fn device_messages(content: &Content) -> Vec<DeviceMessage> {
    let (event_type, sender) = (content.get("type"), content.get("sender"));
    let users = content.get("messages").and_then(Value::as_object);
    let mut messages = Vec::new();
    for (user, devices) in users.into_iter().flatten() {
        let Ok(user_id) = <&UserId>::try_from(user.as_str()) else {
            continue;
        };
        for (device_id, content) in devices.as_object().into_iter().flatten() {
            messages.push(DeviceMessage {
                localpart: user_id.localpart().to_owned(),
                device_id: (device_id != "*").then(|| device_id.clone()),
                event: json!({ "type": event_type, "sender": sender, "content": content }),
            });
        }
    }
    messages
}

fn user_id(value: Option<&Value>) -> Option<OwnedUserId> {
    value?.as_str()?.try_into().ok()
}

/// Whether a user of another server is in a room that we take part in: nobody else's devices
/// matter to our users (EDU-6).
fn is_met(
    homeserver: &dyn Homeserver,
    server: &ServerName,
    user_id: &UserId,
) -> Result<bool, Unheard> {
    let read = Read::RoomsOf {
        server: server.to_owned(),
        limit: ROOMS_MAX,
    };
    let Answer::Rooms(rooms) = ask(homeserver, read)? else {
        return Ok(false);
    };
    for room_id in rooms {
        if is_joined(homeserver, &room_id, user_id)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_joined(
    homeserver: &dyn Homeserver,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<bool, Unheard> {
    let key = StateKey::new(MEMBER, user_id.as_str());
    let Answer::Events(found) = ask(homeserver, Read::CurrentStateEvent(room_id.to_owned(), key))?
    else {
        return Ok(false);
    };
    Ok(membership_of(found.first().map(AsRef::as_ref)) == "join")
}

fn ask(homeserver: &dyn Homeserver, read: Read) -> Result<Answer, Unheard> {
    match homeserver.command(read.into()) {
        Ok(Reply::Read(answer)) => Ok(answer),
        Ok(_) => Err(Unheard::Federation("nonsense".to_owned())),
        Err(error) => Err(Unheard::Federation(error.to_string())),
    }
}
