//! A bounded map of things that can be loaded again.

use std::{cell::Cell, collections::BTreeMap};

use crate::messaging::status::Lookups;

/// Keeps the newest entries: at least half of `capacity`, at most all of it. Reading needs no
/// `&mut`, so nothing is kept for having been read; whatever falls out is loaded again.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    newer: BTreeMap<K, V>,
    older: BTreeMap<K, V>,
    half: usize,
    lookups: Cell<Lookups>,
}

impl<K: Ord, V> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            newer: BTreeMap::new(),
            older: BTreeMap::new(),
            half: capacity.div_ceil(2).max(1),
            lookups: Cell::default(),
        }
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let found = self.newer.get(key).or_else(|| self.older.get(key));
        let mut lookups = self.lookups.get();
        match found {
            Some(_) => lookups.hits += 1,
            None => lookups.misses += 1,
        }
        self.lookups.set(lookups);
        found
    }

    /// How often something was looked for here.
    pub(crate) fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= self.half {
            self.older = std::mem::take(&mut self.newer);
        }
        self.older.remove(&key);
        self.newer.insert(key, value);
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
            assert!(cache.newer.len() + cache.older.len() <= 10);
        }
        for number in 995..1000 {
            assert_eq!(cache.get(&number), Some(&number));
        }
        assert_eq!(cache.get(&0), None);
        let told = cache.lookups();
        assert_eq!((told.hits, told.misses), (5, 1));
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
