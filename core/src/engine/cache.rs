//! A bounded map of things that can be loaded again.

use std::{cell::Cell, collections::BTreeMap};

use crate::messaging::status::Lookups;

/// Keeps the newest entries: at least half of `capacity`, at most all of it, in number and in bytes.
/// Reading needs no `&mut`, so nothing is kept for having been read; whatever falls out is loaded
/// again.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    newer: BTreeMap<K, V>,
    older: BTreeMap<K, V>,
    /// How many bytes the newer are, and the older.
    bytes: (usize, usize),
    half: usize,
    half_bytes: usize,
    weigh: fn(&V) -> usize,
    lookups: Cell<Lookups>,
}

impl<K: Ord, V> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::weighed(capacity, usize::MAX, |_| 0)
    }

    /// For values that are so many bytes each, and together at most `bytes`, unless one alone is more
    /// than half of that.
    pub(crate) fn weighed(capacity: usize, bytes: usize, weigh: fn(&V) -> usize) -> Self {
        Self {
            newer: BTreeMap::new(),
            older: BTreeMap::new(),
            bytes: (0, 0),
            half: capacity.div_ceil(2).max(1),
            half_bytes: bytes / 2,
            weigh,
            lookups: Cell::default(),
        }
    }

    /// How many bytes the values are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.0 + self.bytes.1
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let found = self.newer.get(key).or_else(|| self.older.get(key));
        self.lookups.set(self.lookups.get().and(found.is_some()));
        found
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// How often something was looked for here.
    pub(crate) fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let weigh = self.weigh;
        let bytes = weigh(&value);
        let is_full = self.newer.len() >= self.half || self.bytes.0 + bytes > self.half_bytes;
        if is_full {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = (0, self.bytes.0);
        }
        let older = self.older.remove(&key).as_ref().map_or(0, weigh);
        let newer = self.newer.insert(key, value).as_ref().map_or(0, weigh);
        self.bytes = (self.bytes.0 + bytes - newer, self.bytes.1 - older);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_half_and_never_more_than_the_capacity() {
        let mut cache = Cache::new(10);
        for number in 0..1000 {
            cache.insert(number, number);
            assert!(cache.count() <= 10);
        }
        for number in 995..1000 {
            assert_eq!(cache.get(&number), Some(&number));
        }
        assert_eq!(cache.get(&0), None);
        let told = cache.lookups();
        assert_eq!((told.hits, told.misses), (5, 1));
    }

    #[test]
    fn large_values_make_room_for_each_other_before_they_are_many() {
        let mut cache = Cache::weighed(100, 10, |value: &usize| *value);
        for number in 0..1000 {
            cache.insert(number % 7, number % 4);
            let kept = cache.newer.iter().chain(&cache.older);
            assert_eq!(cache.bytes(), kept.map(|(_, bytes)| bytes).sum::<usize>());
            assert!(cache.bytes() <= 10);
        }
        cache.insert(0, 1_000);
        cache.insert(1, 1);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some(&1_000), Some(&1)));
        cache.insert(0, 1);
        cache.insert(2, 5);
        assert_eq!(cache.bytes(), 7);
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let mut cache = Cache::new(2);
        cache.insert("a", 1);
        cache.insert("b", 1);
        cache.insert("a", 2);
        assert_eq!(cache.get(&"a"), Some(&2));
    }
}
