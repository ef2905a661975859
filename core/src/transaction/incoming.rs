//! Receiving a transaction: taken apart, its events judged, answered once and for ever (TXN-4 to
//! TXN-12).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::outgoing::{EDUS_MAX, PDUS_MAX};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::{Fate, Outcome},
        registry::Identity,
    },
    messaging::{command::Content, ephemeral, notice::Notice, rescinded},
    pdu::{Pdu, acl, admit::VerifyEvent},
    persistence::queries::{Answer, Read, Write},
    time::{Monotonic, Now},
    transport::{
        json::json_bytes_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// A transaction that has arrived.
#[derive(Clone, Debug)]
pub struct ReceiveTransaction {
    origin: OwnedServerName,
    transaction_id: OwnedTransactionId,
    body: Bytes,
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    pdus: Vec<&'b RawValue>,
    #[serde(default, borrow)]
    edus: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct RoomOf {
    room_id: OwnedRoomId,
}

#[derive(Deserialize)]
struct Edu {
    edu_type: String,
    #[serde(default)]
    content: Content,
}

impl ReceiveTransaction {
    /// A transaction that `origin` is proved to have sent.
    #[must_use]
    pub fn new(origin: OwnedServerName, transaction_id: OwnedTransactionId, body: Bytes) -> Self {
        Self {
            origin,
            transaction_id,
            body,
        }
    }

    /// A repetition that comes while this one is being received gets the same answer.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Transaction(self.origin.clone(), self.transaction_id.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let seen = facts.read(Read::ReceivedTransaction {
            origin: self.origin.clone(),
            transaction_id: self.transaction_id.clone(),
        })?;
        if let Answer::Response(Some(response)) = seen {
            return Ok(Outcome::respond(json_bytes_response(
                StatusCode::OK,
                response.clone().into(),
            )));
        }
        let body = match self.parse() {
            Ok(body) => body,
            Err(error) => return Ok(Outcome::respond(error.into_response())),
        };
        let (events, notices) = (self.events(&body, facts), self.edus(&body, facts));
        let (events, notices) = (events?, notices?);
        let mut first = Vec::new();
        let mut refused = BTreeMap::new();
        for event in events {
            match event {
                Received::Judge(job) => first.push(job),
                Received::Refuse(event_id, reason) => {
                    refused.insert(event_id, reason);
                }
            }
        }
        let event_ids = first.iter().filter_map(judged_event).collect();
        let then = AnswerTransaction {
            origin: self.origin.clone(),
            transaction_id: self.transaction_id.clone(),
            event_ids,
            refused,
            notices,
        };
        Ok(Outcome::default().then(first, then))
    }

    fn parse(&self) -> Result<Body<'_>, MatrixError> {
        let body: Body<'_> = serde_json::from_slice(&self.body)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        if body.pdus.len() > PDUS_MAX || body.edus.len() > EDUS_MAX {
            return Err(MatrixError::new(
                ErrorCode::BadJson,
                "too many events in a transaction",
            ));
        }
        Ok(body)
    }

    /// What is to be done with each event. An event that cannot be attributed to a room that we
    /// know is left out (TXN-9).
    fn events(&self, body: &Body<'_>, facts: &Facts<'_>) -> Result<Vec<Received>, Blocked> {
        let sorted: Vec<_> = body
            .pdus
            .iter()
            .map(|json| self.event(json, facts))
            .collect();
        let sorted: Result<Vec<Option<Received>>, Blocked> = sorted.into_iter().collect();
        Ok(sorted?.into_iter().flatten().collect())
    }

    fn event(&self, json: &RawValue, facts: &Facts<'_>) -> Result<Option<Received>, Blocked> {
        let Ok(RoomOf { room_id }) = serde_json::from_str(json.get()) else {
            return Ok(None);
        };
        let room = facts.room(&room_id)?;
        let Some(room) = room.filter(|room| room.has_server(facts.our_name())) else {
            return rescinded::job(json.get(), &self.origin, &room_id, facts);
        };
        let event = match Pdu::parse(json.get(), room.version) {
            Ok(event) => Arc::new(event),
            Err(error) => {
                tracing::debug!(origin = %self.origin, %error, "event dropped: bad format");
                return Ok(None);
            }
        };
        if !acl::allows(facts, room, &self.origin)? {
            let reason = "your server is denied by the room's server ACL".to_owned();
            return Ok(Some(Received::Refuse(event.event_id().to_owned(), reason)));
        }
        Ok(Some(Received::Judge(
            VerifyEvent::pushed(event, self.origin.clone()).into(),
        )))
    }

    /// Ephemeral messages, as far as they are credible; one that cannot be read is dropped alone
    /// (EDU-8).
    fn edus(&self, body: &Body<'_>, facts: &Facts<'_>) -> Result<Vec<Notice>, Blocked> {
        let read = |json: &&RawValue| serde_json::from_str::<Edu>(json.get()).ok();
        let checked: Vec<_> = body
            .edus
            .iter()
            .filter_map(read)
            .map(|edu| {
                let content = ephemeral::credible(&self.origin, &edu.edu_type, edu.content, facts);
                content.map(|content| Some((edu.edu_type, content?)))
            })
            .collect();
        let checked = checked.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        let origin = &self.origin;
        let notice = |(edu_type, content)| Notice::Edu {
            origin: origin.clone(),
            edu_type,
            content,
        };
        Ok(checked.into_iter().flatten().map(notice).collect())
    }
}

/// What is to be done with one event of a transaction.
#[derive(Debug)]
pub enum Received {
    /// Let this job judge it.
    Judge(Job),
    /// Do not look at it.
    Refuse(OwnedEventId, String),
}

fn judged_event(job: &Job) -> Option<OwnedEventId> {
    match job {
        Job::VerifyEvent(job) => Some(job.event.event_id().to_owned()),
        Job::RescindInvite(job) => Some(job.event().event_id().to_owned()),
        _ => None,
    }
}

/// How long the response to a transaction is kept: longer than any sender repeats one.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How often old responses are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// Forgets old responses: with the first transaction of each hour, so that nothing need wake us.
#[derive(Debug, Default)]
pub struct Forgetting {
    last: Option<Monotonic>,
}

impl Forgetting {
    /// What to write along with a batch, if that keeps another response.
    pub fn along_with(&mut self, writes: &[Write], now: Now) -> Option<Write> {
        let keeps = |write: &Write| matches!(write, Write::ReceivedTransaction { .. });
        let recent = |last: Monotonic| now.monotonic.since(last) < FORGET_EVERY;
        if self.last.is_some_and(recent) || !writes.iter().any(keeps) {
            return None;
        }
        self.last = Some(now.monotonic);
        let received_before = now.wall.minus(KEPT_FOR);
        Some(Write::ForgetTransactions { received_before })
    }
}

/// A transaction whose events are judged.
#[derive(Clone, Debug)]
pub struct AnswerTransaction {
    origin: OwnedServerName,
    transaction_id: OwnedTransactionId,
    event_ids: Vec<OwnedEventId>,
    refused: BTreeMap<OwnedEventId, String>,
    /// What the application is told once the answer is on disk, or never: a repetition must not
    /// tell it again.
    notices: Vec<Notice>,
}

impl AnswerTransaction {
    /// See [`ReceiveTransaction::identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Transaction(self.origin.clone(), self.transaction_id.clone())
    }

    /// See [`crate::engine`]. The answer becomes durable with, or after, what it speaks of.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let mut pdus: BTreeMap<&OwnedEventId, Value> = self
            .event_ids
            .iter()
            .map(|event_id| (event_id, json!({})))
            .collect();
        let failed = facts.fates().iter().filter_map(Fate::reason);
        let refused = self.refused.iter().map(|(id, reason)| (id, &**reason));
        for (event_id, reason) in failed.chain(refused) {
            pdus.insert(event_id, json!({ "error": reason }));
        }
        let response = json!({ "pdus": pdus }).to_string().into_bytes();
        let write = Write::ReceivedTransaction {
            origin: self.origin.clone(),
            transaction_id: self.transaction_id.clone(),
            response: response.clone(),
            received_at: facts.now().wall,
        };
        let answer = json_bytes_response(StatusCode::OK, response.into());
        Ok(Outcome {
            writes: vec![write],
            notices: self.notices.clone(),
            ..Outcome::respond(answer)
        })
    }
}
