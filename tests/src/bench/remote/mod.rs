//! Remote servers that are this program itself: one port, and a name for each address of loopback
//! (`127.1.0.1:PORT`, `127.1.0.2:PORT`, …), of which the address that a connection was made to
//! tells which is meant.
//!
//! They answer what others ask of rooms that were prepared ([`hosted`]), count what is sent to them
//! ([`inbox`]), and otherwise do only what a scenario makes them do. They check nothing: their
//! answers are to cost as little of the machine as can be.

mod answers;
mod connection;
pub mod hosted;
pub mod inbox;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use comity_core::keys::OwnKeys;
use comity_core::pdu::signing::SigningKey;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use rustls::ServerConfig;

use self::hosted::Hosted;
use self::inbox::Inbox;
use super::room::Speaker;
use crate::homeservers::authority::Authority;
use crate::homeservers::failure::Failure;

/// All names share one key.
const KEY_ID: &str = "ed25519:bench";

/// Memory of a thread that serves one connection.
const STACK_BYTES: usize = 256 << 10;

/// Servers of many names at one port, open until the program ends.
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    servers: BTreeMap<Ipv4Addr, Server>,
    rooms: Mutex<BTreeMap<OwnedRoomId, Hosted>>,
}

/// One of the names.
pub struct Server {
    /// Its name and key.
    pub own: OwnKeys,
    /// What was sent to it.
    pub inbox: Inbox,
    tls: Arc<ServerConfig>,
    is_away: AtomicBool,
    connections: AtomicUsize,
}

impl Remote {
    /// Opens a port for so many servers.
    pub fn open(servers: usize, authority: &Authority) -> Result<Self, Failure> {
        let doing = || Failure::while_doing("opening the port of the remotes");
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(doing())?;
        let port = listener.local_addr().map_err(doing())?.port();
        let key = SigningKey::from_seed(KEY_ID, &[7; 32])
            .map_err(Failure::while_doing("making the key of the remotes"))?;
        let key = Arc::new(key);
        let named = (0..servers).map(|number| {
            let address = address(number);
            Ok((address, Server::new(address, port, &key, authority)?))
        });
        let shared = Arc::new(Shared {
            servers: named.collect::<Result<_, Failure>>()?,
            rooms: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { shared })
    }

    /// All servers.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.shared.servers.values()
    }

    /// One of the servers; numbers beyond the last begin again with the first.
    pub fn server(&self, number: usize) -> Result<&Server, Failure> {
        let count = self.shared.servers.len().max(1);
        let found = self.shared.servers.get(&address(number % count));
        found.ok_or_else(|| Failure::Wrong("a remote without servers".to_owned()))
    }

    /// A user of the server of this number.
    pub fn speaker(&self, number: usize) -> Result<Speaker, Failure> {
        let own = self.server(number)?.own.clone();
        let user_id = OwnedUserId::try_from(format!("@user{number}:{}", own.server_name()))
            .map_err(Failure::while_doing("naming a user"))?;
        Ok(Speaker { user_id, own })
    }

    /// From now on every server answers for this room.
    pub fn host(&self, hosted: Hosted) {
        let room_id = hosted.room().room_id.clone();
        locked(&self.shared.rooms).insert(room_id, hosted);
    }

    /// Looks at a hosted room, or changes it.
    pub fn with_room<T>(
        &self,
        room_id: &OwnedRoomId,
        act: impl FnOnce(&mut Hosted) -> T,
    ) -> Result<T, Failure> {
        let mut rooms = locked(&self.shared.rooms);
        let found = rooms.get_mut(room_id).map(act);
        found.ok_or_else(|| Failure::Wrong(format!("no remote hosts {room_id}")))
    }
}

impl Server {
    fn new(
        address: Ipv4Addr,
        port: u16,
        key: &Arc<SigningKey>,
        authority: &Authority,
    ) -> Result<Self, Failure> {
        let name = OwnedServerName::try_from(format!("{address}:{port}"))
            .map_err(Failure::while_doing("naming a remote"))?;
        Ok(Self {
            own: OwnKeys::new(name, key.clone()),
            inbox: Inbox::default(),
            tls: authority.server_tls(&address.to_string())?,
            is_away: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        })
    }

    /// Whether nobody reaches it from now on: connections break, and new ones end at once.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

/// The address of the server of this number.
fn address(number: usize) -> Ipv4Addr {
    let byte = |number: usize| u8::try_from(number % 250).unwrap_or_default();
    Ipv4Addr::new(127, 1, byte(number / 250), byte(number) + 1)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming().filter_map(Result::ok) {
        let shared = shared.clone();
        let serving = thread::Builder::new().stack_size(STACK_BYTES);
        let serve = move || {
            if let Ok(SocketAddr::V4(local)) = socket.local_addr() {
                connection::serve(&shared, *local.ip(), socket).unwrap_or_default();
            }
        };
        // Without a thread the connection is dropped, which shows as an error of its other end.
        drop(serving.spawn(serve));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
