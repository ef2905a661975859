//! Knocking at a room: by ourselves if we are in it, else by `make_knock` and `send_knock` with one
//! candidate after the other (KNOCK-1, KNOCK-4).

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    command::{CommandError, Content, Reply},
    compose::NewEvent,
    delivery::compose_and_deliver,
    join::template::signed_membership,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
    },
    pdu::{Pdu, signing},
    persistence::{
        queries::Write,
        tables::{LocalMembership, StoredEvent, Verdict},
    },
    transport::{
        remote_request::{Endpoint, SignedEvent},
        remote_response,
    },
};

/// How many servers are tried.
const CANDIDATES_MAX: usize = 10;

/// How many events of another server's description are kept.
const DESCRIPTION_MAX: usize = 50;

/// A wish to be let in.
#[derive(Clone, Debug)]
pub struct KnockRoom {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers to ask, best first.
    pub via: Vec<OwnedServerName>,
    /// Further keys of the member event.
    pub content: Content,
}

impl KnockRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.knock(facts))
    }

    fn knock(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        if self.user_id.server_name() != facts.our_name() {
            let reason = "the user is of another server".to_owned();
            return Err(CommandError::Invalid(reason).into());
        }
        let room = facts.room(&self.room_id)?;
        match room.filter(|room| room.has_server(facts.our_name())) {
            Some(room) => {
                let user_id = &self.user_id;
                let event = NewEvent::member(user_id, user_id, "knock", &self.content);
                compose_and_deliver(room, &event, facts)
            }
            None => self.ask_for_template(facts),
        }
    }

    /// The answers of those that were asked before are still at hand in each later run.
    fn ask_for_template(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let mut last = CommandError::NotFound(format!("no server is known in {}", self.room_id));
        for server in self.candidates(facts) {
            let endpoint = Endpoint::MakeKnock(self.room_id.clone(), self.user_id.clone());
            let (room_id, user_id) = (&self.room_id, &self.user_id);
            let event = match facts.call(&server, endpoint)? {
                Ok(body) => {
                    signed_membership(body, room_id, user_id, "knock", &self.content, facts)
                }
                Err(error) => Err(error.clone()),
            };
            match event {
                Ok(event) => return Ok(Outcome::phase(SendKnock { server, event })),
                Err(error) if error.try_another_server() => {
                    last = CommandError::of_server(&server, &error)
                }
                Err(error) => return Err(CommandError::of_server(&server, &error).into()),
            }
        }
        Err(last.into())
    }

    fn candidates(&self, facts: &Facts<'_>) -> Vec<OwnedServerName> {
        let named = self.room_id.server_name().map(ToOwned::to_owned);
        let mut seen = BTreeSet::new();
        let candidates = self.via.iter().cloned().chain(named);
        candidates
            .filter(|server| server != facts.our_name() && seen.insert(server.clone()))
            .take(CANDIDATES_MAX)
            .collect()
    }
}

/// A signed knock on its way in.
#[derive(Clone, Debug)]
pub struct SendKnock {
    server: OwnedServerName,
    event: Arc<Pdu>,
}

#[derive(Deserialize)]
struct Knocked<'b> {
    #[serde(borrow, default)]
    knock_room_state: Vec<&'b RawValue>,
}

impl SendKnock {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let endpoint = Endpoint::SendKnock(SignedEvent {
            room_id: self.event.room_id().to_owned(),
            event_id: self.event.event_id().to_owned(),
            body: self.event.json().to_owned(),
        });
        match facts.call(&self.server, endpoint)? {
            Ok(body) => {
                let description = self.description(body, facts)?;
                Ok(self.note(description, facts))
            }
            Err(error) => {
                let error = CommandError::of_server(&self.server, error);
                Ok(Outcome::complete(Err(error)))
            }
        }
    }

    /// What describes the room, pruned to what clients see. Events that claim to be signed must be
    /// so; older servers send none but stripped ones (KNOCK-4).
    fn description(&self, body: &Bytes, facts: &Facts<'_>) -> Result<Vec<Value>, Blocked> {
        let Ok(knocked) = remote_response::parse_borrowed::<Knocked<'_>>(body) else {
            return Ok(Vec::new());
        };
        let version = self.event.room_version();
        let (mut whole, mut stripped) = (Vec::new(), Vec::new());
        for text in knocked.knock_room_state.into_iter().take(DESCRIPTION_MAX) {
            let event: Value = serde_json::from_str(text.get()).unwrap_or_default();
            match event.get("signatures") {
                None => stripped.extend(pruned(&event)),
                Some(_) => {
                    let event = Pdu::parse(text.get(), version).ok().map(Arc::new);
                    whole.extend(event.filter(|event| event.room_id() == self.event.room_id()));
                }
            }
        }
        let keys = facts.keys_for(&whole)?;
        let genuine = whole
            .iter()
            .filter(|event| signing::verify_event(event, &keys).is_ok());
        stripped.extend(genuine.filter_map(|event| pruned(&Value::Object(event.object()))));
        Ok(stripped)
    }

    fn note(&self, stripped_state: Vec<Value>, facts: &Facts<'_>) -> Outcome {
        let (room_id, version) = (self.event.room_id().to_owned(), self.event.room_version());
        let event = Arc::new(StoredEvent::outlier(self.event.clone(), Verdict::Accepted));
        let mut outcome = Outcome::default();
        let membership = LocalMembership {
            user_id: self.event.sender().to_owned(),
            room_id: room_id.clone(),
            membership: "knock".to_owned(),
            event: event.clone(),
            position: outcome.counters(facts).newest(),
            stripped_state,
        };
        let event_id = event.pdu.event_id().to_owned();
        outcome.writes.push(Write::RoomVersion(room_id, version));
        outcome.writes.push(Write::Event(event));
        outcome.note_membership(membership);
        outcome.with_reply(Reply::Event(event_id))
    }
}

/// A state event without what clients are not to see; `None` if it is none.
fn pruned(event: &Value) -> Option<Value> {
    let text = |key: &str| event.get(key)?.as_str();
    let content = event.get("content").filter(|content| content.is_object())?;
    Some(json!({
        "type": text("type")?,
        "state_key": text("state_key")?,
        "sender": text("sender")?,
        "content": content,
    }))
}

/// The servers that may speak of our user's standing in a room that we are not in: of an invite the
/// one that sent it, of a knock those whose users described the room when they took it.
#[must_use]
pub fn residents(known: &LocalMembership) -> BTreeSet<OwnedServerName> {
    if known.membership != "knock" {
        return [known.event.pdu.origin().to_owned()].into();
    }
    let senders = known.stripped_state.iter();
    let senders = senders.filter_map(|event| event.get("sender")?.as_str());
    let senders = senders.filter_map(|sender| OwnedUserId::try_from(sender).ok());
    senders
        .map(|sender| sender.server_name().to_owned())
        .filter(|server| server != known.user_id.server_name())
        .take(CANDIDATES_MAX)
        .collect()
}
