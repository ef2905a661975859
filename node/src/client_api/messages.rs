//! `messages`: a room's timeline in pages, backwards and forwards.
//!
//! Going backwards past what we hold, other servers are asked for history. It is stored with
//! positions below all others, so that the next page follows on as if it had always been there.

use comity_core::{
    messaging::command::{Command, Events, Reply},
    pdu::event_type::CREATE,
    persistence::{queries::Direction, tables::StoredEvent},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use super::{
    Handled,
    access::Access,
    errors::{self, invalid},
    request::Request,
    room_reads::Stretch,
    session::Session,
    token::Token,
};

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 500;

/// How often other servers are asked for history to fill one page.
const BACKFILLS_MAX: usize = 5;

/// At most so many events are asked for at a time; more than a page needs, since the next page is
/// likely to follow.
const BACKFILL_LIMIT: u32 = 100;

pub(super) fn messages(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let access = session.access(&room_id)?;
    let direction = direction(request)?;
    let limit = request
        .query_number("limit")?
        .unwrap_or(LIMIT_DEFAULT)
        .clamp(1, LIMIT_MAX);
    let mut stretch = Stretch {
        room_id: &room_id,
        from: Token::parse(request.query("from"))?,
        to: Token::parse(request.query("to"))?,
        direction,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    session.end_at_departure(&access, &mut stretch);
    let start = match (stretch.from, direction) {
        (Some(from), _) => from,
        (None, Direction::Backward) => Token(session.newest_position()?),
        (None, Direction::Forward) => Token(comity_core::persistence::tables::Position(i64::MIN)),
    };
    let page = session.page(&access, &stretch)?;
    let end = page.end(direction);
    let chunk = session.client_events(&session.visible(&room_id, &access, page.events)?)?;
    let mut body = json!({ "chunk": chunk, "start": start.to_string() });
    if let (Some(end), Value::Object(body)) = (end, &mut body) {
        body.insert("end".to_owned(), end.to_string().into());
    }
    Ok(body)
}

pub(super) fn direction(request: &Request<'_>) -> Result<Direction, MatrixError> {
    let direction = request.query("dir").and_then(Direction::from_letter);
    direction.ok_or_else(|| invalid("dir must be b or f"))
}

/// Some events of a timeline.
struct Page {
    events: Events,
    /// Nothing follows, neither here nor, as far as we know, elsewhere.
    is_last: bool,
}

impl Page {
    /// From where the next page goes on, if there may be one.
    fn end(&self, direction: Direction) -> Option<Token> {
        let last = self.events.last()?.position?;
        match direction {
            _ if self.is_last => None,
            Direction::Backward => Some(Token::before(last)),
            Direction::Forward => Some(Token(last)),
        }
    }
}

impl Session<'_> {
    /// A user who has left sees nothing behind their departure.
    fn end_at_departure(&self, access: &Access, stretch: &mut Stretch<'_>) {
        let Some(end) = access.end() else { return };
        let bounded = match stretch.direction {
            Direction::Backward => &mut stretch.from,
            Direction::Forward => &mut stretch.to,
        };
        *bounded = Some(bounded.map_or(end, |bound| bound.min(end)));
    }

    fn page(&self, access: &Access, stretch: &Stretch<'_>) -> Result<Page, MatrixError> {
        let mut events = self.timeline(stretch)?;
        let mut is_whole = is_whole(&events, stretch);
        if stretch.direction == Direction::Forward || stretch.to.is_some() {
            return Ok(Page {
                events,
                is_last: !is_whole,
            });
        }
        for _ in 0..BACKFILLS_MAX {
            if is_whole || reaches_the_start(&events) || !self.backfill(access, stretch.room_id) {
                break;
            }
            events = self.timeline(stretch)?;
            is_whole = self::is_whole(&events, stretch);
        }
        let is_last = reaches_the_start(&events);
        Ok(Page { events, is_last })
    }

    /// Asks other servers for history; tells whether any came. Without it the page is shorter.
    fn backfill(&self, access: &Access, room_id: &RoomId) -> bool {
        if matches!(access, Access::Left(_)) {
            return false;
        }
        let command = Command::Backfill {
            room_id: room_id.to_owned(),
            limit: BACKFILL_LIMIT,
        };
        match self.command(command) {
            Ok(Reply::Backfilled(added)) => added > 0,
            Ok(_) => {
                errors::unexpected_reply();
                false
            }
            Err(error) => {
                tracing::info!(%error, %room_id, "no history from other servers");
                false
            }
        }
    }
}

fn is_whole(events: &[std::sync::Arc<StoredEvent>], stretch: &Stretch<'_>) -> bool {
    events.len() >= stretch.limit as usize
}

fn reaches_the_start(events: &[std::sync::Arc<StoredEvent>]) -> bool {
    events
        .last()
        .is_some_and(|event| event.pdu.event_type() == CREATE)
}
