//! Our users want to know keys of others.

use std::collections::{BTreeMap, BTreeSet};

use ruma_common::{OwnedServerName, OwnedUserId, ServerName};

use super::{
    DEVICES_MAX, Failures, OneTimeKeys, USERS_MAX, UserKeys, WantedKeys, WantedOneTimeKeys,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::{
        command::{CommandError, Reply},
        homeserver,
        notice::{Question, Told},
    },
    transport::remote_response::RemoteError,
};

/// How many servers are asked for the sake of one question.
const SERVERS_MAX: usize = 200;

/// Our user wants the keys of devices.
#[derive(Clone, Debug)]
pub struct QueryKeys {
    /// Whose.
    pub wanted: WantedKeys,
}

impl QueryKeys {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let devices = self.wanted.values().map(Vec::len).sum();
        if let Err(error) = must_be_few(&self.wanted, devices) {
            return Ok(Outcome::complete(Err(error)));
        }
        let (told, failures) = ask_all(by_server(&self.wanted, Question::Keys), facts)?;
        let mut keys = UserKeys::default();
        for told in told {
            if let Told::Keys(found) = told {
                keys.extend(found);
            }
        }
        Ok(Outcome::complete(Ok(Reply::Keys { keys, failures })))
    }
}

/// Our user wants one-time keys.
#[derive(Clone, Debug)]
pub struct ClaimKeys {
    /// Of which devices.
    pub wanted: WantedOneTimeKeys,
}

impl ClaimKeys {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let devices = self.wanted.values().map(BTreeMap::len).sum();
        if let Err(error) = must_be_few(&self.wanted, devices) {
            return Ok(Outcome::complete(Err(error)));
        }
        let claim = facts.job_number();
        let question = |wanted| Question::OneTimeKeys { wanted, claim };
        let (told, failures) = ask_all(by_server(&self.wanted, question), facts)?;
        let mut keys = OneTimeKeys::default();
        for told in told {
            if let Told::OneTimeKeys(found) = told {
                keys.one_time_keys.extend(found.one_time_keys);
            }
        }
        Ok(Outcome::complete(Ok(Reply::OneTimeKeys { keys, failures })))
    }
}

/// Our user wants to follow the devices of another from here on (DEV-2).
#[derive(Clone, Debug)]
pub struct ListDevices {
    /// Whose.
    pub user_id: OwnedUserId,
}

impl ListDevices {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let server = self.user_id.server_name();
        let told = homeserver::ask(server, &Question::Devices(self.user_id.clone()), facts)?;
        Ok(Outcome::complete(match told {
            Ok(Told::Devices(list)) => Ok(Reply::Devices(Box::new(list))),
            Ok(_) => Err(CommandError::NotFound(format!(
                "{} is not known",
                self.user_id
            ))),
            Err(error) => Err(CommandError::of_server(server, &error)),
        }))
    }
}

/// The part of a question that each server is to answer.
fn by_server<W: Clone>(
    wanted: &BTreeMap<OwnedUserId, W>,
    question: impl Fn(BTreeMap<OwnedUserId, W>) -> Question,
) -> BTreeMap<OwnedServerName, Question> {
    let mut parts: BTreeMap<&ServerName, BTreeMap<OwnedUserId, W>> = BTreeMap::new();
    for (user_id, of_user) in wanted {
        let part = parts.entry(user_id.server_name()).or_default();
        part.insert(user_id.clone(), of_user.clone());
    }
    parts
        .into_iter()
        .map(|(server, part)| (server.to_owned(), question(part)))
        .collect()
}

/// Asks several servers at once; gives what they told, and which could not.
fn ask_all(
    questions: BTreeMap<OwnedServerName, Question>,
    facts: &Facts<'_>,
) -> Result<(Vec<Told>, Failures), Blocked> {
    let asked: Vec<_> = questions
        .into_iter()
        .map(|(server, question)| match facts.is_down(&server) {
            true => Ok((server, Err(does_not_answer()))),
            false => homeserver::ask(&server, &question, facts).map(|told| (server, told)),
        })
        .collect();
    let (mut told, mut failures) = (Vec::new(), Failures::new());
    for asked in asked {
        match asked? {
            (_, Ok(found)) => told.push(found),
            (server, Err(error)) => drop(failures.insert(server, error.to_string())),
        }
    }
    Ok((told, failures))
}

/// A server for which a queue waits is not asked what a user waits for.
fn does_not_answer() -> RemoteError {
    RemoteError::NotAsked("the server did not answer lately".to_owned())
}

fn must_be_few<W>(wanted: &BTreeMap<OwnedUserId, W>, devices: usize) -> Result<(), CommandError> {
    let servers: BTreeSet<&ServerName> = wanted.keys().map(|user| user.server_name()).collect();
    let too_much = || CommandError::Invalid("keys of too many users are asked for".to_owned());
    match wanted.len() > USERS_MAX || devices > DEVICES_MAX || servers.len() > SERVERS_MAX {
        true => Err(too_much()),
        false => Ok(()),
    }
}
