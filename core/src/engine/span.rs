//! Whatever is logged while a job runs tells which job it is and what it is about.

use ruma_common::{EventId, RoomId, ServerName};
use tracing::{Span, field};

use super::{JobId, job::Job, registry::Identity};
use crate::pdu::Pdu;

/// What a job is about, as far as it is known before the job has decided anything.
#[derive(Default)]
struct Subject<'j> {
    origin: Option<&'j ServerName>,
    room: Option<&'j RoomId>,
    event: Option<&'j EventId>,
}

impl Job {
    /// The span in which the job runs: its number and kind, the server that caused it, its room
    /// and its event.
    pub(super) fn span(&self, id: JobId) -> Span {
        let span = tracing::debug_span!(
            "job",
            id = id.0,
            kind = self.name(),
            origin = field::Empty,
            room = field::Empty,
            event = field::Empty,
        );
        if span.is_disabled() {
            return span;
        }
        let subject = self.subject();
        if let Some(origin) = subject.origin {
            span.record("origin", field::display(origin));
        }
        if let Some(room) = subject.room {
            span.record("room", field::display(room));
        }
        if let Some(event) = subject.event {
            span.record("event", field::display(event));
        }
        if let Some(Identity::Transaction(origin, _)) = self.identity() {
            span.record("origin", field::display(origin));
        }
        span
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Self::ServeRequest(job) => Subject {
                origin: Some(job.origin()),
                ..Subject::default()
            },
            Self::VerifyEvent(job) => of_event(&job.event, Some(&job.from)),
            Self::AdmitEvent(job) => of_event(&job.event, Some(&job.from)),
            Self::ImportEvent(job) => of_event(&job.event, None),
            Self::JoinRoom(job) => in_room(&job.room_id),
            Self::KnockRoom(job) => in_room(&job.room_id),
            Self::LeaveRoom(job) => in_room(&job.room_id),
            Self::InviteUser(job) => in_room(&job.room_id),
            Self::SendEvent(job) => in_room(&job.room_id),
            Self::BackfillRoom(job) => in_room(&job.room_id),
            _ => Subject::default(),
        }
    }
}

fn in_room(room: &RoomId) -> Subject<'_> {
    Subject {
        room: Some(room),
        ..Subject::default()
    }
}

fn of_event<'j>(event: &'j Pdu, origin: Option<&'j ServerName>) -> Subject<'j> {
    Subject {
        origin,
        room: Some(event.room_id()),
        event: Some(event.event_id()),
    }
}
