//! Our own users, and the commands they gave.

use comity_core::persistence::{queries::StoreError, tables::LocalMembership};
use ruma_common::{EventId, UserId};

use super::{events, start, tables::Tables};

/// What is known of one of our users in all rooms, sorted by room id, each event as it is now.
pub(super) fn memberships(tables: &Tables, user_id: &UserId) -> Vec<LocalMembership> {
    let all = tables.memberships.iter();
    let theirs = all.filter(|((of, _), _)| of == user_id);
    theirs
        .filter_map(|(_, membership)| {
            Some(LocalMembership {
                event: tables.event(membership.event.pdu.event_id())?.clone(),
                ..membership.clone()
            })
        })
        .collect()
}

/// Replaces what is known of one of our users in a room, and inserts the event that says so if it
/// is not there.
pub(super) fn replace_membership(
    tables: &mut Tables,
    membership: &LocalMembership,
) -> Result<(), StoreError> {
    events::insert(tables, &membership.event)?;
    let key = (membership.user_id.clone(), membership.room_id.clone());
    tables.memberships.set(key, membership.clone());
    start::use_position(tables, membership.position);
    Ok(())
}

/// Remembers which event a command with this key produced. The first one stays.
pub(super) fn remember_once(tables: &mut Tables, key: &str, event_id: &EventId) {
    tables.hear(event_id);
    let key = key.to_owned();
    if !tables.once.has(&key) {
        tables.once.set(key, event_id.to_owned());
    }
}
