//! What takes a hostile server several steps that belong together, or others so as to feel it.

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};

use super::Weaver;
use crate::simulation::plan::{
    Deed, Fault, Slot, Step, User, What,
    lies::{Corruption, Lie, Ruse},
};

/// The places of rooms in which nothing else happens.
const KNOWN: Slot = 4;
const STRANGE: Slot = 5;

/// In what time a server finds out whose a flood is.
const PROVED: Duration = Duration::from_secs(10);

/// How much later others come.
const SHORT: Duration = Duration::from_millis(300);

/// How long a disk stays slow that was flooded.
const FLOODED: Duration = Duration::from_secs(2 * 60);

impl Weaver {
    /// A flood falls on a disk that takes its time, and others before that has recovered, while others
    /// have something to say and to ask. Whose it is has to be known: until then nobody's requests are
    /// told from it.
    pub(super) fn flood(&mut self, room: Slot, size: u16, to: Option<u8>) -> Vec<Step> {
        let victim = to.unwrap_or_else(|| *self.dice.pick(&self.others));
        let pace = *self.dice.pick(&[20, 200, 2_000]);
        let speaker = User {
            server: self.other_than(victim),
            name: 0,
        };
        let newcomer = User {
            server: self.other_than(victim),
            name: 1,
        };
        let known = User {
            server: self.liar,
            name: 0,
        };
        let flood = What::Lie(self.liar, Lie::Push(room, Ruse::Flood(size), to));
        let steps = [
            (What::Deed(known, Deed::Say(room, 1)), PROVED),
            (What::Fault(Fault::DiskSlow(victim, pace)), Duration::ZERO),
            (flood.clone(), PROVED),
            (What::Deed(speaker, Deed::Say(room, 3)), SHORT),
            (flood.clone(), SHORT),
            (What::Deed(newcomer, Deed::Join(room, victim)), SHORT),
            (flood, SHORT),
            (What::Deed(speaker, Deed::Say(room, 1)), FLOODED),
            (What::Fault(Fault::DiskSlow(victim, 0)), SHORT),
        ];
        let steps = steps.map(|(what, pause)| Step { what, pause });
        steps.into()
    }

    /// A room is given to who joins it with events of another in its state: of one of the same
    /// version that the joining server knows, so that it can judge them.
    pub(super) fn mixed_rooms(&mut self) -> Vec<Step> {
        let guest = *self.dice.pick(&self.others);
        let third = self.other_than(guest);
        let [host, guest, third] = [self.liar, guest, third].map(|server| User { server, name: 0 });
        let version = *self.dice.pick(RoomVersion::SUPPORTED);
        let create = |room| Deed::Create {
            room,
            version,
            preset: Preset::Public,
            levels: Vec::new(),
        };
        let lie = Lie::Answer("/send_join/", Corruption::Foreign);
        let steps = [
            What::Deed(host, create(KNOWN)),
            What::Deed(third, Deed::Join(KNOWN, host.server)),
            What::Deed(guest, Deed::Join(KNOWN, host.server)),
            What::Deed(host, create(STRANGE)),
            What::Lie(host.server, lie),
            What::Deed(guest, Deed::Join(STRANGE, host.server)),
        ];
        let pause = Duration::from_secs(5);
        steps.map(|what| Step { what, pause }).into()
    }

    /// A server that is neither hostile nor this one.
    fn other_than(&mut self, server: u8) -> u8 {
        let others = self.others.clone().into_iter();
        let other = self.dice.choose(others.filter(|other| *other != server));
        other.unwrap_or(server)
    }
}
