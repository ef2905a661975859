//! Since when servers are in rooms by their own account. By that of others they may have been there
//! all the time: a resolution of states can undo that a user left, after the server took it for a
//! fact and let what was said in the room pass by.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use comity_core::{
    Monotonic, messaging::notice::Notice, pdu::Pdu, persistence::tables::LocalMembership,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};

use crate::simulation::sight::Sight;

/// A server's presence in a room.
#[derive(Debug, Default)]
struct Stay {
    users: BTreeSet<OwnedUserId>,
    /// When the last user left.
    ended: Monotonic,
    /// From when to when there was none.
    absences: Vec<Range<Monotonic>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Stays {
    stays: BTreeMap<(OwnedServerName, OwnedRoomId), Stay>,
    said: BTreeMap<OwnedEventId, Monotonic>,
}

impl Stays {
    /// Something happens.
    pub fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) {
        match sight {
            Sight::Noticed(server, Notice::Membership(membership)) => {
                self.moved(at, server, membership);
            }
            Sight::Noticed(server, Notice::Event(event)) if event.pdu.origin() == *server => {
                let event_id = event.pdu.event_id().to_owned();
                self.said.entry(event_id).or_insert(at);
            }
            _ => {}
        }
    }

    fn moved(&mut self, at: Monotonic, server: &ServerName, membership: &LocalMembership) {
        let place = (server.to_owned(), membership.room_id.clone());
        let stay = self.stays.entry(place).or_default();
        if membership.membership == "join" {
            if stay.users.is_empty() && at > stay.ended {
                stay.absences.push(stay.ended..at);
            }
            stay.users.insert(membership.user_id.clone());
        } else if stay.users.remove(&membership.user_id) && stay.users.is_empty() {
            stay.ended = at;
        }
    }

    /// Whether an event may have come when this server was not in its room, to come back later. Who
    /// said it took the server to be there because of these joins: of those before it left, or of
    /// one that it learnt of from others after it had come by another.
    pub fn missed<'j>(
        &self,
        server: &ServerName,
        event: &Pdu,
        joins: impl Iterator<Item = &'j OwnedEventId> + Clone,
    ) -> bool {
        let place = (server.to_owned(), event.room_id().to_owned());
        let (Some(stay), Some(said)) = (self.stays.get(&place), self.said.get(event.event_id()))
        else {
            return false;
        };
        let mut absences = stay.absences.iter();
        absences.any(|absence| {
            let is_another = |join| {
                let known = self.said.get(join);
                known.is_none_or(|known| *known < absence.start || *known > absence.end)
            };
            *said < absence.end && joins.clone().all(is_another)
        })
    }
}
