//! Vouching for other servers' keys (server-server API, "Querying Keys Through Another Server").
//!
//! We co-sign only objects that we have had from the server itself or a notary and whose own
//! signature we have checked (KEY-16). They are kept, so that servers that are gone can still be
//! vouched for.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{fetch::RefreshKeys, published::PublishedKeys};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
    },
    persistence::queries::{Answer, Read},
    time::WallTime,
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// Of how many servers one question may ask. Of the others nothing is said.
const SERVERS_MAX: usize = 100;

/// Answers a question for the keys of others.
#[derive(Clone, Debug)]
pub struct AnswerKeyQuery {
    /// The servers, and until when their keys should be valid at least.
    asked: BTreeMap<OwnedServerName, WallTime>,
    /// Whether those servers were asked whose keys are not known well enough.
    refreshed: bool,
}

impl AnswerKeyQuery {
    /// `GET /query/{serverName}`: by default the keys should be valid now (KEY-13).
    #[must_use]
    pub fn one(server: OwnedServerName, valid_until: Option<WallTime>) -> Self {
        Self {
            asked: [(server, valid_until.unwrap_or_default())].into(),
            refreshed: false,
        }
    }

    /// `POST /query` (KEY-14).
    ///
    /// # Errors
    /// If the body is not as it should be.
    pub fn several(body: &Bytes) -> Result<Self, MatrixError> {
        #[derive(Deserialize)]
        struct Query {
            server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Criteria>>,
        }
        #[derive(Deserialize)]
        struct Criteria {
            #[serde(default)]
            minimum_valid_until_ts: u64,
        }

        let body: Value = serde_json::from_slice(body)
            .map_err(|error| MatrixError::new(ErrorCode::NotJson, error.to_string()))?;
        let query: Query = serde_json::from_value(body)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        let latest = |keys: BTreeMap<String, Criteria>| {
            let times = keys.values().map(|key| key.minimum_valid_until_ts);
            WallTime(times.max().unwrap_or_default())
        };
        let asked = query.server_keys.into_iter().take(SERVERS_MAX);
        Ok(Self {
            asked: asked.map(|(server, keys)| (server, latest(keys))).collect(),
            refreshed: false,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.refreshed {
            return Ok(Outcome::respond(self.answer(facts)?));
        }
        let now = facts.now().wall;
        let known = known(self.asked.keys(), facts)?;
        let stale = self.asked.iter().filter(|(server, wanted_until)| {
            let known = known.get(&***server);
            let is_fresh = known.is_some_and(|known| !known.is_stale(**wanted_until, now));
            *server != facts.our_name() && !is_fresh && !facts.key_asked_recently(server)
        });
        let refresh = stale.map(|(server, _)| {
            Job::from(RefreshKeys {
                server: server.clone(),
            })
        });
        let then = Self {
            refreshed: true,
            ..self.clone()
        };
        Ok(Outcome::default().then(refresh.collect(), then))
    }

    /// What is known, signed by us too; also if it is not valid for as long as is wished (KEY-15).
    fn answer(&self, facts: &Facts<'_>) -> Result<Response<Bytes>, Blocked> {
        let known = known(self.asked.keys(), facts)?;
        let object = |server: &OwnedServerName| {
            if server == facts.our_name() {
                return Some(facts.own().published_object(facts.now().wall));
            }
            let mut object = known.get(&**server)?.object().clone();
            facts.own().sign(&mut object);
            Some(object)
        };
        let objects: Vec<_> = self.asked.keys().filter_map(object).collect();
        let answer = json!({ "server_keys": objects });
        Ok(json_response(StatusCode::OK, &answer))
    }
}

/// The objects in which servers published their keys last, from memory or from the store.
fn known<'s>(
    servers: impl Iterator<Item = &'s OwnedServerName>,
    facts: &Facts<'_>,
) -> Result<BTreeMap<&'s ServerName, PublishedKeys>, Blocked> {
    let (mut known, mut blocked) = (BTreeMap::new(), false);
    for server in servers.filter(|server| *server != facts.our_name()) {
        if let Some(published) = facts.published_keys_of(server) {
            known.insert(&**server, published.clone());
            continue;
        }
        match facts.read(Read::PublishedKeys(server.clone())) {
            Ok(Answer::PublishedKeys(Some(kept))) => drop(known.insert(server, kept.into())),
            Ok(_) => {}
            Err(Blocked) => blocked = true,
        }
    }
    if blocked { Err(Blocked) } else { Ok(known) }
}
