//! One table whose last batch can be undone.

use std::{collections::BTreeMap, ops::RangeBounds};

/// Rows sorted by key, and what the rows that the batch under way has touched were before it.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    rows: BTreeMap<K, V>,
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            before: Vec::new(),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    pub(super) fn range(
        &self,
        keys: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.range(keys)
    }

    /// Inserts a row, or replaces it.
    pub(super) fn set(&mut self, key: K, row: V) {
        let old = self.rows.insert(key.clone(), row);
        self.before.push((key, old));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(old) = self.rows.remove(key) {
            self.before.push((key.clone(), Some(old)));
        }
    }

    /// Removes every row that is not to stay.
    pub(super) fn retain(&mut self, stays: impl Fn(&K, &V) -> bool) {
        let gone: Vec<K> = self
            .rows
            .iter()
            .filter(|(key, row)| !stays(key, row))
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().for_each(|key| self.remove(key));
    }
}

/// A table, whatever is in it, at the ends of a batch.
pub(super) trait Batched {
    /// A batch begins: what was written before stays.
    fn begin(&mut self);

    /// Takes back everything since the batch began.
    fn roll_back(&mut self);
}

impl<K: Ord + Clone, V: Clone> Batched for Table<K, V> {
    fn begin(&mut self) {
        self.before.clear();
    }

    fn roll_back(&mut self) {
        for (key, old) in std::mem::take(&mut self.before).into_iter().rev() {
            match old {
                Some(row) => drop(self.rows.insert(key, row)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }
}
