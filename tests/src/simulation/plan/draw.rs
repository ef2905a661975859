//! From a seed to a plan.
//!
//! No two plans are alike in kind: each draws for itself how likely every deed and every fault is,
//! and some it leaves out. What hides behind a common thing comes up where that is missing. What
//! would hardly ever come about by chance, in that order and at that pace, are `episodes`.

mod episodes;

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};

use super::{Deed, Fault, Plan, ServerPlan, Slot, Step, USERS, User, What};
use crate::{
    rooms::Dice,
    simulation::{
        database::DatabaseKind,
        network::{Mishap, Quality},
    },
};

/// The places for rooms, most deeds for the first.
const ROOMS: [Slot; 6] = [0, 0, 0, 0, 1, 2];

type DrawDeed = fn(&mut Draw) -> Deed;
type DrawFault = fn(&mut Draw) -> Vec<(Fault, Pause)>;

/// How long nothing else happens.
#[derive(Clone, Copy, PartialEq)]
enum Pause {
    /// As long as between any two steps.
    Short,
    /// Minutes to weeks.
    Long,
}

/// Every deed and how often it is done, of all deeds.
const DEEDS: &[(usize, DrawDeed)] = &[
    (400, |draw| {
        Deed::Say(draw.room(), if draw.dice.once_in(20) { 60 } else { 1 })
    }),
    (20, |draw| Deed::Repeat(draw.room())),
    (20, |draw| {
        let room = draw.room();
        draw.create(room)
    }),
    (120, |draw| Deed::Join(draw.room(), draw.server())),
    (40, |draw| Deed::Knock(draw.room(), draw.server())),
    (40, |draw| Deed::Leave(draw.room())),
    (60, |draw| Deed::Invite(draw.room(), draw.user())),
    (40, |draw| {
        let membership = draw.one_of(&["leave", "ban", "leave"]);
        Deed::Moderate(draw.room(), draw.user(), membership)
    }),
    (20, |draw| {
        let level = draw.one_of(&[0, 10, 50, 60, 100]);
        Deed::Empower(draw.room(), draw.user(), level)
    }),
    (40, |draw| Deed::Redact(draw.room(), draw.number())),
    (20, |draw| Deed::Backfill(draw.room())),
    (25, |draw| {
        let rule = draw.one_of(&["public", "invite", "public", "knock", "knock"]);
        Deed::JoinRule(draw.room(), rule)
    }),
    (75, |draw| Deed::Topic(draw.room(), draw.number())),
    (15, |draw| {
        let denied = draw.dice.once_in(2).then(|| draw.server());
        Deed::Acl(draw.room(), denied)
    }),
    (10, |draw| {
        let visibility = draw.one_of(&["shared", "joined", "invited", "world_readable"]);
        Deed::Visibility(draw.room(), visibility)
    }),
    (20, |draw| Deed::Type(draw.room())),
];

/// Every fault, with what ends it later, and how often it comes about.
const FAULTS: &[(usize, DrawFault)] = &[
    (20, |draw| {
        let server = draw.server();
        draw.down(Fault::Crash(server), server)
    }),
    (20, |draw| {
        let (server, commits) = (draw.server(), draw.small());
        draw.down(Fault::CrashAfterCommits(server, commits), server)
    }),
    (10, |draw| {
        let (server, commits) = (draw.server(), draw.small());
        draw.down(Fault::DiskFails(server, commits), server)
    }),
    (10, |draw| {
        let (server, pace) = (draw.server(), draw.one_of(&[5, 50, 500, 5_000]));
        let end = (Fault::DiskSlow(server, 0), Pause::Short);
        vec![(Fault::DiskSlow(server, pace), Pause::Short), end]
    }),
    (5, |draw| vec![(Fault::NewKey(draw.server()), Pause::Short)]),
    (20, |draw| {
        let (from, to) = draw.wire();
        let pause = draw.pause();
        vec![
            (Fault::Cut(from, to), pause),
            (Fault::Mend(from, to), Pause::Short),
        ]
    }),
    (15, |draw| {
        let server = draw.server();
        let pause = draw.pause();
        vec![
            (Fault::CutOff(server), pause),
            (Fault::Reconnect(server), Pause::Short),
        ]
    }),
    (15, |draw| {
        let ((from, to), quality) = (draw.wire(), draw.quality());
        let end = (Fault::Mend(from, to), Pause::Short);
        vec![(Fault::Degrade(from, to, quality), Pause::Short), end]
    }),
    (60, |draw| {
        let target = draw.one_of(&[
            "/send/",
            "/send/",
            "/send_join/",
            "/make_join/",
            "/send_knock/",
            "/send_leave/",
            "/invite/",
            "missing_events",
            "/state_ids/",
            "/event/",
            "/backfill/",
        ]);
        let mishap = draw.one_of(&[
            Mishap::LoseRequest,
            Mishap::LoseAnswer,
            Mishap::DoubleRequest,
        ]);
        vec![(Fault::Mishap(draw.server(), target, mishap), Pause::Short)]
    }),
];

/// What servers store in, the fastest most often.
const DATABASES: [DatabaseKind; 6] = [
    DatabaseKind::Model,
    DatabaseKind::Model,
    DatabaseKind::Model,
    DatabaseKind::Model,
    DatabaseKind::Sqlite,
    DatabaseKind::Compared,
];

/// A plan in the making.
struct Draw {
    dice: Dice,
    servers: usize,
    /// Faults that are to end when so many steps have been drawn.
    ending: Vec<(usize, Fault)>,
    /// How many milliseconds pass between steps, one of these.
    pace: &'static [u64],
    steps: Vec<Step>,
}

/// How fast things happen: all at once, in conversation, or slowly.
const PACES: [&[u64]; 3] = [
    &[0, 0, 10, 30],
    &[0, 10, 60, 300, 3_000],
    &[100, 3_000, 20_000, 90_000],
];

pub(super) fn draw(seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let servers = 2 + dice.below(4);
    let mut draw = Draw {
        servers,
        ending: Vec::new(),
        pace: PACES[dice.below(PACES.len())],
        steps: Vec::new(),
        dice,
    };
    let servers = (0..servers).map(|index| draw.server_plan(index)).collect();
    draw.steps();
    Plan {
        seed,
        servers,
        steps: draw.steps,
    }
}

impl Draw {
    fn server_plan(&mut self, index: usize) -> ServerPlan {
        let skew = self.one_of(&[0, 0, 0, 0, 2, -40, 600, -3_600, 20_000]);
        ServerPlan {
            index: small(index),
            skew,
            database: self.one_of(&DATABASES),
            extremities_max: self.one_of(&[1, 2, 10, 10]),
            // Whatever else a seed draws stays what it was.
            joins_in_part: self.dice.clone().below(7) < 3,
            hostile: false,
        }
    }

    fn steps(&mut self) {
        let deeds = self.weights(DEEDS);
        let faults = self.weights(FAULTS);
        let trouble = self.one_of(&[0, 5, 15, 15, 30]);
        let length = 40 + self.dice.below(120);
        let (founder, create) = (self.user(), self.create(0));
        self.deed_of(founder, create);
        self.everybody_comes(0);
        let mut episodes = match trouble {
            0 => Vec::new(),
            _ => self.episodes(length),
        };
        while self.steps.len() < length {
            self.end_faults();
            let due = |(at, _): &mut (usize, _)| *at <= self.steps.len();
            if let Some((_, episode)) = episodes.pop_if(due) {
                episode(self, founder);
            } else if self.dice.below(100) < trouble {
                let fault = self.weighed(&faults);
                self.fault(FAULTS[fault].1);
            } else {
                let deed = self.weighed(&deeds);
                let deed = DEEDS[deed].1(self);
                self.deed(deed);
            }
        }
    }

    /// Most try to join a room when it is new.
    fn everybody_comes(&mut self, room: Slot) {
        self.pass(Duration::from_secs(1));
        for index in 0..self.servers {
            let user = User {
                server: small(index),
                name: 0,
            };
            if !self.dice.once_in(4) {
                let via = self.server();
                self.step(What::Deed(user, Deed::Join(room, via)), Pause::Short);
            }
        }
    }

    /// Lets at least this much time pass after the last step.
    fn pass(&mut self, time: Duration) {
        if let Some(step) = self.steps.last_mut() {
            step.pause = step.pause.max(time);
        }
    }

    /// How likely each of these is in this plan.
    fn weights<T>(&mut self, of: &[(usize, T)]) -> Vec<usize> {
        of.iter()
            .map(|(weight, _)| weight * self.one_of(&[0, 1, 1, 1, 3]))
            .collect()
    }

    /// One of these, each as likely as it weighs.
    fn weighed(&mut self, weights: &[usize]) -> usize {
        let total: usize = weights.iter().sum();
        let mut left = self.dice.below(total.max(1));
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    fn deed(&mut self, deed: Deed) {
        let user = self.user();
        self.deed_of(user, deed);
    }

    fn deed_of(&mut self, user: User, deed: Deed) {
        self.step(What::Deed(user, deed), Pause::Short);
    }

    /// A fault now, and what ends it some steps later.
    fn fault(&mut self, drawn: DrawFault) {
        let mut parts = drawn(self).into_iter();
        if let Some((fault, pause)) = parts.next() {
            self.step(What::Fault(fault), pause);
        }
        let later = self.steps.len() + 1 + self.dice.below(25);
        let ends = parts.map(|(fault, _)| (later, fault));
        self.ending.extend(ends);
    }

    fn end_faults(&mut self) {
        let now = self.steps.len();
        let due: Vec<_> = self.ending.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, fault) in due {
            self.step(What::Fault(fault), Pause::Short);
        }
    }

    fn step(&mut self, what: What, pause: Pause) {
        let pause = match pause {
            Pause::Short => Duration::from_millis(self.one_of(self.pace)),
            Pause::Long => self.long_pause(),
        };
        self.steps.push(Step { what, pause });
    }

    /// Minutes, hours, days or weeks.
    fn long_pause(&mut self) -> Duration {
        let unit = self.one_of(&[60, 60, 3_600, 86_400, 7 * 86_400]);
        Duration::from_secs(unit * (1 + self.dice.below(4) as u64))
    }

    fn pause(&mut self) -> Pause {
        match self.dice.once_in(4) {
            true => Pause::Long,
            false => Pause::Short,
        }
    }

    fn down(&mut self, fault: Fault, server: u8) -> Vec<(Fault, Pause)> {
        let pause = self.pause();
        vec![(fault, pause), (Fault::Start(server), Pause::Short)]
    }

    fn create(&mut self, room: Slot) -> Deed {
        let version = self.one_of(RoomVersion::SUPPORTED);
        let preset = self.one_of(&[Preset::Public, Preset::Public, Preset::Private]);
        let levels = (0..self.servers).map(|index| (small(index), self.one_of(&[0, 50, 60])));
        let levels = levels.collect();
        Deed::Create {
            room,
            version,
            preset,
            levels,
        }
    }

    fn quality(&mut self) -> Quality {
        Quality {
            latency: self.one_of(&[1, 20, 400, 5_000]),
            jitter: self.one_of(&[0, 200, 5_000, 40_000]),
            lost: self.one_of(&[0, 5, 30]),
            doubled: self.one_of(&[0, 5, 30]),
        }
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        *self.dice.pick(items)
    }

    fn server(&mut self) -> u8 {
        small(self.dice.below(self.servers))
    }

    /// From one server to another.
    fn wire(&mut self) -> (u8, u8) {
        let from = self.dice.below(self.servers);
        let further = 1 + self.dice.below(self.servers - 1);
        (small(from), small((from + further) % self.servers))
    }

    fn user(&mut self) -> User {
        User {
            server: self.server(),
            name: small(self.dice.below(USERS.len())),
        }
    }

    fn room(&mut self) -> Slot {
        self.one_of(&ROOMS)
    }

    fn number(&mut self) -> u16 {
        self.dice.below(1_000) as u16
    }

    fn small(&mut self) -> u8 {
        1 + small(self.dice.below(6))
    }
}

/// An index of few.
pub(super) fn small(index: usize) -> u8 {
    u8::try_from(index).expect("there are few of them")
}
