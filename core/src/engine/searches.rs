//! What was lately asked of other servers to fill gaps, so that none of them can keep us asking.

use std::time::Duration;

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};

use super::{cache::Cache, outcome::Searched};
use crate::{pdu::gap::Stage, time::Monotonic};

const ASKED_KEPT: usize = 50_000;
const COUNTS_KEPT: usize = 10_000;

/// How long a server is not asked again for the same in the same way.
const ASKED_FOR: Duration = Duration::from_secs(60);

/// How long it is counted what a server gave, and what we asked of others because of it.
const COUNTED_FOR: Duration = Duration::from_secs(600);

/// What was asked, of whom.
#[derive(Debug)]
pub struct Searches {
    asked: Cache<(OwnedEventId, OwnedServerName, Stage), Monotonic>,
    pulls: Counts,
    errands: Counts,
}

/// Something counted, of a room and a server.
type Counts = Cache<(OwnedRoomId, OwnedServerName), Count>;

/// How much, since when.
#[derive(Clone, Copy, Debug)]
struct Count {
    count: u32,
    since: Monotonic,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            asked: Cache::new(ASKED_KEPT),
            pulls: Cache::new(COUNTS_KEPT),
            errands: Cache::new(COUNTS_KEPT),
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
            errand,
        } = searched;
        if let Some((because_of, events)) = errand {
            add(&mut self.errands, &room_id, &because_of, events, now);
        }
        add(&mut self.pulls, &room_id, &server, events, now);
        for event_id in asked {
            self.asked.insert((event_id, server.clone(), stage), now);
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
        recent(&self.pulls, room_id, server, now).map_or(0, |pulls| pulls.count)
    }

    /// How many events of a room we lately asked other servers for because of this one.
    #[must_use]
    pub fn errands(&self, room_id: &RoomId, server: &ServerName, now: Monotonic) -> u32 {
        recent(&self.errands, room_id, server, now).map_or(0, |errands| errands.count)
    }
}

fn recent(counts: &Counts, room_id: &RoomId, server: &ServerName, now: Monotonic) -> Option<Count> {
    let count = counts.get(&(room_id.to_owned(), server.to_owned()));
    count
        .copied()
        .filter(|count| now.since(count.since) < COUNTED_FOR)
}

fn add(counts: &mut Counts, room_id: &RoomId, server: &ServerName, more: u32, now: Monotonic) {
    if more == 0 {
        return;
    }
    let Count { count, since } = recent(counts, room_id, server, now).unwrap_or(Count {
        count: 0,
        since: now,
    });
    let count = count.saturating_add(more);
    counts.insert(
        (room_id.to_owned(), server.to_owned()),
        Count { count, since },
    );
}
