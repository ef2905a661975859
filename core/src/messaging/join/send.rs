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
    take::TakeJoin,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    pdu::{
        Pdu, RoomVersion,
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
    /// Whether the members of the room may be left out at first.
    pub in_part: bool,
}

#[derive(Deserialize)]
struct Joined<'b> {
    #[serde(borrow)]
    state: Vec<&'b RawValue>,
    #[serde(borrow)]
    auth_chain: Vec<&'b RawValue>,
    #[serde(borrow)]
    event: Option<&'b RawValue>,
    #[serde(default)]
    members_omitted: bool,
    servers_in_room: Option<Vec<String>>,
}

impl SendJoin {
    /// A join that was not handed in to this server yet, or not since the start.
    #[must_use]
    pub fn new(
        join: RemoteJoin,
        server: OwnedServerName,
        event: Arc<Pdu>,
        facts: &Facts<'_>,
    ) -> Self {
        Self {
            in_part: facts.settings().join_in_part,
            ..Self::of_all(join, server, event)
        }
    }

    /// The same, where nothing of the room may be left out.
    #[must_use]
    pub fn of_all(join: RemoteJoin, server: OwnedServerName, event: Arc<Pdu>) -> Self {
        Self {
            join,
            server,
            event,
            is_repeated: false,
            in_part: false,
        }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let event = SignedEvent {
            room_id: self.join.room_id.clone(),
            event_id: self.event.event_id().to_owned(),
            body: self.event.json().to_owned(),
        };
        let endpoint = match self.in_part {
            true => Endpoint::SendJoinInPart(event),
            false => Endpoint::SendJoin(event),
        };
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
            Ok((room, None)) => Outcome::phase(room),
            Ok((room, Some(servers))) => Outcome::phase(TakeJoin { room, servers }),
            Err(fault) => self.join.failed(&self.server, Failure::Room(fault)),
        }
    }

    /// The room, and who is in it if that was left out.
    fn read(&self, body: &Bytes) -> Result<(EnterRoom, Option<Vec<OwnedServerName>>), RoomFault> {
        let joined: Joined<'_> =
            remote_response::parse_borrowed(body).map_err(RoomFault::Unreadable)?;
        within_bound(joined.state.len(), joined.auth_chain.len()).map_err(RoomFault::Unreadable)?;
        let servers = self.servers(&joined)?;
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
        check_create(self.event.room_version(), &state, &auth_chain)?;
        check_places(&state)?;
        let room = EnterRoom {
            join: self.join.clone(),
            server: self.server.clone(),
            event,
            state,
            auth_chain,
        };
        Ok((room, servers))
    }

    /// The servers in the room, if its members were left out as we wished (FJOIN-3).
    fn servers(&self, joined: &Joined<'_>) -> Result<Option<Vec<OwnedServerName>>, RoomFault> {
        match (
            joined.members_omitted,
            self.in_part,
            &joined.servers_in_room,
        ) {
            (false, ..) => Ok(None),
            (true, false, _) => Err(RoomFault::OmittedUnasked),
            (true, true, None) => Err(RoomFault::NoServers),
            (true, true, Some(names)) => {
                let valid = names
                    .iter()
                    .filter_map(|name| name.as_str().try_into().ok());
                Ok(Some(valid.collect()))
            }
        }
    }
}

/// A room has one create event, of the version that was announced.
///
/// # Errors
/// If it has none or two.
pub(super) fn check_create(
    version: RoomVersion,
    state: &[Arc<Pdu>],
    auth_chain: &[Arc<Pdu>],
) -> Result<(), RoomFault> {
    let version = version.as_str();
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

/// Each place of a state is taken once.
///
/// # Errors
/// Which place two events claim.
pub(super) fn check_places(state: &[Arc<Pdu>]) -> Result<(), RoomFault> {
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
