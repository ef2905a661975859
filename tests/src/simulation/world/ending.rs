//! How a world comes to rest, and how it is judged then.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use comity_core::messaging::command::{Command, Reply, RoomSummary};
use ruma_common::{OwnedRoomId, OwnedServerName};

use super::{World, users};
use crate::simulation::{
    invariants::{Ending, Violation},
    plan::{NAMES, USERS, User},
};

/// How long the world may take to come to rest: longer than the longest pause before a server is
/// tried again.
const REST: Duration = Duration::from_secs(30 * 60 * 60);

/// How often more everybody speaks in a room of which servers hold different states.
const FURTHER_ROUNDS: usize = 2;

/// Longer than servers go by what they could not have, or were told falsely, of keys and events.
const FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);

impl World {
    /// Everything works again, and the world comes to rest.
    pub(super) fn heal(&mut self) {
        self.network
            .chronicle
            .tell(self.network.now(), || "everything works again".to_owned());
        self.network.mend();
        self.network.relent();
        for name in self.network.names() {
            self.network.set_slowness(name.as_str(), Duration::ZERO);
            self.start(name.as_str());
        }
        self.settle();
        self.network.pass(FORGIVEN_AFTER);
        self.gather();
    }

    fn settle(&mut self) {
        self.network.settle_within(REST);
        self.gather();
    }

    /// Everybody says something once more, so that whoever missed something hears of it; and again
    /// where servers differ, as one that joined ends of the graph since it spoke last tells of that
    /// with its next word only. States that go on differing are for the invariants to find.
    pub(super) fn last_words(&mut self) -> Result<(), Violation> {
        let all: Vec<OwnedRoomId> = self.rooms.clone().into_values().collect();
        self.say_last(&all)?;
        self.say_last(&all)?;
        for _ in 0..FURTHER_ROUNDS {
            let mut differing = all.clone();
            differing.retain(|room_id| self.states_differ(room_id));
            self.say_last(&differing)?;
        }
        Ok(())
    }

    fn say_last(&mut self, rooms: &[OwnedRoomId]) -> Result<(), Violation> {
        for user in self.users() {
            for room_id in rooms {
                let last = users::message(user, room_id, self.new_word());
                self.order(users::id_of(user).server_name().as_str(), last);
                self.settle();
                self.look()?;
            }
        }
        Ok(())
    }

    fn states_differ(&mut self, room_id: &OwnedRoomId) -> bool {
        let inside = self.inside(room_id).into_values();
        let states: BTreeSet<String> = inside.map(|summary| summary.state_digest).collect();
        states.len() > 1
    }

    /// Every user of every honest server.
    fn users(&self) -> Vec<User> {
        let servers = (0..)
            .zip(NAMES)
            .filter(|(_, name)| self.honest.iter().any(|honest| honest == name));
        let of = |(server, _)| (0..USERS.len() as u8).map(move |name| User { server, name });
        servers.flat_map(of).collect()
    }

    /// Asks every invariant whether it was kept.
    pub(super) fn judge(&mut self) -> Result<(), Violation> {
        let rooms: Vec<OwnedRoomId> = self.rooms.values().cloned().collect();
        let mut summaries = BTreeMap::new();
        for room_id in &rooms {
            summaries.insert(room_id.clone(), self.inside(room_id));
        }
        let network = &mut self.network;
        let mut stored = BTreeMap::new();
        for name in &self.honest {
            stored.insert(name.clone(), network.server(name.as_str()).stored());
        }
        let exempt = network.exempt(&rooms, &stored);
        let places = summaries.iter();
        let places =
            places.flat_map(|(room_id, inside)| inside.keys().map(move |it| (room_id, it)));
        network.chronicle.count_exempt(exempt.counts(places));
        for mut invariant in network.dismiss_invariants() {
            let mut end = Ending {
                network,
                honest: &self.honest,
                rooms: &rooms,
                orders: &self.orders,
                exempt: &exempt,
                stored: &stored,
                summaries: &summaries,
            };
            let at = end.network.now().monotonic;
            invariant.at_the_end(&mut end).map_err(|what| Violation {
                invariant: invariant.name(),
                at,
                what,
            })?;
        }
        network.chronicle.count_events(&stored);
        network.chronicle.count_soft_failures(&stored);
        Ok(())
    }

    /// How a room stands on each honest server that is in it.
    fn inside(&mut self, room_id: &OwnedRoomId) -> BTreeMap<OwnedServerName, RoomSummary> {
        let mut inside = BTreeMap::new();
        for server in &self.honest {
            let command = Command::RoomSummary(room_id.clone());
            if let Ok(Reply::RoomSummary(summary)) = self.network.run(server.as_str(), command)
                && summary.servers.contains(server)
            {
                inside.insert(server.clone(), summary);
            }
        }
        inside
    }
}
