//! Makes some servers of some plans hostile, and weaves their lies into the steps.

mod schemes;

use std::time::Duration;

use super::{
    Deed, Plan, Slot, Step, User, What,
    lies::{Corruption, Lie, Ruse},
};
use crate::rooms::Dice;

/// Plans without this many servers hold none that is hostile: two honest ones are needed to
/// disagree.
const SERVERS_MIN: usize = 3;

/// In one of how many plans with a hostile server that has a scheme.
const SCHEMING: usize = 5;

/// What is pushed, and how often, of all that is.
const RUSES: &[(usize, Ruse)] = &[
    (3, Ruse::Unsigned),
    (3, Ruse::WrongSignature),
    (3, Ruse::RetiredKey),
    (4, Ruse::Impersonation),
    (4, Ruse::AlteredContent),
    (2, Ruse::WrongHash),
    (4, Ruse::LacksAuthorisation),
    (2, Ruse::ForeignAuthorisation),
    (2, Ruse::UnknownAuthorisation),
    (4, Ruse::DeniedByState),
    (3, Ruse::Denied),
    (4, Ruse::BuiltOnDenied),
    (2, Ruse::Fork(5)),
    (1, Ruse::Fork(40)),
    (6, Ruse::Equivocation),
    (2, Ruse::Circle),
    (1, Ruse::SameId),
    (1, Ruse::Depth(0)),
    (1, Ruse::Depth(9_007_199_254_740_991)),
    (1, Ruse::Depth(u64::MAX)),
    (3, Ruse::Orphan),
    (2, Ruse::Chain(5)),
    (1, Ruse::Chain(60)),
    (4, Ruse::ForeignPast),
    (5, Ruse::OldBranch),
    (1, Ruse::WrongTime(-100_000_000)),
    (1, Ruse::WrongTime(100_000_000)),
    (2, Ruse::Malformed),
    (2, Ruse::FalseEdus),
    (1, Ruse::TooMany),
    (3, Ruse::Replay),
    (4, Ruse::ReusedId),
    (1, Ruse::Flood(100)),
    (1, Ruse::Flood(400)),
];

/// What is answered wrongly.
const TARGETS: [&str; 16] = [
    "/get_missing_events/",
    "/get_missing_events/",
    "/state_ids/",
    "/state/",
    "/event/",
    "/event_auth/",
    "/backfill/",
    "/make_join/",
    "/send_join/",
    "/send_join/",
    "/send_join/",
    "/make_knock/",
    "/invite/",
    "/send/",
    "/after",
    "/key/",
];

/// In what way.
const CORRUPTIONS: [Corruption; 14] = [
    Corruption::Refused(404),
    Corruption::Refused(429),
    Corruption::Refused(500),
    Corruption::Garbage,
    Corruption::Hollow,
    Corruption::WrongTypes,
    Corruption::Altered,
    Corruption::Unsigned,
    Corruption::Foreign,
    Corruption::Foreign,
    Corruption::Shortened,
    Corruption::Oversized,
    Corruption::Endless,
    Corruption::Late(40),
];

/// In what way keys are.
const KEY_CORRUPTIONS: [Corruption; 5] = [
    Corruption::Refused(500),
    Corruption::WrongTypes,
    Corruption::Unsigned,
    Corruption::Expired,
    Corruption::Rotated,
];

/// Makes one of the plan's servers hostile, in some plans.
pub(super) fn weave(plan: &mut Plan) {
    let mut dice = Dice::new(plan.seed ^ 0x11e5);
    if plan.servers.len() < SERVERS_MIN || dice.once_in(3) {
        return;
    }
    let liar = dice.below(plan.servers.len());
    let server = &mut plan.servers[liar];
    server.hostile = true;
    let liar = server.index;
    let others = plan.servers.iter().map(|server| server.index);
    let often = *dice.pick(&[3, 6, 15]);
    let mut weaver = Weaver {
        liar,
        others: others.filter(|index| *index != liar).collect(),
        rooms: Vec::new(),
        dice,
    };
    let mut woven = Vec::new();
    for step in plan.steps.drain(..) {
        let company = weaver.company(&step.what);
        woven.push(step);
        woven.extend(company);
        if !weaver.rooms.is_empty() && weaver.dice.once_in(often) {
            woven.extend(weaver.lie());
        }
    }
    if weaver.dice.once_in(SCHEMING) {
        let after = weaver.dice.below(woven.len());
        woven.splice(after..after, weaver.mixed_rooms());
    }
    plan.steps = woven;
}

struct Weaver {
    liar: u8,
    others: Vec<u8>,
    /// Where rooms were created.
    rooms: Vec<Slot>,
    dice: Dice,
}

impl Weaver {
    fn room(&mut self) -> Slot {
        *self.dice.pick(&self.rooms)
    }

    /// A user of the hostile server is invited to a room when it is created, and comes: who is
    /// not in a room is not listened to.
    fn company(&mut self, what: &What) -> Vec<Step> {
        let What::Deed(creator, Deed::Create { room, .. }) = *what else {
            return Vec::new();
        };
        if self.rooms.contains(&room) {
            return Vec::new();
        }
        self.rooms.push(room);
        if creator.server == self.liar {
            return Vec::new();
        }
        let (server, name) = (self.liar, 0);
        let user = User { server, name };
        let deeds = [
            (creator, Deed::Invite(room, user)),
            (user, Deed::Join(room, creator.server)),
        ];
        let steps = deeds.map(|(user, deed)| self.step(What::Deed(user, deed)));
        steps.into()
    }

    fn lie(&mut self) -> Vec<Step> {
        let lie = match self.dice.once_in(3) {
            true => self.answer(),
            false => self.push(),
        };
        match lie {
            Lie::Push(room, Ruse::Flood(size), to) => self.flood(room, size, to),
            _ => vec![self.step(What::Lie(self.liar, lie))],
        }
    }

    fn push(&mut self) -> Lie {
        let total = RUSES.iter().map(|(weight, _)| weight).sum();
        let mut left = self.dice.below(total);
        let ruse = RUSES.iter().find(|(weight, _)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let ruse = ruse.map_or(Ruse::Replay, |(_, ruse)| *ruse);
        let to = self.dice.once_in(2).then(|| *self.dice.pick(&self.others));
        Lie::Push(self.room(), ruse, to)
    }

    fn answer(&mut self) -> Lie {
        let target = *self.dice.pick(&TARGETS);
        let corruption = match target {
            "/key/" => self.dice.pick(&KEY_CORRUPTIONS),
            "/send_join/" if self.dice.once_in(2) => &Corruption::Foreign,
            _ => self.dice.pick(&CORRUPTIONS),
        };
        Lie::Answer(target, *corruption)
    }

    fn step(&mut self, what: What) -> Step {
        let pause = *self.dice.pick(&[10, 300, 3_000]);
        Step {
            what,
            pause: Duration::from_millis(pause),
        }
    }
}
