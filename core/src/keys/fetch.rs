//! Getting a key of another server: from the store, else from that server, else from notaries
//! (KEY-5, KEY-9, KEY-12).

use ruma_common::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::published::{self, PublishedKeys};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        need::Need,
        outcome::{LearntKeys, Outcome},
        registry::Identity,
    },
    pdu::signing,
    persistence::{
        queries::{Answer, Read, Write},
        tables::ServerKeyRecord,
    },
    time::WallTime,
    transport::{
        remote_request::Endpoint,
        remote_response::{self, RemoteError, RemoteResponse},
    },
};

/// How many key objects of one server are read from a notary's answer.
const OBJECTS_MAX: usize = 16;

/// Makes a key known, if it can be had.
#[derive(Clone, Debug)]
pub struct FetchKey {
    /// Whose key.
    pub server: OwnedServerName,
    /// Which.
    pub key_id: String,
    /// When it must be valid.
    pub valid_at: WallTime,
}

/// Asks a server for its keys anew, whatever is known of them.
#[derive(Clone, Debug)]
pub struct RefreshKeys {
    /// Which.
    pub server: OwnedServerName,
}

/// What was told of a server's keys.
#[derive(Default)]
struct Told {
    keys: Vec<ServerKeyRecord>,
    published: Option<PublishedKeys>,
}

impl FetchKey {
    /// The need that the end of this job meets.
    #[must_use]
    pub fn need(&self) -> Need {
        Need::Key {
            server: self.server.clone(),
            key_id: self.key_id.clone(),
            valid_at: self.valid_at,
        }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Answer::Keys(stored) = facts.read(Read::ServerKeys(self.server.clone()))? else {
            return Ok(Outcome::done());
        };
        if self.is_among(stored) || facts.key_asked_recently(&self.server) {
            let told = Told::default();
            return Ok(learnt(&self.server, stored.clone(), told, None));
        }
        let mut told = ask_server(&self.server, facts)?;
        let answered = !told.keys.is_empty();
        if !self.is_among(&told.keys) {
            for found in self.ask_notaries(facts)? {
                told.keys.extend(found.keys);
                told.published = told.published.or(found.published);
            }
        }
        Ok(learnt(&self.server, stored.clone(), told, Some(answered)))
    }

    fn is_among(&self, keys: &[ServerKeyRecord]) -> bool {
        let is_it = |key: &ServerKeyRecord| {
            key.key_id.as_str() == self.key_id && key.valid_until >= self.valid_at
        };
        keys.iter().any(is_it)
    }

    fn ask_notaries(&self, facts: &Facts<'_>) -> Result<Vec<Told>, Blocked> {
        let endpoint = Endpoint::NotaryQuery {
            server: self.server.clone(),
            key_id: self.key_id.clone(),
            valid_until: self.valid_at,
        };
        let notaries = facts.notaries().iter();
        let notaries = notaries.filter(|notary| **notary != self.server);
        let asked: Vec<_> = notaries
            .map(|notary| (notary, facts.call(notary, endpoint.clone())))
            .collect();
        let mut told = Vec::new();
        for (notary, answer) in asked {
            let objects = notarised(answer?).unwrap_or_else(|error| {
                tracing::debug!(%notary, server = %self.server, %error, "no keys of a notary");
                Vec::new()
            });
            told.extend(objects.into_iter().filter_map(|object| {
                let object = attested(object, notary, facts)?;
                let read = published::read(object, &self.server, facts.now().wall);
                read.ok().map(Told::from)
            }));
        }
        Ok(told)
    }
}

impl RefreshKeys {
    /// What no two of these jobs need do at once.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Keys(self.server.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if facts.key_asked_recently(&self.server) {
            return Ok(Outcome::done());
        }
        let told = ask_server(&self.server, facts)?;
        let answered = !told.keys.is_empty();
        Ok(learnt(&self.server, Vec::new(), told, Some(answered)))
    }
}

impl From<published::Read> for Told {
    fn from((keys, published): published::Read) -> Self {
        Self {
            keys,
            published: Some(published),
        }
    }
}

fn ask_server(server: &ServerName, facts: &Facts<'_>) -> Result<Told, Blocked> {
    let read = match facts.call(server, Endpoint::ServerKeys)? {
        Ok(body) => published::read_response(body, server, facts.now().wall),
        Err(error) => Err(error.clone()),
    };
    Ok(read.map(Told::from).unwrap_or_else(|error| {
        tracing::debug!(%server, %error, "no keys to be had");
        Told::default()
    }))
}

/// The objects in a notary's answer.
fn notarised(answer: &RemoteResponse) -> Result<Vec<Map<String, Value>>, RemoteError> {
    #[derive(Deserialize)]
    struct Answer {
        server_keys: Vec<Map<String, Value>>,
    }
    let body = answer.as_ref().map_err(Clone::clone)?;
    let Answer { mut server_keys } = remote_response::parse(body)?;
    server_keys.truncate(OBJECTS_MAX);
    Ok(server_keys)
}

/// The object, unless the notary's signature is missing or wrong. If we do not hold the notary's
/// key, TLS has to vouch for it; the server's own signature counts in any case.
fn attested(
    object: Map<String, Value>,
    notary: &ServerName,
    facts: &Facts<'_>,
) -> Option<Map<String, Value>> {
    let now = facts.now().wall.to_i64();
    let keys = facts.keys_of(notary);
    let mut current = keys
        .iter()
        .filter(|key| !key.retired && key.valid_until >= now)
        .peekable();
    let holds = current.peek().is_none() || signing::verify_json(&object, notary, current).is_ok();
    holds.then_some(object)
}

fn learnt(
    server: &ServerName,
    stored: Vec<ServerKeyRecord>,
    told: Told,
    asked: Option<bool>,
) -> Outcome {
    let mut writes = Vec::new();
    if !told.keys.is_empty() {
        writes.push(Write::ServerKeys(told.keys.clone()));
    }
    let published = told.published.as_ref();
    writes.extend(published.map(|published| Write::PublishedKeys(published.record(server))));
    Outcome {
        keys: Some(LearntKeys {
            server: server.to_owned(),
            keys: stored.into_iter().chain(told.keys).collect(),
            published: told.published,
            asked,
        }),
        writes,
        ..Outcome::default()
    }
}
