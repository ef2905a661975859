//! Whom to ask for what a room is made of.

use std::cmp::Reverse;

use ruma_common::{OwnedServerName, ServerName};

use crate::engine::{facts::Facts, world::Room};

/// At most so many other servers that are likely to hold a room's events, the likeliest first:
/// those `first`, whoever they are; then those in the room, the ones with most users first, who
/// are likely to have been there long. Of these, servers that do not answer at present come last.
#[must_use]
pub fn sources(
    room: &Room,
    first: &[&ServerName],
    max: usize,
    facts: &Facts<'_>,
) -> Vec<OwnedServerName> {
    let mut members: Vec<_> = room.servers.iter().collect();
    members.sort_by_key(|(_, users)| Reverse(**users));
    let members = members.into_iter().map(|(server, _)| &**server);
    let mut found: Vec<&ServerName> = Vec::new();
    for server in first.iter().copied().chain(members) {
        if server != facts.our_name() && !found.contains(&server) {
            found.push(server);
        }
        if found.len() >= CONSIDERED_MAX {
            break;
        }
    }
    found.sort_by_key(|server| !first.contains(server) && facts.is_down(server));
    found.truncate(max);
    found.into_iter().map(ToOwned::to_owned).collect()
}

/// How many servers are considered of a large room.
const CONSIDERED_MAX: usize = 20;
