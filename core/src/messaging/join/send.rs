//! Handing a signed join in (JOIN-5), and reading the room that comes back.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use ruma_common::OwnedServerName;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    RemoteJoin,
    candidates::{Failure, RoomFault},
    enter::EnterRoom,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    pdu::{
        Pdu,
        answers::{events_of, within_bound},
        event_type::CREATE,
    },
    transport::{
        remote_request::{Endpoint, SignedEvent},
        remote_response::{self, RemoteError},
    },
};

/// A signed join on its way in.
#[derive(Clone, Debug)]
pub struct SendJoin {
    /// The join.
    pub join: RemoteJoin,
    /// The server that made the template.
    pub server: OwnedServerName,
    /// The event.
    pub event: Arc<Pdu>,
    /// Whether it was sent to this server before.
    pub is_repeated: bool,
}

#[derive(Deserialize)]
struct Joined<'b> {
    #[serde(borrow)]
    state: Vec<&'b RawValue>,
    #[serde(borrow)]
    auth_chain: Vec<&'b RawValue>,
    #[serde(borrow)]
    event: Option<&'b RawValue>,
}

impl SendJoin {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let endpoint = Endpoint::SendJoin(SignedEvent {
            room_id: self.join.room_id.clone(),
            event_id: self.event.event_id().to_owned(),
            body: self.event.json().to_owned(),
        });
        Ok(match facts.call(&self.server, endpoint)? {
            Ok(body) => self.given(body),
            Err(error) if self.may_have_arrived(error, facts) => Outcome::phase(Self {
                is_repeated: true,
                ..self.clone()
            }),
            Err(error) => {
                let failure = Failure::SendJoin(error.clone());
                self.join.failed(&self.server, failure)
            }
        })
    }

    /// Whether the server may have taken the join without our knowing. The same event again is no
    /// second join, and brings the room if the first time only its answer was lost.
    fn may_have_arrived(&self, error: &RemoteError, facts: &Facts<'_>) -> bool {
        let is_lost = matches!(error, RemoteError::Unreachable(_));
        is_lost && !self.is_repeated && self.join.candidates.has_time(facts.begun().monotonic)
    }

    fn given(&self, body: &Bytes) -> Outcome {
        match self.read(body) {
            Ok(enter) => Outcome::phase(enter),
            Err(fault) => self.join.failed(&self.server, Failure::Room(fault)),
        }
    }

    fn read(&self, body: &Bytes) -> Result<EnterRoom, RoomFault> {
        let joined: Joined<'_> =
            remote_response::parse_borrowed(body).map_err(RoomFault::Unreadable)?;
        within_bound(joined.state.len(), joined.auth_chain.len()).map_err(RoomFault::Unreadable)?;
        let events =
            |events: &[&RawValue]| events_of(events, &self.join.room_id, self.event.room_version());
        let event = match joined.event {
            None => self.event.clone(),
            Some(json) => events(&[json])
                .pop()
                .filter(|event| event.is_same_event(&self.event))
                .filter(|event| event.has_claimed_content())
                .ok_or(RoomFault::AnotherJoin)?,
        };
        let (state, auth_chain) = (events(&joined.state), events(&joined.auth_chain));
        self.check_create(&state, &auth_chain)?;
        check_places(&state)?;
        Ok(EnterRoom {
            join: self.join.clone(),
            server: self.server.clone(),
            event,
            state,
            auth_chain,
        })
    }

    /// A room has one create event, of the version that was announced.
    fn check_create(&self, state: &[Arc<Pdu>], auth_chain: &[Arc<Pdu>]) -> Result<(), RoomFault> {
        let version = self.event.room_version().as_str();
        let is_create = |event: &&Arc<Pdu>| event.event_type() == CREATE;
        let create = state.iter().find(|event| {
            let content = event.content();
            let announced = content.get("room_version").and_then(|v| v.as_str());
            is_create(event) && announced.unwrap_or("1") == version
        });
        let create = create.ok_or(RoomFault::NoCreateEvent(version))?;
        let mut all = state.iter().chain(auth_chain).filter(is_create);
        match all.all(|event| event.event_id() == create.event_id()) {
            true => Ok(()),
            false => Err(RoomFault::TwoCreateEvents),
        }
    }
}

/// Each place of a state is taken once.
fn check_places(state: &[Arc<Pdu>]) -> Result<(), RoomFault> {
    let mut taken = BTreeSet::new();
    for event in state {
        let (event_type, Some(state_key)) = (event.event_type(), event.state_key()) else {
            continue;
        };
        if !taken.insert((event_type, state_key)) {
            return Err(RoomFault::Contradiction {
                event_type: event_type.to_owned(),
                state_key: state_key.to_owned(),
            });
        }
    }
    Ok(())
}
