//! Tasks that end together.

use std::{convert::Infallible, future::Future};

use smol::{
    channel::{self, Receiver, Sender},
    future,
};

/// The life of a group of tasks: when it is dropped, each ends where it waits next.
#[derive(Debug)]
pub(crate) struct TaskGroup {
    _alive: Sender<Infallible>,
    spawner: Spawner,
}

/// Adds tasks to a group.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    alive: Receiver<Infallible>,
}

impl TaskGroup {
    pub(crate) fn new() -> Self {
        let (sender, alive) = channel::bounded(1);
        Self {
            _alive: sender,
            spawner: Spawner { alive },
        }
    }

    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }
}

impl Spawner {
    /// Runs `task` until it or its group ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.clone();
        let end_of_group = async move {
            let _ = alive.recv().await;
        };
        smol::spawn(future::or(end_of_group, task)).detach();
    }
}
