//! Fetching history from before ours begins (BACKFILL-4).

use ruma_common::{OwnedEventId, OwnedRoomId};

use super::{
    command::{CommandError, Reply},
    compose::our_room,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
    },
    pdu::{answers, history::ImportHistory, sources::sources},
    persistence::queries::{Answer, Read},
    transport::remote_request::Endpoint,
};

/// How many events are asked for at most.
const LIMIT_MAX: u32 = 100;

/// How many servers are asked before we believe that there is no more.
const SOURCES_MAX: usize = 5;

/// A wish for older events.
#[derive(Clone, Debug)]
pub struct BackfillRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// At most so many.
    pub limit: u32,
    /// How many servers have been asked in vain.
    pub tried: usize,
}

impl BackfillRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.ask(facts))
    }

    fn ask(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let room = our_room(&self.room_id, facts)?;
        let read = Read::BackwardExtremities(self.room_id.clone());
        let Answer::BackwardExtremities(ends) = facts.read(read)? else {
            return Err(CommandError::Stopped("no answer".to_owned()).into());
        };
        let from: Vec<OwnedEventId> = ends.iter().map(|(event_id, _)| event_id.clone()).collect();
        let servers = sources(room, &[], SOURCES_MAX, facts);
        let Some(server) = servers.get(self.tried).filter(|_| !from.is_empty()) else {
            return Ok(Outcome::complete(Ok(Reply::Backfilled(0))));
        };
        let limit = self.limit.min(LIMIT_MAX);
        let endpoint = Endpoint::Backfill {
            room_id: self.room_id.clone(),
            from: from.clone(),
            limit,
        };
        let answer = facts.call(server, endpoint)?;
        let events = match answer {
            Ok(body) => answers::history(body, &self.room_id, room.version),
            Err(_) => Vec::new(),
        };
        let events = answers::reachable(&from, events);
        let next = Self {
            tried: self.tried + 1,
            ..self.clone()
        };
        Ok(match events.is_empty() {
            true => Outcome::phase(next),
            false => Outcome::phase(ImportHistory {
                from: server.clone(),
                events,
                auth_asked: false,
                next,
            }),
        })
    }
}
