//! Numbers for names: for the ids of events, and for the entries of a state.
//!
//! Names are long, begin alike, and the same few are met over and over. So each is looked up once,
//! by its hash, and has a number from then on. Peers choose names, and could choose many of one
//! hash: what is not found within a few steps is therefore in a sorted map.

use std::collections::BTreeMap;

use ruma_common::EventId;

use crate::pdu::state::Entry;

/// Something to number.
pub(super) trait Name: Copy + Ord {
    /// A hash of its text.
    fn hash(self) -> u64;
}

impl Name for &EventId {
    fn hash(self) -> u64 {
        spread(hashed(0, self.as_str()))
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
    /// hash says on, with a part of the hash, …
    slots: Vec<Option<(u32, u32)>>,
    /// … or, if those were taken, here.
    crowded_out: BTreeMap<N, usize>,
}

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
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, number: usize) -> Option<N> {
        self.names.get(number).copied()
    }

    /// The names in the order of their numbers.
    pub fn names(&self) -> impl Iterator<Item = N> {
        self.names.iter().copied()
    }

    pub fn find(&self, name: N) -> Option<usize> {
        let hash = name.hash();
        for slot in self.slots.get(self.place(hash)?..)?.iter().take(STEPS) {
            let (part, number) = (*slot)?;
            if part == hash as u32 && self.name(number as usize) == Some(name) {
                return Some(number as usize);
            }
        }
        self.crowded_out.get(&name).copied()
    }

    /// Gives a name the next number.
    pub fn add(&mut self, name: N) -> usize {
        let number = self.names.len();
        self.names.push(name);
        if self.slots.len() > 2 * self.names.len() + STEPS {
            self.take_place(name, number);
        } else {
            self.make_place();
        }
        number
    }

    /// The number of a name, which gets the next one if it has none.
    pub fn find_or_add(&mut self, name: N) -> usize {
        self.find(name).unwrap_or_else(|| self.add(name))
    }

    fn make_place(&mut self) {
        let count = (4 * self.names.len()).next_power_of_two();
        self.slots = vec![None; count + STEPS];
        self.crowded_out.clear();
        for number in 0..self.names.len() {
            if let Some(name) = self.name(number) {
                self.take_place(name, number);
            }
        }
    }

    fn take_place(&mut self, name: N, number: usize) {
        let hash = name.hash();
        let first = self.place(hash).unwrap_or_default();
        let mut slots = self.slots.iter_mut().skip(first).take(STEPS);
        match (slots.find(|slot| slot.is_none()), u32::try_from(number)) {
            (Some(slot), Ok(number)) => *slot = Some((hash as u32, number)),
            _ => drop(self.crowded_out.insert(name, number)),
        }
    }

    /// The first slot for a name of this hash; `None` if there are none at all.
    fn place(&self, hash: u64) -> Option<usize> {
        let count = self.slots.len().checked_sub(STEPS)?;
        Some((hash >> 32) as usize & (count - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Alike(usize);

    impl Name for Alike {
        fn hash(self) -> u64 {
            u64::MAX << 32
        }
    }

    fn numbered<N: Name>(names: impl Iterator<Item = N> + Clone) -> bool {
        let mut numbers = Numbers::default();
        let new = names.clone().map(|name| {
            let is_new = numbers.find(name).is_none();
            (is_new, numbers.find_or_add(name))
        });
        let new: Vec<_> = new.collect();
        let is_right = |(number, found): (usize, &(bool, usize))| *found == (true, number);
        new.iter().enumerate().all(is_right)
            && names
                .clone()
                .map(|name| numbers.find(name))
                .eq((0..).map(Some).take(new.len()))
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
