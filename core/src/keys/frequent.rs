//! Which keys are used so often that it pays to keep multiples of them.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use ruma_common::{OwnedServerName, ServerName};

use super::needed_for;
use crate::pdu::{
    Pdu,
    signing::{BasePoint, KnownKeys, PublicKey, VerifyKey},
};

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

/// Gives those of `keys` that have signed many of these events multiples of themselves.
pub fn prepare_for(events: &[Arc<Pdu>], keys: &mut KnownKeys) {
    let mut uses: BTreeMap<(&ServerName, &str), u32> = BTreeMap::new();
    for name in events.iter().flat_map(|event| needed_for(event)) {
        *uses.entry(name).or_default() += 1;
    }
    let mut frequent: Vec<_> = uses.into_iter().collect();
    frequent.retain(|(_, uses)| *uses >= USES_MIN);
    frequent.sort_by_key(|(_, uses)| Reverse(*uses));
    frequent.truncate(FREQUENT_MAX);
    let mut base = None;
    for ((server, key_id), _) in frequent {
        let base: &BasePoint = base.get_or_insert_default();
        if let Some(keys) = keys.get_mut(server) {
            replace(keys, key_id, |key| key.with_multiples(base));
        }
    }
}

/// Puts another form of a key in its place.
pub(super) fn replace(
    keys: &mut Arc<[VerifyKey]>,
    key_id: &str,
    by: impl Fn(&PublicKey) -> PublicKey,
) {
    let replaced = keys.iter().cloned().map(|mut key| {
        if key.key_id == key_id {
            key.public_key = by(&key.public_key);
        }
        key
    });
    *keys = replaced.collect();
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pdu::{
        RoomVersion,
        build::complete_template,
        signing::{SigningKey, verify_event},
    };

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

    fn message(number: usize, by: &SigningKey) -> Arc<Pdu> {
        let event = json!({
            "type": "m.room.message", "sender": "@ann:a.example", "room_id": "!room:a.example",
            "content": { "number": number }, "depth": 1, "prev_events": [], "auth_events": [],
        });
        let Value::Object(event) = event else {
            panic!("an object")
        };
        let server = ServerName::parse("a.example").unwrap();
        Arc::new(complete_template(event, 1, RoomVersion::V10, &server, by).unwrap())
    }

    #[test]
    fn keys_of_many_events_are_prepared_for_them() {
        let signing: Vec<_> = ["ed25519:often", "ed25519:seldom"]
            .map(|key_id| SigningKey::from_seed(key_id, &[1; 32]).unwrap())
            .into();
        let known = signing.iter().map(|key| VerifyKey {
            key_id: key.key_id().to_owned(),
            public_key: PublicKey::new(key.public_key()),
            valid_until: i64::MAX,
            retired: false,
        });
        let server = OwnedServerName::try_from("a.example").unwrap();
        let mut keys = KnownKeys::from([(server.clone(), known.collect())]);
        let often = (0..32).map(|number| message(number, &signing[0]));
        let events: Vec<_> = often.chain([message(32, &signing[1])]).collect();
        let prepared = |keys: &KnownKeys| {
            let keys = keys[&server].iter();
            keys.map(|key| key.public_key.has_multiples())
                .collect::<Vec<_>>()
        };
        prepare_for(&events[1..], &mut keys);
        assert_eq!(prepared(&keys), [false, false]);
        prepare_for(&events, &mut keys);
        assert_eq!(prepared(&keys), [true, false]);
        for event in &events {
            assert_eq!(verify_event(event, &keys), Ok(()));
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
