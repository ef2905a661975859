//! Aliases and profiles, of any server, for our users (QUERY-1, QUERY-2).

use ruma_common::{OwnedRoomAliasId, OwnedUserId};

use super::{
    command::{CommandError, Reply},
    homeserver,
    notice::{Question, Told},
};
use crate::engine::{
    facts::{Blocked, Facts},
    outcome::Outcome,
};

/// How many servers of an alias are looked at.
const SERVERS_MAX: usize = 50;

/// Our user wants to know what an alias stands for.
#[derive(Clone, Debug)]
pub struct ResolveAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
}

impl ResolveAlias {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let server = self.alias.server_name();
        let told = homeserver::ask(server, &Question::Directory(self.alias.clone()), facts)?;
        Ok(Outcome::complete(match told {
            Ok(Told::Directory {
                room_id,
                mut servers,
            }) => {
                servers.truncate(SERVERS_MAX);
                Ok(Reply::Directory { room_id, servers })
            }
            Ok(_) => Err(CommandError::NotFound(format!(
                "{} is not known",
                self.alias
            ))),
            Err(error) => Err(CommandError::of_server(server, &error)),
        }))
    }
}

/// Our user wants to see a profile.
#[derive(Clone, Debug)]
pub struct UserProfile {
    /// Whose.
    pub user_id: OwnedUserId,
}

impl UserProfile {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let server = self.user_id.server_name();
        let told = homeserver::ask(server, &Question::Profile(self.user_id.clone()), facts)?;
        Ok(Outcome::complete(match told {
            Ok(Told::Profile(fields)) => Ok(Reply::Profile(fields.into_iter().collect())),
            Ok(_) => Err(CommandError::NotFound(format!(
                "{} is not known",
                self.user_id
            ))),
            Err(error) => Err(CommandError::of_server(server, &error)),
        }))
    }
}
