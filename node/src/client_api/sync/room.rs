//! One room that the user is or was in.

use std::sync::Arc;

use comity_core::{
    messaging::command::Events,
    pdu::event_type::{CREATE, MEMBER},
    persistence::{
        queries::Direction,
        tables::{LocalMembership, StoredEvent},
    },
    transport::matrix_error::MatrixError,
};
use ruma_common::RoomId;
use serde_json::{Value, json};

use super::{
    super::{
        access::{Access, Presence},
        event_format::bare_event,
        room_reads::{Stretch, state_map},
        session::Session,
        token::Token,
    },
    Options, Window,
    state_delta::{EndState, Known},
};

/// A part of a room's timeline, oldest event first.
pub(super) struct Timeline {
    pub(super) events: Events,
    /// There are events before it, behind the client's last token.
    pub(super) limited: bool,
    prev_batch: Token,
}

impl Timeline {
    /// Whether nothing happened.
    fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.limited
    }
}

/// What is new in a room.
struct RoomNews {
    timeline: Timeline,
    ephemeral: Vec<Value>,
    account_data: Vec<Value>,
}

/// What to tell about a room.
struct Extent<'a> {
    room_id: &'a RoomId,
    access: Access,
    /// Events up to here are known to the client.
    after: Option<Token>,
    /// The last place that may be told.
    until: Token,
    /// Whether the client knows the room's state at `after`, and does not want it again.
    knows_state: bool,
}

impl Session<'_> {
    /// A room that the user is in; `None` if there is nothing new.
    pub(super) fn joined_room(
        &self,
        window: &Window,
        options: &Options,
        membership: &LocalMembership,
    ) -> Result<Option<Value>, MatrixError> {
        let presence = self.presence(window, membership)?;
        let extent = Extent {
            room_id: &membership.room_id,
            access: Access::Joined(membership.position),
            after: window.since.filter(|_| presence.then),
            until: window.until,
            knows_state: presence.always && !options.full_state,
        };
        let timeline = self.room_timeline(&extent, options)?;
        let ephemeral = self.ephemeral(&membership.room_id, window)?;
        let account_data = window.account_data(Some(&membership.room_id));
        let is_quiet = timeline.is_empty() && ephemeral.is_empty() && account_data.is_empty();
        if extent.knows_state && is_quiet {
            return Ok(None);
        }
        let Some(room) = self.room(&membership.room_id)? else {
            return Ok(None);
        };
        let end = EndState {
            id: room.record.current,
            state: Arc::new(state_map(room.state)),
        };
        let news = RoomNews {
            timeline,
            ephemeral,
            account_data,
        };
        self.room_entry(&extent, options, news, &end).map(Some)
    }

    /// A room that the user left or was removed from, or an invite that is no more.
    pub(super) fn left_room(
        &self,
        window: &Window,
        options: &Options,
        membership: &LocalMembership,
    ) -> Result<Option<Value>, MatrixError> {
        let departure = self.departure(membership)?;
        let presence = self.presence(window, membership)?;
        let is_told = |position| window.since.is_some_and(|since| position <= since.0);
        let Some(departure) = departure.filter(|departure| !is_told(departure.position)) else {
            return Ok(Some(outside_room(membership)));
        };
        let end = EndState {
            id: departure.state,
            state: self.snapshot(departure.state)?,
        };
        let extent = Extent {
            room_id: &membership.room_id,
            after: window.since.filter(|_| presence.then),
            until: Token(departure.position),
            knows_state: presence.then && !options.full_state,
            access: Access::Left(departure),
        };
        let timeline = self.room_timeline(&extent, options)?;
        let news = RoomNews {
            timeline,
            ephemeral: Vec::new(),
            account_data: window.account_data(Some(&membership.room_id)),
        };
        self.room_entry(&extent, options, news, &end).map(Some)
    }

    fn presence(
        &self,
        window: &Window,
        membership: &LocalMembership,
    ) -> Result<Presence, MatrixError> {
        match window.since {
            Some(since) => self.presence_since(membership, since),
            None => Ok(Presence {
                then: false,
                always: false,
            }),
        }
    }

    fn room_entry(
        &self,
        extent: &Extent<'_>,
        options: &Options,
        news: RoomNews,
        end: &EndState,
    ) -> Result<Value, MatrixError> {
        let RoomNews {
            timeline,
            ephemeral,
            account_data,
        } = news;
        let known = match extent.after.filter(|_| extent.knows_state) {
            Some(after) => self.known_state(extent.room_id, after)?,
            None => Known::Nothing,
        };
        let delta = match options.use_state_after {
            true => self.state_after(&known, end, extent.until)?,
            false => self.state_before(&known, end, extent.until, &timeline)?,
        };
        let is_new = matches!(known, Known::Nothing);
        let members_changed = |events: &Events| events.iter().any(|event| is_member(event));
        let summary = match is_new || members_changed(&delta) || members_changed(&timeline.events) {
            true => self.summary(end)?,
            false => json!({}),
        };
        let state_key = if options.use_state_after {
            "state_after"
        } else {
            "state"
        };
        Ok(json!({
            "timeline": self.timeline_json(extent, timeline)?,
            state_key: { "events": self.state_events(&delta)? },
            "summary": summary,
            "ephemeral": { "events": ephemeral },
            "account_data": { "events": account_data },
            "unread_notifications": { "notification_count": 0, "highlight_count": 0 },
        }))
    }

    fn room_timeline(
        &self,
        extent: &Extent<'_>,
        options: &Options,
    ) -> Result<Timeline, MatrixError> {
        let mut events = self.timeline(&Stretch {
            room_id: extent.room_id,
            from: Some(extent.until),
            to: extent.after,
            direction: Direction::Backward,
            limit: options.timeline_limit.saturating_add(1),
        })?;
        let limit = options.timeline_limit as usize;
        let is_cut = events.len() > limit;
        events.truncate(limit);
        events.reverse();
        let starts_the_room = events
            .first()
            .is_some_and(|event| event.pdu.event_type() == CREATE);
        let first = events.first().and_then(|event| event.position);
        Ok(Timeline {
            limited: is_cut || (extent.after.is_none() && !starts_the_room),
            prev_batch: first.map_or(extent.until, Token::before),
            events,
        })
    }

    fn timeline_json(&self, extent: &Extent<'_>, timeline: Timeline) -> Result<Value, MatrixError> {
        let visible = self.visible(extent.room_id, &extent.access, timeline.events)?;
        Ok(json!({
            "events": self.client_events(&visible)?,
            "limited": timeline.limited,
            "prev_batch": timeline.prev_batch.to_string(),
        }))
    }
}

/// A room of which the user sees nothing but that they are no longer invited or allowed in.
fn outside_room(membership: &LocalMembership) -> Value {
    let event = bare_event(&membership.event);
    json!({
        "timeline": { "events": [event], "limited": false },
        "state": { "events": [] },
        "account_data": { "events": [] },
    })
}

fn is_member(event: &StoredEvent) -> bool {
    event.pdu.event_type() == MEMBER
}
