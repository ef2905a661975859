//! What is asked of a server to keep it busy: requests of every kind, far more than it can be
//! expected to answer at once.

use std::time::Duration;

use comity_core::{persistence::queries::Direction, transport::remote_request::Endpoint};

use super::{
    Hostile,
    insider::{Draft, Insider},
    ruses::Parcel,
};

/// How many different events a flood holds. Those of more transactions come again.
const EVENTS_MAX: usize = 40;

/// How much is asked for at once, which is more than anybody gives.
const GREED: u32 = 10_000;

/// So many requests about a room, and about another that its members may not be in.
pub(in crate::simulation) fn flood(
    count: u16,
    room: &Insider,
    other: Option<&Insider>,
    hostile: &mut Hostile,
) -> Vec<Endpoint> {
    let drafts = (0..EVENTS_MAX).map(|number| Draft::message(format!("drop {number}")));
    let events: Vec<String> = drafts
        .map(|draft| room.sign(&draft).json().to_owned())
        .collect();
    let mut requests = Vec::new();
    for number in 0..usize::from(count) {
        let about = other.filter(|_| number % 4 == 3).unwrap_or(room);
        let request = match number % 3 {
            0 => None,
            _ => question(number, about),
        };
        requests.push(request.unwrap_or_else(|| {
            let events = events.get(number % EVENTS_MAX).cloned();
            let parcel = Parcel {
                events: events.into_iter().collect(),
                ..Parcel::default()
            };
            hostile.named(parcel).into()
        }));
    }
    requests
}

/// A question about a room, of another kind and about another event for each number: what many ask
/// for at once is looked up once.
fn question(number: usize, room: &Insider) -> Option<Endpoint> {
    let room_id = room.room_id().to_owned();
    let user = room.user.clone();
    let past = room.past.iter().map(|(event, _)| event);
    let events: Vec<_> = past.chain(&room.state).collect();
    let any = |number: usize| events.get(number % events.len().max(1));
    let event = any(number)?.pdu.event_id().to_owned();
    let other = any(number / 14)?.pdu.event_id().to_owned();
    Some(match number % 14 {
        0 => Endpoint::MissingEvents {
            room_id,
            earliest: Vec::new(),
            latest: vec![event, other],
            limit: GREED,
            min_depth: 0,
        },
        1 => Endpoint::StateIds(room_id, event),
        2 => Endpoint::State(room_id, event),
        3 => Endpoint::Event(event),
        4 => Endpoint::EventAuth(room_id, event),
        5 => Endpoint::Backfill {
            room_id,
            from: vec![event, other],
            limit: GREED,
        },
        6 => Endpoint::MakeJoin(room_id, user),
        7 => Endpoint::MakeKnock(room_id, user),
        8 => Endpoint::MakeLeave(room_id, user),
        9 => Endpoint::EventByTime {
            room_id,
            time: room.now().minus(Duration::from_secs(number as u64)),
            direction: Direction::Backward,
        },
        10 => Endpoint::Hierarchy {
            room_id,
            suggested_only: false,
        },
        11 => Endpoint::Version,
        12 => Endpoint::ServerKeys,
        _ => Endpoint::After {
            from: None,
            limit: GREED,
        },
    })
}
