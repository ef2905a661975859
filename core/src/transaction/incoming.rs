//! Receiving a transaction: taken apart, its events judged, answered once and for ever (TXN-4 to
//! TXN-12).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    inbox::{self, ReliableEdu},
    outgoing::{EDUS_MAX, PDUS_MAX},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::{Fate, Outcome},
        registry::Identity,
        stop::{Stop, for_request},
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

/// How many transactions of one server may wait for one that came before. A server sends one at a
/// time (TXN-3), but one that was restarted may not know of its last.
const AHEAD_MAX: usize = 2;

/// How long a server is asked to wait with a transaction that is put off.
const PUT_OFF_FOR: Duration = Duration::from_secs(10);

/// How many letters of a reason another server gets to see.
const REASON_MAX: usize = 500;

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

/// An EDU of a transaction.
#[derive(Clone, Debug, Deserialize)]
struct Edu {
    edu_type: String,
    #[serde(default)]
    content: Content,
}

impl From<Edu> for ReliableEdu {
    fn from(Edu { edu_type, content }: Edu) -> Self {
        Self { edu_type, content }
    }
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
        for_request(self.receive(facts))
    }

    fn receive(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        if facts.transactions_before(&self.origin) > AHEAD_MAX {
            return Err(put_off("too many of your transactions are being received").into());
        }
        facts.turn(&self.origin)?;
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
        let body = self.parse()?;
        let (events, edus) = (self.events(&body, facts), self.edus(&body, facts));
        let (events, edus) = (events?, edus?);
        let (reliable, fleeting): (Vec<_>, Vec<_>) = edus
            .into_iter()
            .partition(|edu| ReliableEdu::is_type(&edu.edu_type));
        let reliable = reliable.into_iter().map(ReliableEdu::from).collect();
        let Some(reliable) = inbox::new_ones(reliable, &self.origin, facts)? else {
            return Err(put_off("too many messages to devices wait here").into());
        };
        let (mut first, mut event_ids) = (Vec::new(), Vec::new());
        let mut refused = BTreeMap::new();
        for event in events {
            match event {
                Received::Judge(job) => {
                    event_ids.push(job.event.event_id().to_owned());
                    first.push(Job::from(job));
                }
                Received::Refuse(event_id, reason) => {
                    refused.insert(event_id, reason);
                }
            }
        }
        let then = AnswerTransaction {
            origin: self.origin.clone(),
            transaction_id: self.transaction_id.clone(),
            event_ids,
            refused,
            fleeting,
            reliable,
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
        let room = facts.room_at_present(&room_id)?;
        let room = room.filter(|room| room.has_server(facts.our_name()));
        let version = match (room, facts.version_joined(&room_id)) {
            (Some(room), _) => Some(room.version),
            (None, Some(version)) => Some(version),
            (None, None) => rescinded::version(json.get(), &self.origin, &room_id, facts)?,
        };
        let Some(version) = version else {
            return Ok(None);
        };
        let event = match Pdu::parse(json.get(), version) {
            Ok(event) => Arc::new(event),
            Err(error) => {
                tracing::debug!(origin = %self.origin, %error, "event dropped: bad format");
                return Ok(None);
            }
        };
        if let Some(room) = room
            && !acl::allows(facts, room, &self.origin)?
        {
            let reason = "your server is denied by the room's server ACL".to_owned();
            return Ok(Some(Received::Refuse(event.event_id().to_owned(), reason)));
        }
        Ok(Some(Received::Judge(VerifyEvent::pushed(
            event,
            self.origin.clone(),
        ))))
    }

    /// Ephemeral messages, as far as they are credible; one that cannot be read is dropped alone
    /// (EDU-8).
    fn edus(&self, body: &Body<'_>, facts: &Facts<'_>) -> Result<Vec<Edu>, Blocked> {
        let read = |json: &&RawValue| serde_json::from_str::<Edu>(json.get()).ok();
        let checked: Vec<_> = body
            .edus
            .iter()
            .filter_map(read)
            .map(|Edu { edu_type, content }| {
                let content = ephemeral::credible(&self.origin, &edu_type, content, facts)?;
                Ok(content.map(|content| Edu { edu_type, content }))
            })
            .collect();
        let checked = checked.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        Ok(checked.into_iter().flatten().collect())
    }
}

/// How a transaction is put off: its sender keeps it and tries again (GEN-8).
fn put_off(reason: &str) -> MatrixError {
    MatrixError::limit_exceeded(reason, PUT_OFF_FOR)
}

/// What is to be done with one event of a transaction.
enum Received {
    /// Let this job judge it.
    Judge(VerifyEvent),
    /// Do not look at it.
    Refuse(OwnedEventId, String),
}

/// How long the response to a transaction is kept: longer than a sender of our kind repeats one
/// ([`QueueLimits::age`](crate::messaging::settings::QueueLimits::age)).
const KEPT_FOR: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// How many responses to one server are kept, and how many bytes of responses in all. A sender
/// repeats only its last transaction.
const KEPT_OF_EACH: u64 = 1_000;
const KEPT_BYTES: u64 = 64 << 20;

/// How long the name of a message to devices is kept after the application has dealt with it.
const NAMES_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often old responses are looked for: so many responses, or so much time, after the last
/// time.
const FORGET_AFTER: u32 = 1_000;
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// Forgets old responses, along with the writing of new ones, so that nothing need wake us.
#[derive(Debug, Default)]
pub struct Forgetting {
    last: Option<Monotonic>,
    /// How many were kept since.
    kept: u32,
}

impl Forgetting {
    /// What to write along with a batch, if that keeps another response.
    pub fn along_with(&mut self, writes: &[Write], now: Now) -> Vec<Write> {
        let keeps = |write: &Write| matches!(write, Write::ReceivedTransaction { .. });
        if !writes.iter().any(keeps) {
            return Vec::new();
        }
        self.kept += 1;
        let recent = |last: Monotonic| now.monotonic.since(last) < FORGET_EVERY;
        if self.last.is_some_and(recent) && self.kept < FORGET_AFTER {
            return Vec::new();
        }
        self.last = Some(now.monotonic);
        self.kept = 0;
        vec![
            Write::ForgetTransactions {
                received_before: now.wall.minus(KEPT_FOR),
                of_each: KEPT_OF_EACH,
                bytes: KEPT_BYTES,
            },
            Write::ForgetInbox {
                received_before: now.wall.minus(NAMES_KEPT_FOR),
            },
        ]
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
    fleeting: Vec<Edu>,
    /// What is kept together with the answer.
    reliable: Vec<ReliableEdu>,
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
            let reason: String = reason.chars().take(REASON_MAX).collect();
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
        let mut outcome = Outcome {
            writes: vec![write],
            ..Outcome::respond(answer)
        };
        for Edu { edu_type, content } in self.fleeting.clone() {
            outcome.notices.push(Notice::Edu {
                origin: self.origin.clone(),
                edu_type,
                content,
                acknowledge: None,
            });
        }
        for edu in self.reliable.clone() {
            edu.keep(&self.origin, facts, &mut outcome);
        }
        Ok(outcome)
    }
}
