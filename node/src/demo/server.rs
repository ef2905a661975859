//! One server of the demo.

use std::{
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use comity_core::{
    keys::KeySettings,
    messaging::{
        command::{Command, Events, Reply, RoomSummary, SendEvent, Statistics},
        settings::Settings,
    },
    persistence::queries::{Answer, Counts, Direction, Read},
};
use comity_sync::{Certificate, ConnectionLimits};
use ruma_common::{
    EventId, OwnedEventId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};
use serde_json::json;

use super::witness::Witness;
use crate::{
    certificates::Authority,
    config::Runtime,
    federation_server::{FederationServer, Parts},
    homeserver::Homeserver,
    signing_key,
};

/// The events that a comparison looks at; the story has fewer.
const TIMELINE_LIMIT: u32 = 1000;

/// How often to look for an event.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who a server is: what outlives its being stopped.
pub(super) struct Identity {
    /// Its name for people.
    pub(super) label: &'static str,
    /// Its name for other servers.
    pub(super) server_name: OwnedServerName,
    /// What drives it.
    pub(super) runtime: Runtime,
    address: SocketAddr,
    /// The listener that reserved the address, until the first start.
    listener: Option<TcpListener>,
    signing_key: String,
    certificate: Certificate,
    authority: Vec<u8>,
    directory: PathBuf,
}

impl Identity {
    /// A new server with a port of its own on loopback.
    pub(super) fn new(
        label: &'static str,
        runtime: Runtime,
        authority: &Authority,
        parent: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let server_name = ServerName::parse(format!("localhost:{}", address.port()))?;
        let issued = authority.issue(&server_name)?;
        let directory = parent.join(label);
        fs::create_dir_all(&directory)?;
        Ok(Self {
            label,
            server_name,
            runtime,
            address,
            listener: Some(listener),
            signing_key: signing_key::generate()?,
            certificate: Certificate::from_pem(
                issued.certificate.as_bytes(),
                issued.private_key.as_bytes(),
            )?,
            authority: authority.certificate().as_bytes().to_vec(),
            directory,
        })
    }

    /// A user of this server.
    pub(super) fn user(&self, localpart: &str) -> Result<OwnedUserId, Box<dyn Error>> {
        Ok(UserId::parse_with_server_name(
            localpart,
            &self.server_name,
        )?)
    }

    fn parts(&mut self) -> Result<Parts, Box<dyn Error>> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => TcpListener::bind(self.address)?,
        };
        Ok(Parts {
            server_name: self.server_name.clone(),
            signing_key: signing_key::parse(&self.signing_key)?,
            database_directory: self.directory.clone(),
            settings: Settings::default(),
            keys: KeySettings::default(),
            delegates_to: None,
            listeners: vec![listener],
            certificate: Some(self.certificate.clone()),
            recording: None,
            connections: ConnectionLimits::default(),
            extra_ca: vec![self.authority.clone()],
        })
    }
}

/// A server that runs, or could.
pub(super) struct DemoServer {
    pub(super) identity: Identity,
    running: Option<Running>,
}

struct Running {
    federation: FederationServer,
    homeserver: Arc<dyn Homeserver>,
    witness: Arc<Witness>,
}

impl DemoServer {
    pub(super) fn start(identity: Identity) -> Result<Self, Box<dyn Error>> {
        let mut server = Self {
            identity,
            running: None,
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts from what is on disk.
    pub(super) fn start_again(&mut self) -> Result<(), Box<dyn Error>> {
        let federation = FederationServer::start(self.identity.runtime, self.identity.parts()?)?;
        let homeserver = federation.homeserver();
        let witness = Witness::of(homeserver.as_ref())?;
        self.running = Some(Running {
            federation,
            homeserver,
            witness,
        });
        Ok(())
    }

    /// Stops as a crash would.
    pub(super) fn stop_hard(&mut self) {
        if let Some(running) = self.running.take() {
            running.federation.stop_hard();
        }
    }

    pub(super) fn shut_down(mut self) {
        if let Some(running) = self.running.take() {
            running.federation.shutdown();
        }
    }

    pub(super) fn command(&self, command: impl Into<Command>) -> Result<Reply, Box<dyn Error>> {
        let running = self.running.as_ref().ok_or("the server is stopped")?;
        let outcome = running.homeserver.command(command.into());
        Ok(outcome.map_err(|error| format!("{}: {error}", self.identity.label))?)
    }

    /// Has a user say something in a room.
    pub(super) fn say(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        text: &str,
    ) -> Result<OwnedEventId, Box<dyn Error>> {
        let content = json!({ "msgtype": "m.text", "body": text });
        let reply = self.command(Command::Send(Box::new(SendEvent {
            sender: sender.to_owned(),
            room_id: room_id.to_owned(),
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content: content.as_object().cloned().unwrap_or_default(),
            once: None,
        })))?;
        match reply {
            Reply::Event(event_id) => Ok(event_id),
            _ => Err("no event id for a message".into()),
        }
    }

    /// Whether the server has shown this event within a time.
    pub(super) fn sees(&self, event_id: &OwnedEventId, within: Duration) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.witness.waits_for(event_id, within))
    }

    /// Whether the server's database holds this event within a time.
    pub(super) fn holds(
        &self,
        event_id: &EventId,
        within: Duration,
    ) -> Result<bool, Box<dyn Error>> {
        let deadline = Instant::now() + within;
        loop {
            let reply = self.command(Read::Events(vec![event_id.to_owned()]))?;
            let held = match &reply {
                Reply::Read(Answer::Events(events)) => {
                    events.iter().any(|event| event.position.is_some())
                }
                _ => return Err("no events".into()),
            };
            if held || Instant::now() >= deadline {
                return Ok(held);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn summary(&self, room_id: &RoomId) -> Result<RoomSummary, Box<dyn Error>> {
        match self.command(Command::RoomSummary(room_id.to_owned()))? {
            Reply::RoomSummary(summary) => Ok(summary),
            _ => Err("no summary of the room".into()),
        }
    }

    pub(super) fn statistics(&self) -> Result<Statistics, Box<dyn Error>> {
        match self.command(Command::Statistics)? {
            Reply::Statistics(statistics) => Ok(statistics),
            _ => Err("no statistics".into()),
        }
    }

    pub(super) fn counts(&self) -> Result<Counts, Box<dyn Error>> {
        match self.command(Read::Counts)? {
            Reply::Read(Answer::Counts(counts)) => Ok(counts),
            _ => Err("no counts".into()),
        }
    }

    /// The room's timeline, oldest first.
    pub(super) fn timeline(&self, room_id: &RoomId) -> Result<Events, Box<dyn Error>> {
        let read = Read::Timeline {
            room_id: room_id.to_owned(),
            from: None,
            to: None,
            direction: Direction::Forward,
            limit: TIMELINE_LIMIT,
        };
        match self.command(read)? {
            Reply::Read(Answer::Events(events)) => Ok(events),
            _ => Err("no timeline".into()),
        }
    }
}
