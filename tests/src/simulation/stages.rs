//! How far events have come when their server crashes: received, staged, verified, decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use comity_core::persistence::{
    queries::{Batch, Query, Write},
    tables::Stage,
};
use ruma_common::{OwnedEventId, OwnedServerName};

/// The events that a disk holds and whose fate is open.
#[derive(Debug, Default)]
pub(super) struct Stages {
    staged: BTreeMap<(OwnedEventId, OwnedServerName), Stage>,
    /// Whether the last batch decided an event.
    decided: bool,
    /// What the last crash interrupted.
    interrupted: BTreeSet<&'static str>,
}

impl Stages {
    /// A batch is on the disk.
    pub(super) fn written(&mut self, batch: &Batch) {
        self.decided = decides(batch);
        for write in &batch.writes {
            match write {
                Write::Stage(staged) => {
                    let key = (staged.event.event_id().to_owned(), staged.from.clone());
                    self.staged.insert(key, staged.stage);
                }
                Write::Unstage { event_id, from } => {
                    self.staged.remove(&(event_id.clone(), from.clone()));
                }
                _ => {}
            }
        }
    }

    /// The server knows what is written.
    pub(super) fn known(&mut self) {
        self.decided = false;
    }

    /// The server crashes while these queries wait for the disk.
    pub(super) fn crash<'q>(&mut self, mut waiting: impl Iterator<Item = &'q Query>) {
        for stage in self.staged.values() {
            self.interrupted.insert(match stage {
                Stage::Received => "staged, not yet verified",
                Stage::Verified => "verified, waiting for others",
            });
        }
        if waiting.any(|query| matches!(query, Query::Commit(batch) if decides(batch))) {
            self.interrupted.insert("decided, not written");
        }
        if mem::take(&mut self.decided) {
            self.interrupted.insert("decided and written, not known");
        }
    }

    /// What the last crash interrupted, once.
    pub(super) fn interrupted(&mut self) -> BTreeSet<&'static str> {
        mem::take(&mut self.interrupted)
    }
}

fn decides(batch: &Batch) -> bool {
    let mut writes = batch.writes.iter();
    writes.any(|write| matches!(write, Write::Event(_)))
}
