//! A map from entries of a state, ordered by a hash of theirs.
//!
//! Entries are long texts that begin alike. The hash decides nearly every comparison, and whoever
//! finds entries of one hash makes comparisons slower, not more of them.

use std::collections::BTreeMap;

use crate::pdu::state::Entry;

pub(super) struct EntryMap<'a, V>(BTreeMap<(u64, Entry<'a>), V>);

impl<V> Default for EntryMap<'_, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'a, V> EntryMap<'a, V> {
    pub fn get(&self, entry: Entry<'_>) -> Option<V>
    where
        V: Copy,
    {
        self.0.get(&hashed(entry)).copied()
    }

    pub fn contains(&self, entry: Entry<'_>) -> bool {
        self.0.contains_key(&hashed(entry))
    }

    pub fn get_or_insert_with(&mut self, entry: Entry<'a>, value: impl FnOnce() -> V) -> &mut V {
        self.0.entry(hashed(entry)).or_insert_with(value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In no order that means anything, but always the same.
    pub fn iter(&self) -> impl Iterator<Item = (Entry<'a>, &V)> {
        self.0.iter().map(|((_, entry), value)| (*entry, value))
    }
}

/// FNV-1a.
fn hashed(entry: Entry<'_>) -> (u64, Entry<'_>) {
    let bytes = entry.0.bytes().chain(entry.1.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash, entry)
}
