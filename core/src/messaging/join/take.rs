//! Noting that a server took a join and left out who is in the room (FJOIN-3, FJOIN-4).
//!
//! What came is checked as a whole room would be ([`EnterRoom`]), but that members whom the join
//! names as authorising it count as part of the state, where members are left out. If it is good,
//! the command is answered; nothing of it is kept but the notice, since no event can be judged by
//! such a state for good. If it is not, the room may be good as a whole, and is asked for so.

use std::collections::BTreeSet;

use ruma_common::OwnedServerName;

use super::{
    complete::CompleteJoin,
    enter::{EnterRoom, Extent},
    send::SendJoin,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::{command::Reply, notice::Notice},
    pdu::judging::judge,
    persistence::{
        queries::Write,
        tables::{JoinRecord, TakenRecord},
    },
};

/// How many of the servers in a room are remembered.
const SERVERS_MAX: usize = 1_000;

/// A room of which a server gave us a part.
#[derive(Clone, Debug)]
pub struct TakeJoin {
    /// The part.
    pub room: EnterRoom,
    /// The servers in the room, as the server says.
    pub servers: Vec<OwnedServerName>,
}

impl TakeJoin {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let judged = judge(&self.room.given(), facts)?;
        Ok(match self.room.check(judged, Extent::Part) {
            Ok(_) => self.take(facts),
            Err(fault) => {
                let EnterRoom { join, server, .. } = &self.room;
                tracing::info!(room = %join.room_id, %server, %fault, "asking for all of a room");
                let event = self.room.event.clone();
                Outcome::phase(SendJoin::of_all(join.clone(), server.clone(), event))
            }
        })
    }

    fn take(&self, facts: &Facts<'_>) -> Outcome {
        let EnterRoom {
            join,
            server,
            event,
            state,
            ..
        } = &self.room;
        let record = TakenRecord {
            servers: self.others(facts),
            at: facts.now().wall,
        };
        tracing::info!(room = %join.room_id, %server, "a join was taken, without the members");
        let outcome = Outcome {
            writes: vec![Write::Join(JoinRecord {
                event: event.clone(),
                server: server.clone(),
                others: Vec::new(),
                content: join.content.clone(),
                starts: join.starts,
                taken: Some(record.clone()),
            })],
            notices: vec![Notice::JoinTaken {
                user_id: join.user_id.clone(),
                room_id: join.room_id.clone(),
                state: state.clone(),
                servers: record.servers.clone(),
            }],
            ..Outcome::default()
        };
        let (server, event) = (server.clone(), event.clone());
        let next = CompleteJoin::new(join.clone(), server, event, record, facts);
        let outcome = outcome.with_reply(Reply::Room(join.room_id.clone()));
        outcome.then(Vec::new(), next)
    }

    fn others(&self, facts: &Facts<'_>) -> Vec<OwnedServerName> {
        let mut seen = BTreeSet::from([facts.our_name(), &*self.room.server]);
        let servers = self.servers.iter();
        let others = servers.filter(|server| seen.insert(server));
        others.take(SERVERS_MAX).cloned().collect()
    }
}
