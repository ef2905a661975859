//! What hostile servers do to the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    input::CallId,
    persistence::tables::StoredEvent,
    transport::{
        client,
        remote_request::{Endpoint, RemoteRequest},
    },
};
use http::Response;
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId};

use super::{
    Network,
    exchange::{Errand, Exchange, Wish},
};
use crate::simulation::{
    chronicle,
    exempt::{Exempt, KeyLie},
    hostile::{Answered, Falsehood, Hostile, Insider, Tale, flood, tell},
    invariants::StoredEvents,
    plan::lies::{Corruption, Ruse},
    server::Server,
    sight::room_in,
};

impl Network {
    /// Gives somebody hostile the key and the wires of a server. All chances are drawn from the
    /// seed.
    pub fn make_hostile(&mut self, name: &str, seed: u64) {
        self.hostile
            .insert(super::server_name(name), Hostile::new(seed));
    }

    /// Whether somebody hostile has the key of this server.
    pub fn is_hostile(&self, name: &OwnedServerName) -> bool {
        self.hostile.contains_key(name)
    }

    /// Who cannot be expected to agree with others in which of these rooms.
    pub fn exempt(
        &self,
        rooms: &[OwnedRoomId],
        stored: &BTreeMap<OwnedServerName, StoredEvents>,
    ) -> Exempt {
        let mut exempt = Exempt::default();
        for hostile in self.hostile.values() {
            hostile.exempts(rooms, stored, &mut exempt);
        }
        exempt.hand_on(&self.introductions);
        exempt
    }

    /// Whether a hostile server will corrupt its answer to this.
    pub(super) fn is_about_to_corrupt(&self, exchange: &Exchange) -> bool {
        let hostile = self.hostile.get(exchange.to());
        hostile.is_some_and(|it| it.is_about_to_corrupt(exchange.line()))
    }

    /// Lets hostile servers corrupt no more answers.
    pub fn relent(&mut self) {
        self.hostile.values_mut().for_each(Hostile::relent);
    }

    /// Lets a hostile server corrupt its next answer to such a request, with events of one of these
    /// rooms if it takes such.
    pub fn will_answer(
        &mut self,
        name: &str,
        target: &'static str,
        corruption: Corruption,
        rooms: Vec<OwnedRoomId>,
    ) {
        if let Some(hostile) = self.hostile.get_mut(&super::server_name(name)) {
            hostile.will_answer(target, corruption, rooms);
        }
    }

    /// Lets a hostile server push something into a room: to one server, or to all honest ones in
    /// it. `other` is another room that it may be in.
    pub fn push(
        &mut self,
        name: &str,
        room_id: &OwnedRoomId,
        other: Option<&RoomId>,
        ruse: Ruse,
        only: Option<&str>,
    ) {
        let name = super::server_name(name);
        let wall = self.now_at(&name).wall;
        let Some(server) = self.servers.get_mut(&name) else {
            return;
        };
        let with_past = matches!(ruse, Ruse::OldBranch | Ruse::Flood(_));
        let Some(room) = Insider::of(server, room_id, wall, with_past) else {
            return;
        };
        let other = other.and_then(|other| Insider::of(server, other, wall, false));
        let mut peers = room.peers();
        peers.retain(|peer| only.is_none_or(|only| peer == only));
        let Some(hostile) = self.hostile.get_mut(&name).filter(|_| !peers.is_empty()) else {
            return;
        };
        if let Ruse::Flood(count) = ruse {
            let floods = peers.into_iter().map(|peer| {
                let requests = flood(count, &room, other.as_ref(), hostile);
                (peer, requests)
            });
            let floods: Vec<_> = floods.collect();
            return self.pour(&room, floods);
        }
        let mut tale: Option<Tale> = None;
        let mut parcels = Vec::new();
        for peer in peers {
            let told = match tale.take().filter(|_| ruse != Ruse::Equivocation) {
                Some(tale) => tale,
                None => {
                    let told = tell(ruse, &room, other.as_ref(), hostile.dice());
                    hostile.remember(room_id, &told);
                    told
                }
            };
            for parcel in hostile.parcels(ruse, &peer, told.parcel.clone()) {
                parcels.push((peer.clone(), parcel));
            }
            tale = Some(told);
        }
        self.chronicle.count_lie(&chronicle::kind(&ruse));
        for (peer, parcel) in parcels {
            self.ask_falsely(&room, peer, parcel.into());
        }
    }

    /// Asks servers for all of this at once.
    fn pour(&mut self, room: &Insider, floods: Vec<(OwnedServerName, Vec<Endpoint>)>) {
        self.chronicle.count_lie("Flood");
        for (peer, requests) in floods {
            for endpoint in requests {
                self.ask_falsely(room, peer.clone(), endpoint);
            }
        }
    }

    fn ask_falsely(&mut self, room: &Insider, to: OwnedServerName, endpoint: Endpoint) {
        let own = room.own();
        let request = RemoteRequest {
            destination: to.clone(),
            endpoint,
        };
        let call = client::sign(own, CallId(0), &request, self.now_at(own.server_name()));
        let call = call.expect("the request can be sent");
        let errand = Errand {
            wish: Wish::Nobody,
            deadline: call.deadline,
            limit: call.response_limit,
        };
        self.open(own.server_name().to_owned(), to, errand, call.request);
    }

    /// What a server answers, if it answers, and how much later than it might: its truth, unless
    /// it is hostile.
    pub(super) fn falsify(
        &mut self,
        exchange: &Exchange,
        truth: Response<Bytes>,
    ) -> Option<(Response<Bytes>, Duration)> {
        let (line, limit) = (exchange.line(), exchange.limit());
        let Some(hostile) = self.hostile.get_mut(exchange.to()) else {
            return Some((truth, Duration::ZERO));
        };
        let server = self.servers.get_mut(exchange.to())?;
        let foreign = foreign_events(server, hostile, exchange);
        let (falsehood, corruption) = hostile.corrupt(Answered {
            from: exchange.from(),
            line,
            limit,
            truth,
            own: &server.own_keys(),
            foreign: &foreign,
        });
        if let Some(corruption) = corruption {
            self.chronicle
                .count_lie(&format!("{}Answer", chronicle::kind(&corruption)));
            if exchange.is_for_keys() {
                let asking = self.servers.get_mut(exchange.from());
                let unharmed = match corruption {
                    // These are believed: what other keys signed is not.
                    Corruption::Rotated | Corruption::Expired => BTreeSet::new(),
                    _ => asking.map_or_else(BTreeSet::new, |it| entered(it, hostile.rooms())),
                };
                hostile.lied_about_keys(KeyLie {
                    of: exchange.to().clone(),
                    to: exchange.from().clone(),
                    unharmed,
                });
            }
        }
        match falsehood {
            Falsehood::Says(response, later) => Some((response, later)),
            Falsehood::Silence => None,
        }
    }
}

/// The state of a room that is not asked about, if events of one are to be in the answer. Best is one
/// of the same version in which the one who asks is too, and so knows what authorises its events.
fn foreign_events(
    server: &mut Server,
    hostile: &Hostile,
    exchange: &Exchange,
) -> Vec<Arc<StoredEvent>> {
    let version = |state: &[Arc<StoredEvent>]| Some(state.first()?.pdu.room_version());
    let asked = room_in(exchange.line()).map(|room_id| server.current_state(&room_id));
    let asked = asked.and_then(|state| version(&state));
    let rooms = hostile.foreign_rooms(exchange.line()).into_iter();
    let states = rooms.map(|room_id| server.current_state(&room_id));
    let knows = |event: &Arc<StoredEvent>| {
        event.pdu.membership() == Some("join") && event.pdu.origin() == exchange.from()
    };
    let fitness = |state: &Vec<Arc<StoredEvent>>| {
        let is_like = asked.is_none() || version(state) == asked;
        (is_like && state.iter().any(knows), state.len())
    };
    states.max_by_key(fitness).unwrap_or_default()
}

/// Those of these rooms that a server is in: into others it may yet come, and where it cannot get
/// keys, it will lack what it cannot verify then.
fn entered(server: &mut Server, rooms: &[OwnedRoomId]) -> BTreeSet<OwnedRoomId> {
    let is_in = |room_id: &&OwnedRoomId| {
        let state = server.current_state(room_id);
        let mut joined = state
            .iter()
            .filter(|event| event.pdu.membership() == Some("join"));
        joined.any(|event| event.pdu.origin() == server.name)
    };
    rooms.iter().filter(is_in).cloned().collect()
}
