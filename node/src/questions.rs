//! What other servers ask that only the node knows: its aliases and its users' profiles.

use comity_core::messaging::notice::{Question, Told};
use ruma_common::{RoomAliasId, ServerName, UserId};

use crate::accounts::{Accounts, AccountsError};

/// Answers a question from the node's store; a store that fails knows nothing.
pub fn answer(accounts: &Accounts, server_name: &ServerName, question: &Question) -> Told {
    let told = match question {
        Question::Directory(alias) => directory(accounts, server_name, alias),
        Question::Profile(user_id) => profile(accounts, server_name, user_id),
    };
    told.unwrap_or_else(|error| {
        tracing::error!(%error, ?question, "a question from federation went unanswered");
        Told::NotFound
    })
}

fn directory(
    accounts: &Accounts,
    server_name: &ServerName,
    alias: &RoomAliasId,
) -> Result<Told, AccountsError> {
    let servers = vec![server_name.to_owned()];
    Ok(match accounts.alias(alias)? {
        Some(alias) => Told::Directory {
            room_id: alias.room_id,
            servers,
        },
        None => Told::NotFound,
    })
}

fn profile(
    accounts: &Accounts,
    server_name: &ServerName,
    user_id: &UserId,
) -> Result<Told, AccountsError> {
    if user_id.server_name() != server_name {
        return Ok(Told::NotFound);
    }
    Ok(match accounts.profile(user_id.localpart())? {
        Some(profile) => Told::Profile(
            profile
                .fields()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        ),
        None => Told::NotFound,
    })
}
