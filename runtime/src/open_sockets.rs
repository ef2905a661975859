//! The sockets that something waits on, so that others can close them.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use comity_core::transport::remote_host::RemoteHost;

use crate::ConnectionLimits;

/// A bounded set of open sockets.
#[derive(Clone, Debug)]
pub struct OpenSockets {
    shared: Arc<Shared>,
    sockets_max: usize,
    of_one_host_max: usize,
}

/// A socket's place in the set; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    id: u64,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    place_freed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    newest_id: u64,
    open: BTreeMap<u64, Entry>,
    stopping: bool,
}

#[derive(Debug)]
struct Entry {
    socket: TcpStream,
    /// Who is counted for it.
    host: Option<RemoteHost>,
    /// Since when nothing is under way on it; `None` while something is.
    idle_since: Option<Instant>,
}

impl OpenSockets {
    /// An empty set with room for so many.
    #[must_use]
    pub fn new(sockets_max: usize) -> Self {
        Self {
            shared: Arc::default(),
            sockets_max,
            of_one_host_max: usize::MAX,
        }
    }

    /// An empty set for what a listener accepts.
    #[must_use]
    pub fn accepting(limits: &ConnectionLimits) -> Self {
        Self {
            of_one_host_max: limits.connections_per_host.unwrap_or(usize::MAX),
            ..Self::new(limits.connections)
        }
    }

    /// Gives a busy socket a place. If there is none, the socket idle for longest is closed.
    ///
    /// Errors when all are busy, when the set is stopping, or when the system is out of handles.
    pub fn add(&self, socket: &TcpStream) -> io::Result<Place> {
        self.add_of(socket, None)
    }

    /// The same of a socket that somebody else opened, who has a bounded number of places. Beyond
    /// them it is their own socket, idle for longest, that is closed.
    ///
    /// Errors as [`OpenSockets::add`], or when all those of the same host are busy.
    pub fn admit(&self, socket: &TcpStream) -> io::Result<Place> {
        self.admit_from(socket, socket.peer_addr()?.ip())
    }

    fn admit_from(&self, socket: &TcpStream, address: IpAddr) -> io::Result<Place> {
        let host = RemoteHost::of(address);
        self.add_of(socket, (!host.is_this_machine()).then_some(host))
    }

    fn add_of(&self, socket: &TcpStream, host: Option<RemoteHost>) -> io::Result<Place> {
        let socket = socket.try_clone()?;
        let mut table = self.shared.lock();
        if table.stopping {
            return Err(io::Error::other("closing"));
        }
        if host.is_some() {
            table.make_room(self.of_one_host_max, |entry| entry.host == host)?;
        }
        table.make_room(self.sockets_max, |_| true)?;
        table.newest_id += 1;
        let id = table.newest_id;
        table.open.insert(
            id,
            Entry {
                socket,
                host,
                idle_since: None,
            },
        );
        Ok(Place {
            shared: self.shared.clone(),
            id,
        })
    }

    /// Closes what is idle, lets nothing in or idle from now on.
    pub fn stop(&self) {
        let mut table = self.shared.lock();
        table.stopping = true;
        table
            .open
            .values()
            .filter(|entry| entry.idle_since.is_some())
            .for_each(Entry::close);
    }

    /// Waits until all places are free, no longer than `patience`.
    pub fn wait_until_empty(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut table = self.shared.lock();
        while !table.open.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.place_freed.wait_timeout(table, left);
            table = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether all places are free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.lock().open.is_empty()
    }

    /// Closes everything; whoever waits for one of the sockets finds it closed.
    pub fn close_all(&self) {
        let mut table = self.shared.lock();
        table.stopping = true;
        table.open.values().for_each(Entry::close);
    }
}

impl Place {
    /// Notes that nothing is under way; `false` if the socket should close instead of waiting.
    pub fn note_idle(&self) -> bool {
        let mut table = self.shared.lock();
        table.note(self.id, Some(Instant::now()));
        !table.stopping && table.open.contains_key(&self.id)
    }

    /// Notes that something is under way.
    pub fn note_busy(&self) {
        self.shared.lock().note(self.id, None);
    }

    /// Whether what is under way should be the last.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.lock().stopping
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
        self.shared.place_freed.notify_all();
    }
}

impl Shared {
    /// The table is consistent at every point at which a thread may panic.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn note(&mut self, id: u64, idle_since: Option<Instant>) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.idle_since = idle_since;
        }
    }

    /// Sees to it that fewer than so many of these are open: the one idle for longest is closed.
    fn make_room(&mut self, max: usize, is_one: impl Fn(&Entry) -> bool) -> io::Result<()> {
        let counted = || self.open.iter().filter(|(_, entry)| is_one(entry));
        if counted().count() < max {
            return Ok(());
        }
        let idle = counted().filter_map(|(id, entry)| Some((entry.idle_since?, *id)));
        let (_, id) = idle
            .min()
            .ok_or_else(|| io::Error::other("too many connections"))?;
        self.open.remove(&id).iter().for_each(Entry::close);
        Ok(())
    }
}

impl Entry {
    fn close(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    const HERE: &str = "127.0.0.1";

    /// A set with room for six, four of them for one host, and sockets to put into it.
    fn six_and_four() -> (OpenSockets, impl Fn() -> (TcpStream, TcpStream)) {
        let sockets = OpenSockets::accepting(&ConnectionLimits {
            connections: 6,
            connections_per_host: Some(4),
            ..ConnectionLimits::default()
        });
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let open = move || {
            let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (listener.accept().unwrap().0, theirs)
        };
        (sockets, open)
    }

    #[test]
    fn a_host_has_some_of_all_places() {
        let (sockets, open) = six_and_four();
        let admit = |address: &str| sockets.admit_from(&open().0, address.parse().unwrap());
        let network = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        let places: Vec<_> = network
            .into_iter()
            .map(|host| admit(host).unwrap())
            .collect();
        let refused = admit("2001:db8::5").unwrap_err();
        assert_eq!(refused.to_string(), "too many connections");
        let _others = ["2001:db8:0:1::1", "192.0.2.1"].map(|host| admit(host).unwrap());
        admit("192.0.2.1").unwrap_err();
        drop(places);
        admit("2001:db8::5").unwrap();
    }

    /// What others leave idle is not closed for a host's sake that has its share.
    #[test]
    fn beyond_its_places_a_host_closes_its_own_connections() {
        let (sockets, open) = six_and_four();
        let admit = |address: &str| {
            let (ours, theirs) = open();
            let place = sockets.admit_from(&ours, address.parse().unwrap());
            (place.unwrap(), ours, theirs)
        };
        let (other, _ours, others) = admit("192.0.2.9");
        assert!(other.note_idle());
        let mut held: Vec<_> = (0..4).map(|_| admit("192.0.2.1")).collect();
        assert!(held[1].0.note_idle());
        let (_newest, _ours, _theirs) = admit("192.0.2.1");
        assert_eq!(held[1].2.read(&mut [0]).unwrap(), 0, "closed");
        others.set_nonblocking(true).unwrap();
        let still = (&others).read(&mut [0]).unwrap_err();
        assert_eq!(still.kind(), io::ErrorKind::WouldBlock, "open");
    }

    #[test]
    fn this_machine_has_all_places() {
        let (sockets, open) = six_and_four();
        let places: Vec<_> = (0..6).map(|_| sockets.admit(&open().0).unwrap()).collect();
        sockets.admit(&open().0).unwrap_err();
        drop(places);
    }
}
