//! The way into a server: the port that its name tells, laid in front of the port it listens on,
//! so that a scenario can make the weather between two servers.

mod storm;

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::authority::Authority;
use crate::failure::Failure;
use crate::homeserver::Ports;
use crate::process::free_port;
use crate::wire::storm::Storm;

/// What becomes of what other servers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass as they are.
    Fair,
    /// Nothing passes: the network is partitioned.
    Cut,
    /// Requests and answers are lost, doubled and overtaken; see [`storm`].
    Foul,
}

/// A port in front of a server; it is open as long as the suite runs.
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    behind: u16,
    weather: Mutex<Weather>,
    /// Connections that are up, so that a change of the weather breaks them.
    open: Mutex<BTreeMap<u64, TcpStream>>,
    storm: Storm,
}

impl Wire {
    /// Chooses both ports and opens the outer one, in fair weather. In foul weather it shows
    /// a certificate of its own, which it leaves in `directory`.
    pub fn lay(directory: &Path, authority: &Authority) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .map_err(Failure::while_doing("opening the port of a wire"))?;
        let port = listener
            .local_addr()
            .map_err(Failure::while_doing("asking for the port of a wire"))?
            .port();
        let behind = free_port()?;
        let identity = authority.identity(directory)?;
        let shared = Arc::new(Shared {
            behind,
            weather: Mutex::new(Weather::Fair),
            open: Mutex::default(),
            storm: Storm::before(behind, &identity, authority)?,
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { port, shared })
    }

    /// The ports of the server that it leads to.
    pub fn ports(&self) -> Ports {
        Ports {
            named: self.port,
            listening: self.shared.behind,
        }
    }

    /// Changes the weather. Connections made before break.
    pub fn set(&self, weather: Weather) {
        *locked(&self.shared.weather) = weather;
        for connection in locked(&self.shared.open).values() {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    /// How many requests foul weather has changed the fate of so far, and the repeated
    /// transactions that were not answered as they had been before.
    pub fn toll(&self) -> (usize, Vec<String>) {
        self.shared.storm.toll()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, connection) in (0..).zip(listener.incoming()) {
        let Ok(connection) = connection else { continue };
        let shared = shared.clone();
        thread::spawn(move || shared.carry(number, connection));
    }
}

impl Shared {
    /// Errors end the connection, as they should, and are nobody's concern.
    fn carry(&self, number: u64, connection: TcpStream) {
        let Ok(handle) = connection.try_clone() else {
            return;
        };
        locked(&self.open).insert(number, handle);
        let weather = *locked(&self.weather);
        match weather {
            Weather::Fair => self.pass(connection).unwrap_or_default(),
            Weather::Cut => (),
            Weather::Foul => self.storm.serve(connection).unwrap_or_default(),
        }
        if let Some(handle) = locked(&self.open).remove(&number) {
            handle.shutdown(Shutdown::Both).ok();
        }
    }

    fn pass(&self, mut outer: TcpStream) -> io::Result<()> {
        let mut inner = TcpStream::connect(("127.0.0.1", self.behind))?;
        let (mut inwards, mut outwards) = (outer.try_clone()?, inner.try_clone()?);
        let way_in = thread::spawn(move || {
            io::copy(&mut inwards, &mut outwards).ok();
            outwards.shutdown(Shutdown::Write).ok();
        });
        io::copy(&mut inner, &mut outer).ok();
        outer.shutdown(Shutdown::Both).ok();
        inner.shutdown(Shutdown::Both).ok();
        way_in.join().ok();
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
