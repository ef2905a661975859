//! What takes several steps that belong together.

use std::time::Duration;

use super::{Draw, Pause, small};
use crate::simulation::{
    network::Mishap,
    plan::{Deed, Fault, Slot, User, What},
};

/// The place of a room in which nothing else happens.
const ASIDE: Slot = 3;

/// Draws several steps. The user is the one who created room 0.
pub(super) type Episode = fn(&mut Draw, User);

/// Each, and in one of how many plans it comes.
const EPISODES: &[(usize, Episode)] = &[
    (14, Draw::absence),
    (6, Draw::interrupted_join),
    (5, Draw::shut_out),
    (8, Draw::knock_and_enter),
];

impl Draw {
    /// The episodes of this plan and after how many steps each begins, the first one last.
    pub(super) fn episodes(&mut self, length: usize) -> Vec<(usize, Episode)> {
        let mut episodes = Vec::new();
        for (rarity, episode) in EPISODES {
            if self.dice.once_in(*rarity) {
                episodes.push((self.dice.below(length), *episode));
            }
        }
        episodes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        episodes
    }

    /// A server is away for days or weeks, while a room that it is in says more than anybody asks
    /// for at once, and more than is read of a queue at once.
    fn absence(&mut self, founder: User) {
        let user = self.guest_of(founder);
        let away = user.server;
        self.comes(founder, user);
        let (gone, back) = match self.dice.once_in(2) {
            true => (Fault::Crash(away), Fault::Start(away)),
            false => (Fault::CutOff(away), Fault::Reconnect(away)),
        };
        self.step(What::Fault(gone), Pause::Short);
        let sizes = [(1, 100), (1, 300), (4, 50), (10, 10), (20, 15)];
        let (portions, size) = self.one_of(&sizes);
        let size = if self.dice.once_in(10) {
            size * 4
        } else {
            size
        };
        for portion in 0..portions {
            let speaker = if portion % 3 == 2 {
                self.user()
            } else {
                founder
            };
            self.step(What::Deed(speaker, Deed::Say(0, size)), Pause::Long);
            let deed = Deed::Topic(0, self.number());
            self.deed(deed);
        }
        self.step(What::Fault(back), Pause::Short);
    }

    /// A server hands in a join, is not told what became of it, and crashes.
    fn interrupted_join(&mut self, founder: User) {
        let create = self.create(ASIDE);
        self.deed_of(founder, create);
        self.pass(Duration::from_secs(1));
        let user = self.guest_of(founder);
        self.deed_of(founder, Deed::Invite(ASIDE, user));
        self.pass(Duration::from_secs(3));
        let lost = Fault::Mishap(founder.server, "/send_join/", Mishap::LoseAnswer);
        self.step(What::Fault(lost), Pause::Short);
        self.deed_of(user, Deed::Join(ASIDE, founder.server));
        let seconds = self.one_of(&[1, 2, 2, 5]);
        self.pass(Duration::from_secs(seconds));
        self.step(What::Fault(Fault::Crash(user.server)), Pause::Short);
        self.pass(Duration::from_secs(1));
        self.step(What::Fault(Fault::Start(user.server)), Pause::Short);
    }

    /// A server that is shut out of a room does not hear of it, and talks on.
    fn shut_out(&mut self, founder: User) {
        let user = self.guest_of(founder);
        self.comes(founder, user);
        let (from, to) = (founder.server, user.server);
        self.step(What::Fault(Fault::Cut(from, to)), Pause::Short);
        self.deed_of(founder, Deed::Acl(0, Some(user.server)));
        self.pass(Duration::from_secs(2));
        self.deed_of(user, Deed::Say(0, 3));
        self.pass(Duration::from_secs(2));
        self.step(What::Fault(Fault::Mend(from, to)), Pause::Short);
        if self.dice.once_in(2) {
            self.pass(Duration::from_secs(60));
            self.deed_of(founder, Deed::Acl(0, None));
        }
    }

    /// Somebody knocks at a room, is invited, and comes in, unless the knock is taken back.
    fn knock_and_enter(&mut self, founder: User) {
        self.deed_of(founder, Deed::JoinRule(0, "knock"));
        self.pass(Duration::from_secs(2));
        let guest = User {
            name: 1,
            ..self.guest_of(founder)
        };
        self.deed_of(guest, Deed::Knock(0, founder.server));
        self.pass(Duration::from_secs(2));
        match self.dice.below(4) {
            0 => self.deed_of(guest, Deed::Leave(0)),
            1 => self.deed_of(founder, Deed::Moderate(0, guest, "leave")),
            _ => self.comes(founder, guest),
        }
    }

    /// A user of another server.
    fn guest_of(&mut self, host: User) -> User {
        let further = 1 + self.dice.below(self.servers - 1);
        let server = small((usize::from(host.server) + further) % self.servers);
        User { server, name: 0 }
    }

    /// Somebody is invited to room 0 and comes.
    fn comes(&mut self, host: User, guest: User) {
        self.deed_of(host, Deed::Invite(0, guest));
        self.pass(Duration::from_secs(10));
        self.deed_of(guest, Deed::Join(0, host.server));
        self.pass(Duration::from_secs(10));
    }
}
