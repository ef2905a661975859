//! The sockets that something waits on, so that others can close them.

use std::{
    collections::BTreeMap,
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A bounded set of open sockets.
#[derive(Clone, Debug)]
pub struct OpenSockets {
    shared: Arc<Shared>,
    sockets_max: usize,
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
        }
    }

    /// Gives a busy socket a place. If there is none, the socket idle for longest is closed.
    ///
    /// Errors when all are busy, when the set is stopping, or when the system is out of handles.
    pub fn add(&self, socket: &TcpStream) -> io::Result<Place> {
        let socket = socket.try_clone()?;
        let mut table = self.shared.lock();
        if table.stopping {
            return Err(io::Error::other("closing"));
        }
        if table.open.len() >= self.sockets_max {
            table.close_longest_idle()?;
        }
        table.newest_id += 1;
        let id = table.newest_id;
        table.open.insert(
            id,
            Entry {
                socket,
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

    fn close_longest_idle(&mut self) -> io::Result<()> {
        let idle = self
            .open
            .iter()
            .filter_map(|(id, entry)| Some((entry.idle_since?, *id)));
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
