//! What was lately asked of other servers to fill gaps, so that none of them can keep us asking.

use std::time::Duration;

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};

use super::{cache::Cache, outcome::Searched};
use crate::{pdu::gap::Stage, time::Monotonic};

const ASKED_KEPT: usize = 50_000;
const PULLS_KEPT: usize = 10_000;

/// How long a server is not asked again for the same in the same way.
const ASKED_FOR: Duration = Duration::from_secs(60);

/// How long it is counted what a server gave.
const PULLS_COUNT_FOR: Duration = Duration::from_secs(600);

/// What was asked, of whom.
#[derive(Debug)]
pub struct Searches {
    asked: Cache<(OwnedEventId, OwnedServerName, Stage), Monotonic>,
    pulls: Cache<(OwnedRoomId, OwnedServerName), Pulls>,
}

/// How many events a server gave of a room, since when.
#[derive(Clone, Copy, Debug)]
struct Pulls {
    count: u32,
    since: Monotonic,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            asked: Cache::new(ASKED_KEPT),
            pulls: Cache::new(PULLS_KEPT),
        }
    }
}

impl Searches {
    /// Notes what came of a question.
    pub fn note(&mut self, searched: Searched, now: Monotonic) {
        let Searched {
            server,
            room_id,
            stage,
            asked,
            events,
        } = searched;
        for event_id in asked {
            self.asked.insert((event_id, server.clone(), stage), now);
        }
        if events > 0 {
            let recent = self.recent_pulls(&room_id, &server, now);
            let Pulls { count, since } = recent.unwrap_or(Pulls {
                count: 0,
                since: now,
            });
            let count = count.saturating_add(events);
            self.pulls.insert((room_id, server), Pulls { count, since });
        }
    }

    /// Whether this server has answered, just now, when it was asked for this event in this way.
    #[must_use]
    pub fn asked(
        &self,
        event_id: &EventId,
        server: &ServerName,
        stage: Stage,
        now: Monotonic,
    ) -> bool {
        let key = (event_id.to_owned(), server.to_owned(), stage);
        let asked = self.asked.get(&key);
        asked.is_some_and(|asked| now.since(*asked) < ASKED_FOR)
    }

    /// How many events of a room this server gave us lately.
    #[must_use]
    pub fn pulled(&self, room_id: &RoomId, server: &ServerName, now: Monotonic) -> u32 {
        let recent = self.recent_pulls(room_id, server, now);
        recent.map_or(0, |pulls| pulls.count)
    }

    fn recent_pulls(&self, room_id: &RoomId, server: &ServerName, now: Monotonic) -> Option<Pulls> {
        let pulls = self.pulls.get(&(room_id.to_owned(), server.to_owned()));
        pulls
            .copied()
            .filter(|pulls| now.since(pulls.since) < PULLS_COUNT_FOR)
    }
}
