//! Since when servers are in rooms by their own account. By that of others they may have been there
//! all the time: a resolution of states can undo that a user left, after the server took it for a
//! fact and let what was said in the room pass by. And who was put out of a room while it was cut
//! off cannot ask the others any more for what it lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use comity_core::{
    Monotonic, messaging::notice::Notice, pdu::Pdu, persistence::tables::LocalMembership,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId};

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
    /// When a user of a server was last put out of a room by one of another, by anybody's account.
    put_out: BTreeMap<(OwnedServerName, OwnedRoomId), Monotonic>,
}

impl Stays {
    /// Something happens.
    pub fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) {
        match sight {
            Sight::Noticed(server, Notice::Membership(membership)) => {
                self.moved(at, server, membership);
            }
            Sight::Noticed(server, Notice::Event(event)) => {
                if event.pdu.origin() == *server {
                    let event_id = event.pdu.event_id().to_owned();
                    self.said.entry(event_id).or_insert(at);
                }
                if let Some(server) = puts_out(&event.pdu) {
                    let place = (server, event.pdu.room_id().to_owned());
                    self.put_out.insert(place, at);
                }
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
        if self.put_out.get(&place).is_some_and(|at| at > said) {
            return true;
        }
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

/// Whose user a kick or a ban is about, if another server's user sent it.
fn puts_out(event: &Pdu) -> Option<OwnedServerName> {
    let target = <&UserId>::try_from(event.state_key()?).ok()?;
    let puts_out = matches!(event.membership(), Some("leave" | "ban"));
    let is_anothers = target.server_name() != event.origin();
    (puts_out && is_anothers).then(|| target.server_name().to_owned())
}
