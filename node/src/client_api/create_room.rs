//! `createRoom`.

use comity_core::{
    messaging::command::{Command, Content, CreateRoom, InitialState, Preset, Reply},
    pdu::RoomVersion,
    transport::matrix_error::{ErrorCode, MatrixError},
};
use ruma_common::{OwnedRoomAliasId, OwnedUserId, RoomAliasId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Handled,
    directory::AliasReservation,
    errors::{self, invalid},
    request::{Request, parse_id},
    session::Session,
};

/// As many users as may be invited at once.
const INVITES_MAX: usize = 100;

/// The power of a creator, and of those who are trusted like one.
const CREATOR_POWER: i64 = 100;

#[derive(Deserialize)]
#[serde(default)]
struct Body {
    preset: Option<String>,
    visibility: String,
    name: Option<String>,
    topic: Option<String>,
    room_alias_name: Option<String>,
    invite: Vec<String>,
    room_version: Option<String>,
    creation_content: Content,
    initial_state: Vec<BodyState>,
    power_level_content_override: Content,
    is_direct: bool,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            preset: None,
            visibility: "private".to_owned(),
            name: None,
            topic: None,
            room_alias_name: None,
            invite: Vec::new(),
            room_version: None,
            creation_content: Content::new(),
            initial_state: Vec::new(),
            power_level_content_override: Content::new(),
            is_direct: false,
        }
    }
}

#[derive(Deserialize)]
struct BodyState {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Content,
}

pub(super) fn create_room(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let body: Body = request.body()?;
    let invited = invited_users(&body.invite)?;
    let reservation = match &body.room_alias_name {
        Some(name) => Some(AliasReservation::new(session, room_alias(session, name)?)?),
        None => None,
    };
    let (is_direct, is_public) = (body.is_direct, body.visibility == "public");
    let alias = reservation
        .as_ref()
        .map(|reservation| reservation.alias().to_owned());
    let command = session.create_command(body, alias, &invited)?;
    let Reply::Room(room_id) = session.command(Command::CreateRoom(Box::new(command)))? else {
        return Err(errors::unexpected_reply());
    };
    if let Some(reservation) = reservation {
        reservation.fulfil(&room_id)?;
    }
    if is_public {
        let published = session.api.accounts.publish(&room_id, true);
        published.map_err(errors::from_accounts)?;
    }
    session.invite_all(&room_id, invited, is_direct);
    Ok(json!({ "room_id": room_id }))
}

impl Session<'_> {
    fn create_command(
        &self,
        body: Body,
        alias: Option<OwnedRoomAliasId>,
        invited: &[OwnedUserId],
    ) -> Result<CreateRoom, MatrixError> {
        let version = body.room_version.as_deref().map(room_version).transpose()?;
        let preset = preset(body.preset.as_deref(), &body.visibility)?;
        let mut command = CreateRoom {
            creator: self.user_id.clone(),
            version,
            preset,
            creation_content: body.creation_content,
            power_levels: body.power_level_content_override,
            creator_content: self.profile_content()?,
            alias,
            initial_state: body.initial_state.into_iter().map(initial_state).collect(),
            name: body.name,
            topic: body.topic,
        };
        if preset == Preset::TrustedPrivate {
            trust(&mut command, invited);
        }
        Ok(command)
    }

    /// The room is there; an invite that fails is no reason to deny that.
    fn invite_all(&self, room_id: &RoomId, invited: Vec<OwnedUserId>, is_direct: bool) {
        for target in invited {
            let mut content = Content::new();
            if is_direct {
                content.insert("is_direct".to_owned(), true.into());
            }
            if let Err(error) = self.invite(room_id, target.clone(), content) {
                tracing::warn!(%error, %target, %room_id, "an invite to a new room failed");
            }
        }
    }
}

fn invited_users(invited: &[String]) -> Result<Vec<OwnedUserId>, MatrixError> {
    if invited.len() > INVITES_MAX {
        return Err(invalid(format!(
            "at most {INVITES_MAX} users can be invited at once"
        )));
    }
    invited.iter().map(|user_id| parse_id(user_id)).collect()
}

fn room_alias(session: &Session<'_>, name: &str) -> Result<OwnedRoomAliasId, MatrixError> {
    let alias = format!("#{name}:{}", session.api.server_name);
    RoomAliasId::parse(alias).map_err(|_| invalid(format!("{name:?} cannot be part of an alias")))
}

fn room_version(id: &str) -> Result<RoomVersion, MatrixError> {
    let unsupported = || {
        let text = format!("room version {id:?} is not supported");
        MatrixError::new(ErrorCode::UnsupportedRoomVersion, text)
    };
    RoomVersion::parse(id).ok_or_else(unsupported)
}

fn preset(preset: Option<&str>, visibility: &str) -> Result<Preset, MatrixError> {
    match (preset, visibility) {
        (Some("private_chat"), _) | (None, "private") => Ok(Preset::Private),
        (Some("public_chat"), _) | (None, "public") => Ok(Preset::Public),
        (Some("trusted_private_chat"), _) => Ok(Preset::TrustedPrivate),
        (preset, _) => Err(invalid(format!(
            "no such {}",
            preset.map_or("visibility", |_| "preset")
        ))),
    }
}

fn initial_state(state: BodyState) -> InitialState {
    let BodyState {
        event_type,
        state_key,
        content,
    } = state;
    InitialState {
        event_type,
        state_key,
        content,
    }
}

/// Gives the invited users the creator's power: as creators where the room version has such
/// creators, by the power levels otherwise.
fn trust(command: &mut CreateRoom, invited: &[OwnedUserId]) {
    let version = command.version.unwrap_or(RoomVersion::DEFAULT);
    if version.rules().creators_above_levels {
        let creators = command.creation_content.entry("additional_creators");
        if let Value::Array(creators) = creators.or_insert_with(|| json!([])) {
            let known: Vec<Value> = creators.clone();
            let new = invited.iter().map(|user_id| Value::from(user_id.as_str()));
            creators.extend(new.filter(|user_id| !known.contains(user_id)));
        }
    } else {
        let creator = &command.creator;
        let users = command.power_levels.entry("users");
        if let Value::Object(users) = users.or_insert_with(|| json!({ creator: CREATOR_POWER })) {
            for user_id in invited {
                users
                    .entry(user_id.as_str())
                    .or_insert(CREATOR_POWER.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(version: RoomVersion) -> CreateRoom {
        let mut command = CreateRoom {
            creator: "@alice:a".try_into().unwrap(),
            version: Some(version),
            preset: Preset::TrustedPrivate,
            creation_content: Content::new(),
            power_levels: Content::new(),
            creator_content: Content::new(),
            alias: None,
            initial_state: Vec::new(),
            name: None,
            topic: None,
        };
        trust(&mut command, &["@bob:b".try_into().unwrap()]);
        command
    }

    #[test]
    fn a_trusted_guest_has_the_creators_power_in_the_way_of_the_room_version() {
        let levels = trusted(RoomVersion::V11).power_levels;
        assert_eq!(levels["users"], json!({ "@alice:a": 100, "@bob:b": 100 }));
        let room = trusted(RoomVersion::V12);
        assert_eq!(
            room.creation_content["additional_creators"],
            json!(["@bob:b"])
        );
        assert_eq!(room.power_levels, Content::new());
    }

    #[test]
    fn the_preset_follows_from_the_visibility_unless_it_is_given() {
        assert_eq!(preset(None, "private").unwrap(), Preset::Private);
        assert_eq!(preset(None, "public").unwrap(), Preset::Public);
        assert_eq!(
            preset(Some("private_chat"), "public").unwrap(),
            Preset::Private
        );
        assert!(preset(None, "hidden").is_err());
    }
}
