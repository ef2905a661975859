//! Who is in a room, and in which rooms the user is.

use comity_core::{messaging::command::Events, pdu::event_type::MEMBER};
use ruma_common::OwnedRoomId;
use serde_json::{Map, Value, json};

use super::{Handled, request::Request, room_reads::membership_of, session::Session};

pub(super) fn members(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let (wanted, unwanted) = (request.query("membership"), request.query("not_membership"));
    let mut members = session.member_events(&room_id)?;
    members.retain(|event| {
        let membership = Some(membership_of(Some(event)));
        (wanted.is_none() || wanted == membership) && unwanted != membership
    });
    Ok(json!({ "chunk": session.state_events(&members)? }))
}

pub(super) fn joined_members(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    session.must_be_joined(&room_id)?;
    let members = session.member_events(&room_id)?;
    let joined = members
        .iter()
        .filter(|event| membership_of(Some(event)) == "join");
    let joined: Map<_, _> = joined
        .filter_map(|event| {
            let content = event.pdu.content();
            let field = |name| content.get(name).filter(|value| value.is_string());
            let (name, avatar) = (field("displayname"), field("avatar_url"));
            let profile = json!({ "display_name": name, "avatar_url": avatar });
            Some((event.pdu.state_key()?.to_owned(), profile))
        })
        .collect();
    Ok(json!({ "joined": joined }))
}

pub(super) fn joined_rooms(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    let memberships = session.memberships()?;
    let joined = memberships
        .into_iter()
        .filter(|entry| entry.membership == "join");
    let joined: Vec<Value> = joined.map(|entry| entry.room_id.as_str().into()).collect();
    Ok(json!({ "joined_rooms": joined }))
}

impl Session<'_> {
    fn member_events(
        &self,
        room_id: &OwnedRoomId,
    ) -> Result<Events, comity_core::transport::matrix_error::MatrixError> {
        let mut state = self.state_seen(room_id, &self.access(room_id)?)?;
        state.retain(|event| event.pdu.event_type() == MEMBER);
        Ok(state)
    }
}
