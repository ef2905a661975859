//! The keys of other servers that are in memory.

use std::{collections::BTreeMap, time::Duration};

use ruma_common::{OwnedServerName, ServerName};

use crate::{
    engine::outcome::LearntKeys,
    pdu::signing::VerifyKey,
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
}

#[derive(Debug, Default)]
struct Entry {
    keys: Vec<VerifyKey>,
    asked: Option<Monotonic>,
}

impl KeyRing {
    /// All keys in memory of a server.
    #[must_use]
    pub fn of(&self, server: &ServerName) -> &[VerifyKey] {
        self.servers.get(server).map_or(&[], |entry| &entry.keys)
    }

    /// Whether this key is in memory and was, or is, valid at this time.
    #[must_use]
    pub fn is_known(&self, server: &ServerName, key_id: &str, at: WallTime) -> bool {
        self.of(server)
            .iter()
            .any(|key| key.key_id == key_id && key.valid_until >= at.to_i64())
    }

    /// Whether this server was asked a short while ago.
    #[must_use]
    pub fn asked_recently(&self, server: &ServerName, now: Monotonic) -> bool {
        let asked = self.servers.get(server).and_then(|entry| entry.asked);
        asked.is_some_and(|asked| now.since(asked) < ASK_AGAIN_AFTER)
    }

    /// Adds what was learnt; of two validities of one key the larger counts (KEY-11).
    pub fn learn(&mut self, learnt: LearntKeys, now: Monotonic) {
        if self.servers.len() >= SERVERS_MAX && !self.servers.contains_key(&learnt.server) {
            self.servers.clear();
        }
        let entry = self.servers.entry(learnt.server).or_default();
        if learnt.asked {
            entry.asked = Some(now);
        }
        for record in learnt.keys {
            let key = VerifyKey::from(&record);
            match entry
                .keys
                .iter_mut()
                .find(|known| known.key_id == key.key_id)
            {
                Some(known) if known.public_key != key.public_key => {
                    tracing::warn!(key_id = key.key_id, "a server gave one key id to two keys");
                }
                Some(known) if known.valid_until < key.valid_until || key.retired => *known = key,
                Some(_) => {}
                None => entry.keys.push(key),
            }
        }
    }
}

impl From<&ServerKeyRecord> for VerifyKey {
    fn from(record: &ServerKeyRecord) -> Self {
        Self {
            key_id: record.key_id.to_string(),
            public_key: record.public,
            valid_until: record.valid_until.to_i64(),
            retired: record.retired,
        }
    }
}
