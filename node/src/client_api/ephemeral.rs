//! What users say of the moment: that they type, how far they have read, whether they are there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use comity_core::{
    messaging::command::{Command, EduAudience},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use super::{
    Handled,
    account_data::FULLY_READ,
    errors::{self, bad_json, forbidden, invalid, not_found},
    event_format::object,
    request::{Request, parse_id},
    session::Session,
};
use crate::accounts::Receipt;

/// The longest that a user may be said to type without saying it again.
const TYPING_MAX: Duration = Duration::from_secs(60);

/// For how long a user is there after they have asked for news.
const AWAY_AFTER: Duration = Duration::from_secs(30);

pub(super) fn typing(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    must_be_own(session, request.id(1)?)?;
    session.must_be_joined(&room_id)?;
    let body = request.object()?;
    let typing = body.get("typing").and_then(Value::as_bool);
    let typing = typing.ok_or_else(|| bad_json("typing is missing"))?;
    let timeout = body.get("timeout").and_then(Value::as_u64);
    let timeout = timeout.map_or(TYPING_MAX, |timeout| {
        Duration::from_millis(timeout).min(TYPING_MAX)
    });
    let until = typing.then(|| Instant::now() + timeout);
    session
        .api
        .moments
        .set_typing(&room_id, &session.user_id, until);
    let content = json!({ "room_id": room_id, "user_id": session.user_id, "typing": typing });
    session.say(EduAudience::Room(room_id), "m.typing", content)
}

pub(super) fn receipt(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let thread_id = match request.object()?.remove("thread_id") {
        Some(Value::String(thread_id)) if !thread_id.is_empty() => Some(thread_id),
        Some(_) => return Err(invalid("thread_id is no thread")),
        None => None,
    };
    session.must_be_joined(&room_id)?;
    session.set_receipt(&room_id, request.parameter(1), request.id(2)?, thread_id)?;
    Ok(json!({}))
}

/// Several receipts at once, and how far the user has fully read.
pub(super) fn read_markers(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    session.must_be_joined(&room_id)?;
    let body = request.object()?;
    for receipt_type in [FULLY_READ, "m.read", "m.read.private"] {
        if let Some(Value::String(event_id)) = body.get(receipt_type) {
            session.set_receipt(&room_id, receipt_type, parse_id(event_id)?, None)?;
        }
    }
    Ok(json!({}))
}

pub(super) fn set_presence(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request.id(0)?)?;
    let body = request.object()?;
    let mut said = object(json!({
        "user_id": session.user_id,
        "presence": body.get("presence"),
        "last_active_ago": 0,
        "currently_active": body.get("presence").is_some_and(|presence| presence == "online"),
    }));
    if let Some(status_msg) = body.get("status_msg").filter(|value| value.is_string()) {
        said.insert("status_msg".to_owned(), status_msg.clone());
    }
    let said = Value::Object(said);
    if !session.api.moments.set_presence(&session.user_id, &said) {
        return Err(bad_json("presence is none"));
    }
    let everybody = EduAudience::Peers(session.user_id.clone());
    session.say(everybody, "m.presence", json!({ "push": [said] }))
}

pub(super) fn presence(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let user_id: OwnedUserId = request.id(0)?;
    let may_see =
        user_id == session.user_id || session.shares_a_room(&user_id, &session.memberships()?)?;
    if !may_see {
        return Err(forbidden("you share no room with this user"));
    }
    let presence = session.api.moments.presence(&user_id);
    presence.ok_or_else(|| not_found("nothing is known of this user's presence"))
}

fn must_be_own(session: &Session<'_>, user_id: OwnedUserId) -> Result<(), MatrixError> {
    match user_id == session.user_id {
        true => Ok(()),
        false => Err(forbidden("you may speak for yourself only")),
    }
}

impl Session<'_> {
    /// Whoever asks for news is there, unless they say otherwise; for a while after that time too.
    pub(super) fn attend(&self, request: &Request<'_>, until: Instant) -> Result<(), MatrixError> {
        let presence = match request.query("set_presence").unwrap_or("online") {
            "offline" => return Ok(()),
            presence @ ("online" | "unavailable") => presence,
            _ => return Err(invalid("set_presence is none")),
        };
        let until = until + AWAY_AFTER;
        let Some(said) = self.api.moments.attend(&self.user_id, presence, until) else {
            return Ok(());
        };
        let everybody = EduAudience::Peers(self.user_id.clone());
        let told = self.say(everybody, "m.presence", json!({ "push": [said] }));
        if let Err(error) = told {
            tracing::debug!(%error, "a user's presence is not told");
        }
        Ok(())
    }

    /// Private receipts stay here (EDU-3).
    fn set_receipt(
        &self,
        room_id: &OwnedRoomId,
        receipt_type: &str,
        event_id: OwnedEventId,
        thread_id: Option<String>,
    ) -> Result<(), MatrixError> {
        if !["m.read", "m.read.private", FULLY_READ].contains(&receipt_type) {
            return Err(invalid("there are no such receipts"));
        }
        if receipt_type == FULLY_READ {
            let content = json!({ "event_id": event_id });
            return self.set_account_data(Some(room_id), FULLY_READ, &content);
        }
        let ts = now_in_milliseconds();
        let receipt = Receipt {
            room_id: room_id.to_string(),
            user_id: self.user_id.to_string(),
            receipt_type: receipt_type.to_owned(),
            thread_id: thread_id.clone(),
            event_id: event_id.to_string(),
            ts,
        };
        let set = self.api.accounts.set_receipt(&receipt);
        set.map_err(errors::from_accounts)?;
        if receipt_type != "m.read" {
            self.api.news.publish();
            return Ok(());
        }
        let mut data = object(json!({ "ts": ts }));
        if let Some(thread_id) = thread_id {
            data.insert("thread_id".to_owned(), thread_id.into());
        }
        let read = json!({ "event_ids": [event_id], "data": data });
        let content = json!({
            room_id.as_str(): { "m.read": { self.user_id.as_str(): read } },
        });
        let to = EduAudience::Room(room_id.clone());
        self.say(to, "m.receipt", content).map(drop)
    }

    /// Tells other servers, and whoever waits for news here.
    fn say(&self, to: EduAudience, edu_type: &str, content: Value) -> Handled {
        self.api.news.publish();
        self.command(Command::SendEdu {
            to,
            edu_type: edu_type.to_owned(),
            content: object(content),
        })?;
        Ok(json!({}))
    }
}

fn now_in_milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
