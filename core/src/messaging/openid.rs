//! Who got an OpenID token: by it a user proves to others who they are (OPENID-1).

use ruma_common::OwnedServerName;

use super::{
    command::{CommandError, Reply},
    homeserver,
    notice::{Question, Told},
};
use crate::engine::{
    facts::{Blocked, Facts},
    outcome::Outcome,
};

/// Somebody shows a token of a server's user.
#[derive(Clone, Debug)]
pub struct FindOpenIdUser {
    /// Which server's.
    pub server: OwnedServerName,
    /// The token.
    pub token: String,
}

impl FindOpenIdUser {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let question = Question::OpenIdUser(self.token.clone());
        let told = homeserver::ask(&self.server, &question, facts)?;
        Ok(Outcome::complete(match told {
            Ok(Told::OpenIdUser(user_id)) if user_id.server_name() == self.server => {
                Ok(Reply::OpenIdUser(user_id))
            }
            Ok(_) => Err(CommandError::NotFound(format!(
                "{} knows no user of its own by this token",
                self.server
            ))),
            Err(error) => Err(CommandError::of_server(&self.server, &error)),
        }))
    }
}
