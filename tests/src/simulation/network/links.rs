//! What the wires between servers do to messages: delay them, lose them, double them, carry
//! nothing at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruma_common::OwnedServerName;

use crate::rooms::Dice;

/// How well a wire works, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// How many milliseconds a message is under way at least.
    pub latency: u32,
    /// How many more at most. Within this messages overtake each other.
    pub jitter: u32,
    /// How many messages of a hundred are lost; nobody hears of it.
    pub lost: u8,
    /// How many requests of a hundred arrive twice.
    pub doubled: u8,
}

impl Default for Quality {
    /// Every message takes 20 ms.
    fn default() -> Self {
        Self {
            latency: 20,
            jitter: 0,
            lost: 0,
            doubled: 0,
        }
    }
}

/// What will happen to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A request never arrives.
    LoseRequest,
    /// A request arrives, but its answer does not.
    LoseAnswer,
    /// A request arrives twice.
    DoubleRequest,
}

/// One way of one wire: from whom, to whom.
pub(super) type Way = (OwnedServerName, OwnedServerName);

/// All wires.
#[derive(Debug)]
pub(super) struct Links {
    usual: Quality,
    unusual: BTreeMap<Way, Quality>,
    cut: BTreeSet<Way>,
    /// What will happen to the next request to this server whose target holds this text.
    mishaps: Vec<(OwnedServerName, String, Mishap)>,
    dice: Dice,
}

/// A request on its way.
pub(super) struct Passage {
    /// How often it arrives.
    pub arrivals: u8,
    /// Whether the answer is lost, whatever it is.
    pub answer_lost: bool,
}

impl Links {
    pub(super) fn new() -> Self {
        Self {
            usual: Quality::default(),
            unusual: BTreeMap::new(),
            cut: BTreeSet::new(),
            mishaps: Vec::new(),
            dice: Dice::new(0),
        }
    }

    /// All chances are drawn from this seed from now on.
    pub(super) fn sow(&mut self, seed: u64) {
        self.dice = Dice::new(seed);
    }

    pub(super) fn set_usual(&mut self, quality: Quality) {
        self.usual = quality;
    }

    pub(super) fn set(&mut self, way: Way, quality: Quality) {
        self.unusual.insert(way, quality);
    }

    pub(super) fn set_cut(&mut self, way: Way, cut: bool) {
        if cut {
            self.cut.insert(way);
        } else {
            self.cut.remove(&way);
        }
    }

    /// Every wire works as it should.
    pub(super) fn mend(&mut self) {
        let jitter = self.usual.jitter;
        self.usual = Quality {
            jitter,
            ..Quality::default()
        };
        self.unusual.clear();
        self.cut.clear();
        self.mishaps.clear();
    }

    pub(super) fn await_mishap(&mut self, to: OwnedServerName, target: String, mishap: Mishap) {
        self.mishaps.push((to, target, mishap));
    }

    pub(super) fn is_cut(&self, way: &Way) -> bool {
        self.cut.contains(way)
    }

    /// How long a message takes.
    pub(super) fn delay(&mut self, way: &Way) -> Duration {
        let Quality {
            latency, jitter, ..
        } = self.quality(way);
        let more = match jitter {
            0 => 0,
            jitter => self.dice.below(jitter as usize + 1) as u64,
        };
        Duration::from_millis(u64::from(latency) + more)
    }

    /// What becomes of a request that is about to leave.
    pub(super) fn request(&mut self, way: &Way, target: &str) -> Passage {
        let quality = self.quality(way);
        let awaited = |(to, part, _): &(OwnedServerName, String, Mishap)| {
            *to == way.1 && target.contains(part.as_str())
        };
        let mishap = self.mishaps.iter().position(awaited);
        let mishap = mishap.map(|index| self.mishaps.remove(index).2);
        let lost = self.chance(quality.lost) || mishap == Some(Mishap::LoseRequest);
        let doubled = self.chance(quality.doubled) || mishap == Some(Mishap::DoubleRequest);
        Passage {
            arrivals: match (lost, doubled) {
                (true, _) => 0,
                (false, false) => 1,
                (false, true) => 2,
            },
            answer_lost: mishap == Some(Mishap::LoseAnswer),
        }
    }

    /// Whether an answer is lost.
    pub(super) fn loses_answer(&mut self, way: &Way) -> bool {
        let lost = self.quality(way).lost;
        self.chance(lost)
    }

    fn quality(&self, way: &Way) -> Quality {
        self.unusual.get(way).copied().unwrap_or(self.usual)
    }

    fn chance(&mut self, of_a_hundred: u8) -> bool {
        of_a_hundred > 0 && self.dice.below(100) < usize::from(of_a_hundred)
    }
}
