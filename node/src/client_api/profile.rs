//! User profiles.

use comity_core::{
    messaging::command::{Command, Content, Reply, SendEvent},
    pdu::event_type::MEMBER,
    persistence::tables::LocalMembership,
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedUserId, UserId};
use serde_json::{Value, json};

use super::{
    Api, Handled,
    errors::{self, bad_json, forbidden, invalid, not_found},
    request::Request,
    session::Session,
};
use crate::accounts::PROFILE_FIELDS;

pub(super) fn profile(api: &Api, request: &Request<'_>) -> Handled {
    let user_id: OwnedUserId = request.id(0)?;
    Ok(Value::Object(api.profile_of(&user_id)?))
}

pub(super) fn field(api: &Api, request: &Request<'_>) -> Handled {
    let user_id: OwnedUserId = request.id(0)?;
    let mut profile = api.profile_of(&user_id)?;
    let field = request.parameter(1);
    let value = profile
        .remove(field)
        .ok_or_else(|| not_found("the profile has no such field"))?;
    Ok(json!({ field: value }))
}

pub(super) fn set_field(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let field = request.parameter(1);
    match request.object()?.get(field) {
        Some(Value::String(value)) => session.change_profile(request, Some(value)),
        Some(Value::Null) => session.change_profile(request, None),
        _ => Err(bad_json(format!("{field} is missing or no string"))),
    }
}

pub(super) fn clear_field(session: &Session<'_>, request: &Request<'_>) -> Handled {
    session.change_profile(request, None)
}

impl Api {
    fn profile_of(&self, user_id: &UserId) -> Result<Content, MatrixError> {
        if user_id.server_name() == self.server_name {
            return self.profile_content_of(user_id.localpart());
        }
        match self.command(Command::Profile(user_id.to_owned()))? {
            Reply::Profile(profile) => Ok(profile),
            _ => Err(errors::unexpected_reply()),
        }
    }

    /// The profile of one of our users. Member events hold it too.
    pub(super) fn profile_content_of(&self, localpart: &str) -> Result<Content, MatrixError> {
        let profile = self
            .accounts
            .profile(localpart)
            .map_err(errors::from_accounts)?;
        let profile = profile.ok_or_else(|| not_found("there is no such user"))?;
        Ok(profile
            .fields()
            .map(|(name, value)| (name, value.into()))
            .collect())
    }
}

impl Session<'_> {
    /// The user's profile, as their member events hold it.
    pub(super) fn profile_content(&self) -> Result<Content, MatrixError> {
        self.api.profile_content_of(&self.caller.localpart)
    }

    fn change_profile(&self, request: &Request<'_>, value: Option<&str>) -> Handled {
        let user_id: OwnedUserId = request.id(0)?;
        let field = request.parameter(1);
        if user_id != self.user_id {
            return Err(forbidden("this profile is somebody else's"));
        }
        if !PROFILE_FIELDS.contains(&field) {
            return Err(invalid("profiles have no such field here"));
        }
        let accounts = &self.api.accounts;
        let set = accounts.set_profile_field(&self.caller.localpart, field, value);
        set.map_err(errors::from_accounts)?;
        self.show_profile_in_rooms()?;
        Ok(json!({}))
    }

    /// Tells every room that the user is in. A room that does not allow it keeps the old profile.
    fn show_profile_in_rooms(&self) -> Result<(), MatrixError> {
        let profile = self.profile_content()?;
        for entry in self
            .memberships()?
            .iter()
            .filter(|entry| entry.membership == "join")
        {
            if let Err(error) = self.command(member_event(entry, &profile)) {
                tracing::warn!(%error, room_id = %entry.room_id, "a room kept the old profile");
            }
        }
        Ok(())
    }
}

fn member_event(entry: &LocalMembership, profile: &Content) -> Command {
    let mut content = entry.event.pdu.content();
    content.retain(|key, _| !PROFILE_FIELDS.contains(&key.as_str()) && key != "reason");
    content.extend(profile.clone());
    Command::Send(Box::new(SendEvent {
        sender: entry.user_id.clone(),
        room_id: entry.room_id.clone(),
        event_type: MEMBER.to_owned(),
        state_key: Some(entry.user_id.to_string()),
        content,
        once: None,
    }))
}
