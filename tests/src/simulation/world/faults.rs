//! What breaks, and what is mended.

use std::time::Duration;

use super::World;
use crate::simulation::{
    network::Quality,
    plan::{Fault, show},
};

impl World {
    /// Lets something break or be mended, if those whom it hits take part.
    pub(super) fn fault(&mut self, fault: &Fault) {
        let hit: Vec<_> = fault.servers().into_iter().map(show::server).collect();
        if !hit.iter().all(|name| self.network.has(name)) {
            return;
        }
        self.network.chronicle.count_fault(fault);
        match (fault, hit.as_slice()) {
            (Fault::Crash(_), [name, ..]) => self.network.crash(name),
            (Fault::CrashAfterCommits(_, commits), [name, ..]) => {
                self.network.server(name).crash_after(u32::from(*commits));
            }
            (Fault::DiskFails(_, commits), [name, ..]) => {
                self.network
                    .server(name)
                    .disk
                    .fail_commit(u32::from(*commits));
            }
            (Fault::DiskSlow(_, pace), [name, ..]) => {
                let pace = Duration::from_millis(u64::from(*pace));
                self.network.set_slowness(name, pace);
            }
            (Fault::Start(_), [name, ..]) => self.start(name),
            (Fault::NewKey(_), [name, ..]) => {
                self.network.renew_key(name);
                self.start(name);
            }
            (Fault::Cut(..), [from, to]) => self.network.set_cut_one_way(from, to, true),
            (Fault::Mend(..), [from, to]) => {
                self.network.set_cut_one_way(from, to, false);
                self.network.set_quality(from, to, Quality::default());
            }
            (Fault::CutOff(_), [name, ..]) => self.cut_off(name, true),
            (Fault::Reconnect(_), [name, ..]) => self.cut_off(name, false),
            (Fault::Degrade(_, _, quality), [from, to]) => {
                self.network.set_quality(from, to, *quality);
            }
            (Fault::Mishap(_, target, mishap), [name, ..]) => {
                self.network.await_mishap(name, target, *mishap);
            }
            (Fault::Cut(..) | Fault::Mend(..) | Fault::Degrade(..), _) | (_, []) => {}
        }
    }

    /// Starts a server that is down, with its disk mended.
    pub(super) fn start(&mut self, name: &str) {
        self.network.server(name).disk.heal();
        if !self.is_up(name) {
            self.network.start(name);
            self.order_again(name);
        }
    }

    fn cut_off(&mut self, name: &str, cut: bool) {
        for other in self.network.names() {
            if other != name {
                self.network.set_cut(name, other.as_str(), cut);
            }
        }
    }
}
