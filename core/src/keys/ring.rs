//! The keys of other servers that are in memory.
//!
//! A key that verifies often keeps multiples of itself, which halve the time that it takes.

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use ruma_common::{OwnedServerName, ServerName};

use super::{
    frequent::{self, FrequentKeys, KeyName},
    published::PublishedKeys,
};
use crate::{
    engine::outcome::LearntKeys,
    messaging::status::{KeyFetches, Lookups},
    pdu::signing::{BasePoint, PublicKey, VerifyKey},
    persistence::tables::ServerKeyRecord,
    time::{Monotonic, WallTime},
};

/// How long a server is left in peace after it was asked for its keys.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How many servers' keys stay in memory.
const SERVERS_MAX: usize = 20_000;

/// The keys of other servers.
#[derive(Debug, Default)]
pub struct KeyRing {
    servers: BTreeMap<OwnedServerName, Entry>,
    frequent: FrequentKeys,
    base: Option<BasePoint>,
    notaries: Arc<[OwnedServerName]>,
    lookups: Cell<Lookups>,
    fetches: KeyFetches,
}

#[derive(Debug, Default)]
struct Entry {
    keys: Arc<[VerifyKey]>,
    published: Option<PublishedKeys>,
    asked: Option<Monotonic>,
    /// Whether it answered when it was asked last.
    answers: bool,
}

impl KeyRing {
    /// No keys yet, and whom to ask for those of servers that do not answer.
    #[must_use]
    pub fn new(notaries: Vec<OwnedServerName>) -> Self {
        Self {
            notaries: notaries.into(),
            ..Self::default()
        }
    }

    /// Whom to ask for the keys of servers that do not answer.
    #[must_use]
    pub fn notaries(&self) -> &[OwnedServerName] {
        &self.notaries
    }

    /// The object in which a server published its keys last, if it was fetched since we started.
    #[must_use]
    pub fn published_by(&self, server: &ServerName) -> Option<&PublishedKeys> {
        self.servers.get(server)?.published.as_ref()
    }

    /// Whether every key with which this server may sign requests runs out by this time.
    #[must_use]
    pub fn runs_out(&self, server: &ServerName, by: WallTime) -> bool {
        let current = |key: &&VerifyKey| !key.retired;
        let keys = self.of(server);
        let last = keys.iter().filter(current).map(|key| key.valid_until).max();
        last.is_none_or(|last| last < by.to_i64())
    }

    /// All keys in memory of a server.
    #[must_use]
    pub fn of(&self, server: &ServerName) -> Arc<[VerifyKey]> {
        self.servers
            .get(server)
            .map(|entry| entry.keys.clone())
            .unwrap_or_default()
    }

    /// Whether this key is in memory and was, or is, valid at this time.
    #[must_use]
    pub fn is_known(&self, server: &ServerName, key_id: &str, at: WallTime) -> bool {
        let keys = self.servers.get(server).map(|entry| &entry.keys);
        let is_known = keys
            .into_iter()
            .flat_map(|keys| keys.iter())
            .any(|key| key.key_id == key_id && key.valid_until >= at.to_i64());
        self.lookups.set(self.lookups.get().and(is_known));
        is_known
    }

    /// Of how many servers something is known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// How often a key was looked for here.
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    /// How often servers were asked for their keys.
    #[must_use]
    pub fn fetches(&self) -> KeyFetches {
        self.fetches
    }

    /// Whether this server was asked a short while ago.
    #[must_use]
    pub fn asked_recently(&self, server: &ServerName, now: Monotonic) -> bool {
        let asked = self.servers.get(server).and_then(|entry| entry.asked);
        asked.is_some_and(|asked| now.since(asked) < ASK_AGAIN_AFTER)
    }

    /// Whether this server was asked for its keys and told them, at this time or after it.
    #[must_use]
    pub fn told_since(&self, server: &ServerName, since: Monotonic) -> bool {
        let entry = self.servers.get(server).filter(|entry| entry.answers);
        let asked = entry.and_then(|entry| entry.asked);
        asked.is_some_and(|asked| asked >= since)
    }

    /// Adds what was learnt; of two validities of one key the larger counts (KEY-11).
    pub fn learn(&mut self, learnt: LearntKeys, now: Monotonic) {
        if self.servers.len() >= SERVERS_MAX && !self.servers.contains_key(&learnt.server) {
            self.servers.clear();
            self.frequent = FrequentKeys::default();
        }
        let entry = self.servers.entry(learnt.server).or_default();
        if let Some(answers) = learnt.asked {
            entry.asked = Some(now);
            entry.answers = answers;
            match answers {
                true => self.fetches.told += 1,
                false => self.fetches.in_vain += 1,
            }
        }
        entry.published = learnt.published.or(entry.published.take());
        let mut keys = entry.keys.to_vec();
        for record in &learnt.keys {
            learn_key(&mut keys, record);
        }
        entry.keys = keys.into();
    }

    /// Notes that a key was used, which may earn it multiples of itself.
    pub fn note_use(&mut self, server: &ServerName, key_id: &str) {
        let name = (server.to_owned(), key_id.to_owned());
        let Some(promotion) = self.frequent.note_use(name) else {
            return;
        };
        let base = self.base.get_or_insert_default().clone();
        self.replace(&promotion.promoted, |key| key.with_multiples(&base));
        if let Some(demoted) = &promotion.demoted {
            self.replace(demoted, |key| PublicKey::new(*key.as_bytes()));
        }
    }

    fn replace(&mut self, (server, key_id): &KeyName, by: impl Fn(&PublicKey) -> PublicKey) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        frequent::replace(&mut entry.keys, key_id, by);
    }
}

fn learn_key(keys: &mut Vec<VerifyKey>, record: &ServerKeyRecord) {
    let known = keys
        .iter_mut()
        .find(|known| known.key_id == record.key_id.as_str());
    match known {
        Some(known) if *known.public_key.as_bytes() != record.public => {
            let key_id = known.key_id.as_str();
            tracing::warn!(key_id, "a server gave one key id to two keys");
        }
        Some(known) if known.valid_until < record.valid_until.to_i64() || record.retired => {
            known.valid_until = record.valid_until.to_i64();
            known.retired = record.retired;
        }
        Some(_) => {}
        None => keys.push(VerifyKey::from(record)),
    }
}

impl From<&ServerKeyRecord> for VerifyKey {
    fn from(record: &ServerKeyRecord) -> Self {
        Self {
            key_id: record.key_id.to_string(),
            public_key: PublicKey::new(record.public),
            valid_until: record.valid_until.to_i64(),
            retired: record.retired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::signing::SigningKey;

    fn record(key_id: &str, seed: u8, valid_until: u64, retired: bool) -> ServerKeyRecord {
        let key = SigningKey::from_seed(key_id, &[seed; 32]).unwrap();
        ServerKeyRecord {
            server: "a.example".try_into().unwrap(),
            key_id: key_id.try_into().unwrap(),
            public: key.public_key(),
            valid_until: WallTime(valid_until),
            retired,
        }
    }

    fn ring(records: Vec<ServerKeyRecord>) -> KeyRing {
        let mut ring = KeyRing::default();
        learn(&mut ring, records);
        ring
    }

    fn learn(ring: &mut KeyRing, keys: Vec<ServerKeyRecord>) {
        let server = "a.example".try_into().unwrap();
        let asked = None;
        let learnt = LearntKeys {
            server,
            keys,
            published: None,
            asked,
        };
        ring.learn(learnt, Monotonic::default());
    }

    fn keys(ring: &KeyRing) -> Arc<[VerifyKey]> {
        ring.of("a.example".try_into().unwrap())
    }

    #[test]
    fn key_11_the_larger_validity_counts_until_the_key_retires() {
        let mut ring = ring(vec![record("ed25519:1", 1, 10, false)]);
        for (learnt, valid_until) in [
            (record("ed25519:1", 1, 5, false), 10),
            (record("ed25519:1", 1, 20, false), 20),
            (record("ed25519:1", 2, 30, false), 20),
            (record("ed25519:1", 1, 15, true), 15),
        ] {
            let (public, retired) = (record("ed25519:1", 1, 0, false).public, learnt.retired);
            learn(&mut ring, vec![learnt]);
            let [key] = &*keys(&ring) else {
                panic!("one key")
            };
            assert_eq!((key.valid_until, key.retired), (valid_until, retired));
            assert_eq!(*key.public_key.as_bytes(), public);
        }
    }

    #[test]
    fn what_is_looked_for_and_asked_for_is_counted() {
        let mut ring = ring(vec![record("ed25519:1", 1, 10, false)]);
        let server: &ServerName = "a.example".try_into().unwrap();
        for (key_id, at, is_known) in [
            ("ed25519:1", 5, true),
            ("ed25519:1", 11, false),
            ("ed25519:2", 5, false),
        ] {
            assert_eq!(ring.is_known(server, key_id, WallTime(at)), is_known);
        }
        assert_eq!(ring.lookups(), Lookups { hits: 1, misses: 2 });
        assert_eq!((ring.count(), ring.fetches()), (1, KeyFetches::default()));
        for answers in [true, false, false] {
            let learnt = LearntKeys {
                server: server.to_owned(),
                keys: Vec::new(),
                published: None,
                asked: Some(answers),
            };
            ring.learn(learnt, Monotonic::default());
        }
        let (told, in_vain) = (1, 2);
        assert_eq!(ring.fetches(), KeyFetches { told, in_vain });
    }

    #[test]
    fn a_key_used_often_keeps_multiples_of_itself() {
        let [one, two] = ["ed25519:1", "ed25519:2"];
        let mut ring = ring(vec![record(one, 1, 10, false), record(two, 2, 10, false)]);
        let have_multiples = |ring: &KeyRing| {
            keys(ring)
                .iter()
                .map(|key| key.public_key.has_multiples())
                .collect::<Vec<_>>()
        };
        let before = keys(&ring);
        for _ in 1..32 {
            ring.note_use("a.example".try_into().unwrap(), one);
        }
        assert_eq!(have_multiples(&ring), [false, false]);
        ring.note_use("a.example".try_into().unwrap(), one);
        assert_eq!(have_multiples(&ring), [true, false]);
        assert_eq!(keys(&ring), before);

        learn(&mut ring, vec![record(one, 1, 20, false)]);
        assert_eq!(have_multiples(&ring), [true, false]);
    }
}
