//! Who is in a room by what others know is in it by what their own server knows, or was told that
//! the join failed: a crash in the middle of a join forgets nothing.

use std::collections::BTreeSet;

use comity_core::{
    Monotonic,
    messaging::{command::Command, notice::Notice},
};
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{Ending, Invariant};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct JoinedAndKnown {
    /// Who was told after a crash that a join of which room failed.
    failed: BTreeSet<(OwnedUserId, OwnedRoomId)>,
}

impl JoinedAndKnown {
    fn was_told(&self, end: &Ending<'_>, user: &UserId, room: &RoomId) -> bool {
        let mut orders = end.orders.iter();
        let by_answer = orders.any(|order| {
            let is_it = matches!(
                &order.command,
                Command::Join { user_id, room_id, .. } if user_id == user && room_id == room
            );
            is_it && matches!(order.outcome, Some(Err(_)))
        });
        by_answer || self.failed.contains(&(user.to_owned(), room.to_owned()))
    }
}

impl Invariant for JoinedAndKnown {
    fn name(&self) -> &'static str {
        "who was let in knows it"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        if let Sight::Noticed(
            _,
            Notice::JoinEnded {
                user_id,
                room_id,
                result: Err(_),
            },
        ) = sight
        {
            self.failed.insert((user_id.clone(), room_id.clone()));
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms {
            for server in end.summaries.get(room_id).into_iter().flatten() {
                let state = end.network.server(server.0.as_str()).current_state(room_id);
                let joins = state
                    .iter()
                    .filter(|event| event.pdu.membership() == Some("join"));
                for join in joins.filter(|join| end.honest.contains(join.pdu.origin())) {
                    let (own, user) = (join.pdu.origin(), join.pdu.sender());
                    if end.exempt.covers(room_id, &[server.0, own]) {
                        continue;
                    }
                    let mut known = end.stored[own].values();
                    let knows = known
                        .any(|event| event.pdu.sender() == user && event.pdu.room_id() == *room_id);
                    if !knows && !self.was_told(end, user, room_id) {
                        return Err(format!("{} holds {join:?}, and {own} not", server.0));
                    }
                }
            }
        }
        Ok(())
    }
}
