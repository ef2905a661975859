//! `sync`: what is new for a user, room by room.
//!
//! **Contract.** Each event that the user may see comes in exactly one answer of a chain of `since`
//! tokens, in the order of positions; where a timeline was cut, `limited` says so and `prev_batch`
//! is where `messages` goes on backwards. The state that a client computes from `state` and
//! `timeline` is the room's.
//!
//! An answer speaks of a [`Window`]: the positions behind `since` up to a newest one that was read
//! first. Whatever is stored later has a higher position and belongs to the next answer.

mod devices;
mod moments;
mod outsider;
mod room;
mod state_delta;
mod summary;

use std::time::{Duration, Instant};

use comity_core::{
    persistence::tables::{LocalMembership, Position},
    transport::matrix_error::MatrixError,
};
use ruma_common::RoomId;
use serde_json::{Map, Value, json};

pub(crate) use super::token::SyncToken;
use super::{
    Handled, errors,
    filters::Filter,
    request::Request,
    session::Session,
    token::{Marks, Token},
};
use crate::accounts::AccountDatum;

/// The longest that a request may wait for news.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Events in one room's timeline, unless the filter says otherwise …
const TIMELINE_LIMIT_DEFAULT: u32 = 50;
/// … and whatever it says.
const TIMELINE_LIMIT_MAX: u32 = 500;

/// What an answer speaks of.
struct Window {
    /// Where the last answer ended.
    since: Option<Token>,
    /// Where this one ends.
    until: Token,
    /// What the client knows of all that is no event …
    known: Marks,
    /// … and what there is.
    marks: Marks,
    /// What is new of the user's account data.
    account_data: Vec<AccountDatum>,
}

/// How the client wants it.
struct Options {
    timeline_limit: u32,
    include_leave: bool,
    full_state: bool,
    /// Give `state_after` instead of `state`.
    use_state_after: bool,
}

pub(super) fn sync(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let since = SyncToken::parse(request.query("since"))?;
    let options = Options::read(request, session.filter(request)?);
    let timeout = Duration::from_millis(request.query_number("timeout")?.unwrap_or_default());
    let deadline = Instant::now() + timeout.min(TIMEOUT_MAX);
    session.attend(request, deadline)?;
    let may_wait = since.is_some() && !options.full_state;
    loop {
        let seen = session.api.news.count();
        let answer = session.answer_sync(since.as_ref(), &options)?;
        let is_due = !may_wait || !answer.is_empty() || Instant::now() >= deadline;
        if is_due || !session.api.news.wait_beyond(seen, deadline) {
            return Ok(answer.into_json());
        }
    }
}

impl Options {
    fn read(request: &Request<'_>, filter: Filter) -> Self {
        let limit = filter.timeline_limit.unwrap_or(TIMELINE_LIMIT_DEFAULT);
        let state_after = ["use_state_after", "org.matrix.msc4222.use_state_after"];
        Self {
            timeline_limit: limit.min(TIMELINE_LIMIT_MAX),
            include_leave: filter.include_leave,
            full_state: request.query_flag("full_state"),
            use_state_after: state_after.iter().any(|name| request.query_flag(name)),
        }
    }
}

/// The rooms of an answer, by how the user stands to them, and what is of no room.
struct Answer {
    next_batch: SyncToken,
    join: Map<String, Value>,
    invite: Map<String, Value>,
    knock: Map<String, Value>,
    leave: Map<String, Value>,
    presence: Vec<Value>,
    account_data: Vec<Value>,
    devices: devices::News,
}

impl Answer {
    fn new(next_batch: SyncToken) -> Self {
        let [join, invite, knock, leave] = Default::default();
        Self {
            next_batch,
            join,
            invite,
            knock,
            leave,
            presence: Vec::new(),
            account_data: Vec::new(),
            devices: devices::News::default(),
        }
    }

    fn is_empty(&self) -> bool {
        [&self.join, &self.invite, &self.knock, &self.leave]
            .iter()
            .all(|rooms| rooms.is_empty())
            && self.presence.is_empty()
            && self.account_data.is_empty()
            && self.devices.is_empty()
    }

    fn into_json(self) -> Value {
        let Self {
            next_batch,
            join,
            invite,
            knock,
            leave,
            presence,
            account_data,
            devices,
        } = self;
        json!({
            "next_batch": next_batch.to_string(),
            "rooms": { "join": join, "invite": invite, "knock": knock, "leave": leave },
            "presence": { "events": presence },
            "account_data": { "events": account_data },
            "to_device": { "events": devices.messages },
            "device_lists": { "changed": devices.changed, "left": devices.left },
            "device_one_time_keys_count": devices.one_time_keys,
            "device_unused_fallback_key_types": devices.fallback_keys,
        })
    }
}

impl Window {
    /// What is new of the account data for a room, or for all.
    fn account_data(&self, room_id: Option<&RoomId>) -> Vec<Value> {
        let room_id = room_id.map(RoomId::as_str);
        let data = self.account_data.iter();
        data.filter(|datum| datum.room_id.as_deref() == room_id)
            .map(|datum| datum.event.clone())
            .collect()
    }
}

impl Session<'_> {
    fn account_data_news(
        &self,
        known: Marks,
        marks: Marks,
    ) -> Result<Vec<AccountDatum>, MatrixError> {
        let (localpart, after) = (&self.caller.localpart, known.account_data);
        let accounts = &self.api.accounts;
        let news = accounts.account_data_changes(localpart, after, marks.account_data);
        news.map_err(errors::from_accounts)
    }

    fn answer_sync(
        &self,
        since: Option<&SyncToken>,
        options: &Options,
    ) -> Result<Answer, MatrixError> {
        let marks = self.marks()?;
        let known = since.map(|since| since.marks).unwrap_or_default();
        let since = since.map(|since| since.token);
        let newest = self.newest_position()?;
        let memberships = self.memberships()?;
        let until = end_of_window(newest, &memberships);
        let account_data = self.account_data_news(known, marks)?;
        let window = Window {
            account_data,
            since,
            until: Token(until).max(since.unwrap_or(Token(until))),
            known,
            marks,
        };
        let mut answer = Answer::new(SyncToken {
            token: window.until,
            marks,
        });
        answer.account_data = window.account_data(None);
        for membership in &memberships {
            self.add_room(&mut answer, &window, options, membership)?;
        }
        answer.presence = self.presence_news(&window, &memberships)?;
        self.add_device_news(&mut answer, &window, &memberships)?;
        Ok(answer)
    }

    fn add_room(
        &self,
        answer: &mut Answer,
        window: &Window,
        options: &Options,
        membership: &LocalMembership,
    ) -> Result<(), MatrixError> {
        let is_new = window
            .since
            .is_none_or(|since| membership.position > since.0);
        let (rooms, room) = match membership.membership.as_str() {
            "join" => (
                &mut answer.join,
                self.joined_room(window, options, membership)?,
            ),
            "invite" if is_new => (&mut answer.invite, Some(self.invited_room(membership)?)),
            "knock" if is_new => (&mut answer.knock, Some(self.knocked_room(membership)?)),
            "leave" | "ban" if is_new && (window.since.is_some() || options.include_leave) => (
                &mut answer.leave,
                self.left_room(window, options, membership)?,
            ),
            _ => return Ok(()),
        };
        if let Some(room) = room {
            rooms.insert(membership.room_id.to_string(), room);
        }
        Ok(())
    }
}

/// The memberships were read after the newest position, so they may be newer: then so is the
/// window, for what they speak of is on disk as well.
fn end_of_window(newest: Position, memberships: &[LocalMembership]) -> Position {
    memberships
        .iter()
        .map(|membership| membership.position)
        .fold(newest, Position::max)
}
