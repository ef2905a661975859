//! A room's summary: how many are in it, and whom it can be named after.

use comity_core::{
    pdu::event_type::MEMBER, persistence::tables::StoredEvent, transport::matrix_error::MatrixError,
};
use ruma_common::EventId;
use serde_json::{Value, json};

use super::{
    super::{room_reads::membership_of, session::Session},
    state_delta::EndState,
};

/// The users that a room is named after, at most.
const HEROES_MAX: usize = 5;

impl Session<'_> {
    pub(super) fn summary(&self, end: &EndState) -> Result<Value, MatrixError> {
        let members = end
            .state
            .iter()
            .filter(|((event_type, _), _)| *event_type == MEMBER);
        let members = self.events(
            members
                .map(|(_, event_id)| EventId::to_owned(event_id))
                .collect(),
        )?;
        let count = |membership| {
            members
                .iter()
                .filter(|event| membership_of(Some(event)) == membership)
                .count()
        };
        Ok(json!({
            "m.heroes": self.heroes(members.iter().map(AsRef::as_ref)),
            "m.joined_member_count": count("join"),
            "m.invited_member_count": count("invite"),
        }))
    }

    /// Those who are there or invited, or if that is nobody but the user, those who were.
    fn heroes<'e>(&self, members: impl Iterator<Item = &'e StoredEvent>) -> Vec<&'e str> {
        let others = members.filter(|event| event.pdu.state_key() != Some(self.user_id.as_str()));
        let mut others: Vec<_> = others.collect();
        others.sort_by_key(|event| (event.pdu.origin_server_ts(), event.pdu.event_id()));
        let is_here =
            |event: &&StoredEvent| ["join", "invite"].contains(&membership_of(Some(event)));
        let (here, gone): (Vec<_>, Vec<_>) = others.into_iter().partition(is_here);
        let heroes = if here.is_empty() { gone } else { here };
        heroes
            .iter()
            .filter_map(|event| event.pdu.state_key())
            .take(HEROES_MAX)
            .collect()
    }
}
