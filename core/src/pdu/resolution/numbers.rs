//! Numbers for names: for the ids of events, and for the entries of a state.
//!
//! Names are long, begin alike, and the same few are met over and over. So each is looked up once,
//! by its hash, and has a number from then on. Peers choose names, and could choose many of one
//! hash: what is not found within a few steps is therefore in a sorted map.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::pdu::state::Entry;

/// A number, which takes no more space where there may be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(NonZeroU32);

impl Number {
    /// The number that counts from zero to here.
    fn of(index: usize) -> Option<Self> {
        let count = u32::try_from(index).ok()?.checked_add(1)?;
        NonZeroU32::new(count).map(Self)
    }

    /// How many numbers come before it.
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Something to number.
pub(super) trait Name: Copy + Ord {
    /// A hash of its text.
    fn hash(self) -> u64;
}

impl Name for &str {
    fn hash(self) -> u64 {
        spread(hashed(0, self))
    }
}

impl Name for Entry<'_> {
    fn hash(self) -> u64 {
        spread(hashed(hashed(0, self.0), self.1))
    }
}

const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

fn hashed(hash: u64, text: &str) -> u64 {
    let add = |hash: u64, word: u64| hash.rotate_left(5).wrapping_add(word).wrapping_mul(FACTOR);
    let (words, rest) = text.as_bytes().as_chunks();
    let hash = words
        .iter()
        .fold(hash, |hash, word| add(hash, u64::from_le_bytes(*word)));
    let rest = rest
        .iter()
        .fold(1, |word, byte| (word << 8) | u64::from(*byte));
    add(hash, rest)
}

/// Lets every bit depend on every bit.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(FACTOR);
    hash ^ (hash >> 32)
}

/// Names numbered from zero, in the order in which they came.
#[derive(Clone)]
pub(super) struct Numbers<N> {
    names: Vec<N>,
    /// More than twice as many as there are names; each is in one of the [`STEPS`] from where its
    /// hash says on, …
    slots: Vec<Option<Slot>>,
    /// … or, if those were taken, here.
    crowded_out: BTreeMap<N, Number>,
}

/// A part of a name's hash, and its number.
type Slot = (u32, Number);

const STEPS: usize = 8;

impl<N> Default for Numbers<N> {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            slots: Vec::new(),
            crowded_out: BTreeMap::new(),
        }
    }
}

impl<N: Name> Numbers<N> {
    /// None yet, with room for so many.
    pub fn with_room_for(count: usize) -> Self {
        let mut numbers = Self {
            names: Vec::with_capacity(count),
            ..Self::default()
        };
        numbers.make_place(count);
        numbers
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, number: Number) -> Option<N> {
        self.names.get(number.index()).copied()
    }

    /// The names in the order of their numbers.
    pub fn names(&self) -> impl Iterator<Item = N> {
        self.names.iter().copied()
    }

    pub fn find(&self, name: N) -> Option<Number> {
        let hash = name.hash() as u32;
        for slot in self.slots.get(self.place(hash)?..)?.iter().take(STEPS) {
            let (of_slot, number) = (*slot)?;
            if of_slot == hash && self.name(number) == Some(name) {
                return Some(number);
            }
        }
        self.crowded_out.get(&name).copied()
    }

    /// Gives a name the next number. There is none after 2^32−2 others.
    pub fn add(&mut self, name: N) -> Option<Number> {
        if self.slots.len() <= 2 * (self.names.len() + 1) + STEPS {
            self.make_place(2 * self.names.len());
        }
        let number = Number::of(self.names.len())?;
        self.names.push(name);
        self.take_place((name.hash() as u32, number));
        Some(number)
    }

    /// The number of a name, which gets the next one if it has none.
    pub fn find_or_add(&mut self, name: N) -> Option<Number> {
        self.find(name).or_else(|| self.add(name))
    }

    /// Makes place for so many names in all.
    fn make_place(&mut self, count: usize) {
        let count = (2 * (count + 1)).next_power_of_two();
        let before = std::mem::replace(&mut self.slots, vec![None; count + STEPS]);
        let crowded_out = std::mem::take(&mut self.crowded_out).into_iter();
        let crowded_out = crowded_out.map(|(name, number)| (name.hash() as u32, number));
        for slot in before.into_iter().flatten().chain(crowded_out) {
            self.take_place(slot);
        }
    }

    fn take_place(&mut self, (hash, number): Slot) {
        let first = self.place(hash).unwrap_or_default();
        let mut slots = self.slots.iter_mut().skip(first).take(STEPS);
        if let Some(slot) = slots.find(|slot| slot.is_none()) {
            *slot = Some((hash, number));
        } else if let Some(name) = self.name(number) {
            self.crowded_out.insert(name, number);
        }
    }

    /// The first slot for a name of this hash; `None` if there are none at all.
    fn place(&self, hash: u32) -> Option<usize> {
        let count = self.slots.len().checked_sub(STEPS)?;
        Some(hash as usize & (count - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Alike(usize);

    impl Name for Alike {
        fn hash(self) -> u64 {
            u64::MAX
        }
    }

    fn numbered<N: Name>(names: impl Iterator<Item = N> + Clone) -> bool {
        let mut numbers = Numbers::default();
        let new = names.clone().map(|name| {
            let is_new = numbers.find(name).is_none();
            (is_new, numbers.find_or_add(name))
        });
        let new: Vec<_> = new.collect();
        let is_right = |(index, found): (usize, &(bool, _))| *found == (true, Number::of(index));
        new.iter().enumerate().all(is_right)
            && names
                .clone()
                .map(|name| numbers.find(name))
                .eq((0..new.len()).map(Number::of))
            && numbers.names().eq(names)
    }

    #[test]
    fn names_have_the_numbers_of_their_order() {
        let texts: Vec<String> = (0..1_000).map(|number| format!("@user{number}")).collect();
        assert!(numbered(
            texts.iter().map(|text| ("m.room.member", &**text))
        ));
        assert_eq!(Numbers::default().find(("m.room.name", "")), None);
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        assert!(numbered((0..100).map(Alike)));
    }
}
