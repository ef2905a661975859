//! Inviting and removing other users. The room's rules decide; here is only what makes the
//! endpoints differ: which membership the target must have before.

use comity_core::{
    messaging::command::{Command, Content, SendEvent},
    pdu::{StateKey, event_type::MEMBER},
    transport::matrix_error::{ErrorCode, MatrixError},
};
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, bad_json, forbidden},
    joining::add_reason,
    request::{Request, parse_id},
    room_reads::membership_of,
    session::Session,
};
use crate::questions;

pub(super) fn invite(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let mut content = Content::new();
    add_reason(request, &mut content)?;
    session.invite(&room_id, target(request)?, content)?;
    Ok(json!({}))
}

pub(super) fn kick(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let removable = ["join", "invite", "knock"];
    session.change_membership(request, "leave", |before| removable.contains(&before))
}

pub(super) fn ban(session: &Session<'_>, request: &Request<'_>) -> Handled {
    session.change_membership(request, "ban", |_| true)
}

pub(super) fn unban(session: &Session<'_>, request: &Request<'_>) -> Handled {
    session.change_membership(request, "leave", |before| before == "ban")
}

fn target(request: &Request<'_>) -> Result<OwnedUserId, MatrixError> {
    match request.object()?.get("user_id") {
        Some(Value::String(user_id)) => parse_id(user_id),
        _ => Err(bad_json("user_id is missing or no string")),
    }
}

impl Session<'_> {
    /// Invites a user; if they are ours, under their name.
    pub(super) fn invite(
        &self,
        room_id: &RoomId,
        target: OwnedUserId,
        mut content: Content,
    ) -> Result<(), MatrixError> {
        if target.server_name() == self.api.server_name {
            self.must_take_invites(target.localpart())?;
            content.extend(self.api.profile_content_of(target.localpart())?);
        }
        let command = Command::Invite {
            sender: self.user_id.clone(),
            target,
            room_id: room_id.to_owned(),
            content,
        };
        self.command(command).map(drop)
    }

    /// A user of ours may want no invites (INVITE-7).
    fn must_take_invites(&self, localpart: &str) -> Result<(), MatrixError> {
        let blocks = questions::blocks_invites(&self.api.accounts, localpart);
        match blocks.map_err(errors::from_accounts)? {
            false => Ok(()),
            true => Err(MatrixError::new(
                ErrorCode::InviteBlocked,
                "this user takes no invites",
            )),
        }
    }

    fn change_membership(
        &self,
        request: &Request<'_>,
        membership: &str,
        is_possible: impl Fn(&str) -> bool,
    ) -> Handled {
        let room_id: OwnedRoomId = request.id(0)?;
        let target = target(request)?;
        self.must_be_joined(&room_id)?;
        let key = StateKey::new(MEMBER, target.as_str());
        let before = self.current_state_event(&room_id, key)?;
        let before = membership_of(before.as_deref());
        if !is_possible(before) {
            return Err(forbidden(&format!(
                "the membership of {target} is {before}"
            )));
        }
        let mut content = Content::new();
        content.insert("membership".to_owned(), membership.into());
        add_reason(request, &mut content)?;
        self.command(Command::Send(Box::new(SendEvent {
            sender: self.user_id.clone(),
            room_id,
            event_type: MEMBER.to_owned(),
            state_key: Some(target.to_string()),
            content,
            once: None,
        })))?;
        Ok(json!({}))
    }
}
