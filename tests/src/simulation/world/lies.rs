//! What hostile servers do.

use super::World;
use crate::simulation::plan::{lies::Lie, show};

impl World {
    /// Lets a hostile server lie, if it takes part.
    pub(super) fn lie(&mut self, index: u8, lie: Lie) {
        let liar = show::server(index);
        if !self.is_up(liar) {
            return;
        }
        match lie {
            Lie::Push(room, ruse, only) => {
                let Some(room_id) = self.rooms.get(&room) else {
                    return;
                };
                let other = self.rooms.values().find(|other| *other != room_id);
                let other = other.map(AsRef::as_ref);
                self.network
                    .push(liar, room_id, other, ruse, only.map(show::server));
            }
            Lie::Answer(target, corruption) => {
                let rooms = self.rooms.values().cloned().collect();
                self.network.will_answer(liar, target, corruption, rooms);
            }
        }
    }
}
