//! What states say of what a server may see.

use comity_core::{
    pdu::StateKey,
    persistence::tables::{Outlook, SnapshotId},
};
use ruma_common::{OwnedEventId, ServerName};
use serde_json::Value;

use super::{state::whole, tables::Tables};

/// What each of these snapshots says of what one server may see.
pub(super) fn outlooks(
    tables: &Tables,
    snapshots: &[SnapshotId],
    server: &ServerName,
) -> Vec<(SnapshotId, Outlook)> {
    let outlook = |id: &SnapshotId| (*id, outlook(tables, *id, server));
    snapshots.iter().map(outlook).collect()
}

fn outlook(tables: &Tables, snapshot: SnapshotId, server: &ServerName) -> Outlook {
    let state = whole(tables, snapshot);
    let text = |event_id: &OwnedEventId, field: &str| {
        let content = tables.event(event_id)?.pdu.content();
        content
            .get(field)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let visibility = state.get(&StateKey::new("m.room.history_visibility", ""));
    let visibility = visibility.and_then(|event_id| text(event_id, "history_visibility"));
    let members = state
        .iter()
        .filter(|(key, _)| &*key.event_type == "m.room.member" && is_of(key, server));
    let memberships: Vec<String> = match visibility.as_deref() {
        Some("joined" | "invited") => members
            .filter_map(|(_, event_id)| text(event_id, "membership"))
            .collect(),
        Some(_) | None => Vec::new(),
    };
    let has = |wanted: &str| memberships.iter().any(|found| found == wanted);
    Outlook {
        history_visibility: visibility,
        joined: has("join"),
        invited: has("invite"),
    }
}

fn is_of(key: &StateKey, server: &ServerName) -> bool {
    let user_id = &*key.state_key;
    let of = user_id.split_once(':').map_or(user_id, |(_, of)| of);
    of == server
}
