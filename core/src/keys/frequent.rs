//! Which keys are used so often that it pays to keep multiples of them.

use std::collections::BTreeMap;

use ruma_common::OwnedServerName;

/// How many keys keep multiples of themselves, which take 110 KiB each and 4 MiB in all.
const FREQUENT_MAX: usize = 32;

/// How often a key is used before it counts as used often. Making its multiples costs as much as
/// using it five times, so that keys which compete for their places lose little by it.
const USES_MIN: u32 = 32;

/// Of so many keys the uses are counted at once.
const COUNTED_MAX: usize = 4096;

/// Names a key: whose it is, and its id.
pub(super) type KeyName = (OwnedServerName, String);

/// Knows the keys that are used often: of those with [`USES_MIN`] uses the [`FREQUENT_MAX`] used
/// last.
#[derive(Debug, Default)]
pub(super) struct FrequentKeys {
    uses: u64,
    /// With the number of the use after which each was not used again.
    frequent: BTreeMap<KeyName, u64>,
    /// How often each other key was used.
    counted: BTreeMap<KeyName, u32>,
}

/// A key that has come to be used often, and the one that lost its place to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Promotion {
    pub(super) promoted: KeyName,
    pub(super) demoted: Option<KeyName>,
}

impl FrequentKeys {
    pub(super) fn note_use(&mut self, key: KeyName) -> Option<Promotion> {
        self.uses += 1;
        if let Some(last_use) = self.frequent.get_mut(&key) {
            *last_use = self.uses;
            return None;
        }
        if self.counted.len() >= COUNTED_MAX {
            self.counted.clear();
        }
        let uses = self.counted.entry(key.clone()).or_default();
        *uses += 1;
        if *uses < USES_MIN {
            return None;
        }
        self.counted.remove(&key);
        let demoted = (self.frequent.len() >= FREQUENT_MAX).then(|| self.demote());
        self.frequent.insert(key.clone(), self.uses);
        Some(Promotion {
            promoted: key,
            demoted: demoted.flatten(),
        })
    }

    fn demote(&mut self) -> Option<KeyName> {
        let by_last_use = self.frequent.iter().min_by_key(|(_, last_use)| **last_use);
        let key = by_last_use.map(|(key, _)| key.clone())?;
        self.frequent.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> KeyName {
        let server = OwnedServerName::try_from("a.example").unwrap();
        (server, format!("ed25519:{number}"))
    }

    fn use_often(keys: &mut FrequentKeys, number: usize) -> Option<Promotion> {
        (1..USES_MIN).for_each(|_| assert_eq!(keys.note_use(key(number)), None));
        keys.note_use(key(number))
    }

    #[test]
    fn the_key_unused_for_longest_gives_way() {
        let mut keys = FrequentKeys::default();
        for number in 0..FREQUENT_MAX {
            let promoted = key(number);
            let promotion = Promotion {
                promoted,
                demoted: None,
            };
            assert_eq!(use_often(&mut keys, number), Some(promotion));
        }
        assert_eq!(keys.note_use(key(0)), None);
        for (number, demoted) in [(100, 1), (101, 2), (1, 3)] {
            let promotion = Promotion {
                promoted: key(number),
                demoted: Some(key(demoted)),
            };
            assert_eq!(use_often(&mut keys, number), Some(promotion));
            assert_eq!(keys.frequent.len(), FREQUENT_MAX);
        }
    }

    #[test]
    fn keys_used_once_are_not_remembered_for_ever() {
        let mut keys = FrequentKeys::default();
        for number in 0..3 * COUNTED_MAX {
            assert_eq!(keys.note_use(key(number)), None);
            assert!(keys.counted.len() <= COUNTED_MAX);
        }
    }
}
