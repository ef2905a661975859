//! What a scenario plays in: one server, freshly made, with one user, and all it takes to meet it.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use comity_core::keys::OwnKeys;
use comity_core::pdu::Pdu;
use comity_core::transport::remote_request::Endpoint;
use http::Request;
use ruma_common::{EventId, OwnedServerName, RoomId};
use rustls::ClientConfig;

use super::link::Link;
use super::meter::Meter;
use super::remote::Remote;
use super::remote::hosted::Hosted;
use super::room::Room;
use super::transactions::{self, Transaction};
use super::{Extent, Software};
use crate::homeservers::authority::Authority;
use crate::homeservers::client::Client;
use crate::homeservers::comity::Comity;
use crate::homeservers::failure::Failure;
use crate::homeservers::homeserver::{Homeserver, Ports};
use crate::homeservers::installation;
use crate::homeservers::synapse::Synapse;

/// The longest pause between two questions whether something is there yet, and the shortest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(1)];

/// How long something may take to happen.
const PATIENCE: Duration = Duration::from_secs(600);

/// One server that runs, and its surroundings.
pub struct Arena {
    /// The server under test.
    pub server: Box<dyn Homeserver>,
    /// Its only user.
    pub user: Client,
    software: Software,
    extent: Extent,
    authority: Authority,
    tls: Arc<ClientConfig>,
    port: u16,
    name: OwnedServerName,
}

impl Arena {
    /// Starts a server of this kind that keeps everything in `directory`.
    pub fn open(software: Software, extent: Extent, directory: &Path) -> Result<Self, Failure> {
        let authority = Authority::create(directory)?;
        let ports = Ports::direct()?;
        let server: Box<dyn Homeserver> = match software {
            Software::Comity => Box::new(Comity::prepare("comity", ports, directory, &authority)?),
            Software::Synapse => {
                let python = installation::python().map_err(Failure::Wrong)?;
                let host = "127.0.0.1";
                let made = Synapse::prepare("synapse", host, ports, &python, directory, &authority);
                Box::new(made?)
            }
        };
        server.start()?;
        let name = OwnedServerName::try_from(server.server_name());
        Ok(Self {
            user: server.register("alice")?,
            software,
            extent,
            tls: authority.client_tls()?,
            authority,
            port: ports.listening,
            name: name.map_err(Failure::while_doing("reading the server's name"))?,
            server,
        })
    }

    /// How much of something: so much, but less for a Synapse that would take minutes.
    pub fn size(&self, whole: usize, for_synapse: usize) -> usize {
        let size = match (self.software, self.extent.whole_for_synapse) {
            (Software::Synapse, false) => for_synapse,
            _ => whole,
        };
        size.min(self.extent.at_most)
    }

    /// Remote servers that the server under test trusts.
    pub fn remote(&self, servers: usize) -> Result<Remote, Failure> {
        Remote::open(servers, &self.authority)
    }

    /// A new connection to the server's federation port.
    pub fn link(&self) -> Result<Link, Failure> {
        Link::open(self.port, &self.tls)
    }

    /// Begins to measure the server, once it is quiet.
    pub fn meter(&self) -> Result<Meter, Failure> {
        Meter::start(self.process_id()?)?.wait_for_rest()?;
        Meter::start(self.process_id()?)
    }

    /// The server's process.
    pub fn process_id(&self) -> Result<u32, Failure> {
        let id = self.server.process().id();
        id.ok_or_else(|| Failure::Wrong("the server does not run".to_owned()))
    }

    /// Events in transactions for the server.
    pub fn pack(&self, own: &OwnKeys, events: &[Arc<Pdu>]) -> Result<Vec<Transaction>, Failure> {
        transactions::pack(own, &self.name, events)
    }

    /// A signed request to the server.
    pub fn request(&self, own: &OwnKeys, endpoint: Endpoint) -> Result<Request<Bytes>, Failure> {
        transactions::request(own, &self.name, endpoint)
    }

    /// Lets the user join a room of a remote; returns the room with its newest member.
    pub fn enter(&self, remote: &Remote, hosted: Hosted) -> Result<Room, Failure> {
        let room_id = hosted.room().room_id.clone();
        let host = hosted.room().founder.own.server_name().to_owned();
        remote.host(hosted);
        self.user.join(room_id.as_str(), &[host.as_str()])?;
        remote.with_room(&room_id, |hosted| hosted.room().clone())
    }

    /// How many of these events the user sees.
    pub fn count_seen(&self, room: &RoomId, events: &[Arc<Pdu>]) -> Result<usize, Failure> {
        let mut seen = 0;
        for event in events {
            seen += usize::from(sees(&self.user, room, event.event_id())?);
        }
        Ok(seen)
    }
}

/// Whether a user sees an event.
pub fn sees(user: &Client, room: &RoomId, event: &EventId) -> Result<bool, Failure> {
    match user.event(room.as_str(), event.as_str()) {
        Ok(_) => Ok(true),
        Err(Failure::Refused { status: 404, .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Asks again and again, which must not become the work that is measured: pauses are at least ten
/// times as long as the question took, up to a tenth of a second.
pub fn wait_until(
    expectation: &str,
    mut is_so: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let [longest, shortest] = PAUSES;
    while begun.elapsed() < PATIENCE {
        let asked = Instant::now();
        if is_so()? {
            return Ok(());
        }
        thread::sleep((10 * asked.elapsed()).clamp(shortest, longest));
    }
    Err(Failure::NeverHappened {
        expectation: expectation.to_owned(),
        waited: PATIENCE,
        instead: "it never came".to_owned(),
    })
}
