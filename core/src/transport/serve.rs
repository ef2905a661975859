//! From an authenticated request to the job that answers it: the step up from the transport layer.

use bytes::Bytes;
use ruma_common::OwnedServerName;

use super::router::ServerRoute;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
    },
    messaging::{
        hierarchy::ServeHierarchy,
        homeserver::AnswerQuestion,
        invite::ServeInvite,
        notice::Question,
        public_rooms::ServePublicRooms,
        resident::{MakeMembership, SendMembership},
        third_party_invite::ServeExchange,
    },
    pdu::serve::{Asked, ServeEvents},
    transaction::{after::serve::ServeAfter, incoming::ReceiveTransaction},
};

/// A request whose sender is known.
#[derive(Clone, Debug)]
pub struct ServeRequest {
    origin: OwnedServerName,
    route: ServerRoute,
    body: Bytes,
}

impl ServeRequest {
    /// A request that `origin` is proved to have sent.
    #[must_use]
    pub fn new(origin: OwnedServerName, route: ServerRoute, body: Bytes) -> Self {
        Self {
            origin,
            route,
            body,
        }
    }

    /// Hands the request to the layer that it is for when it is its turn.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        facts.may_begin()?;
        Ok(match self.job() {
            Ok(job) => Outcome::phase(job),
            Err(error) => Outcome::respond(error.into_response()),
        })
    }

    /// Who sent it.
    #[must_use]
    pub fn origin(&self) -> &OwnedServerName {
        &self.origin
    }

    fn job(&self) -> Result<Job, super::matrix_error::MatrixError> {
        use ServerRoute as R;
        let origin = self.origin.clone();
        let body = &self.body;
        let events = |room_id, asked| {
            Job::from(ServeEvents {
                origin: origin.clone(),
                room_id,
                asked,
            })
        };
        Ok(match self.route.clone() {
            R::Send(id) => ReceiveTransaction::new(origin, id, body.clone()).into(),
            R::MakeJoin(room, user, versions) => {
                MakeMembership::join(origin, room, user, versions).into()
            }
            R::MakeKnock(room, user, versions) => {
                MakeMembership::knock(origin, room, user, versions).into()
            }
            R::SendKnock(room, event) => {
                SendMembership::new("knock", origin, room, event, body.clone()).into()
            }
            R::MakeLeave(room, user) => MakeMembership::leave(origin, room, user).into(),
            R::SendJoin(room, event, form) => {
                SendMembership::new("join", origin, room, event, body.clone())
                    .answered_as(form)
                    .into()
            }
            R::SendLeave(room, event, form) => {
                SendMembership::new("leave", origin, room, event, body.clone())
                    .answered_as(form)
                    .into()
            }
            R::Invite(room, event) => ServeInvite::new(origin, room, event, body)?.into(),
            R::InviteOfOld(room, event) => ServeInvite::of_old(origin, room, event, body)?.into(),
            R::ExchangeThirdPartyInvite(room) => ServeExchange::new(origin, room, body)?.into(),
            R::Event(event) => events(None, Asked::Event(event)),
            R::State(room, event) => events(Some(room), Asked::State(event)),
            R::StateIds(room, event) => events(Some(room), Asked::StateIds(event)),
            R::EventAuth(room, event) => events(Some(room), Asked::EventAuth(event)),
            R::Backfill(room, from, limit) => events(Some(room), Asked::Backfill(from, limit)),
            R::MissingEvents(room) => events(Some(room), Asked::missing_events(body)?),
            R::EventByTime(room, time, direction) => {
                events(Some(room), Asked::ByTime(time, direction))
            }
            R::Directory(alias) => AnswerQuestion::from(Question::Directory(alias)).into(),
            R::Profile(user_id, field) => AnswerQuestion {
                question: Question::Profile(user_id),
                field,
            }
            .into(),
            R::PublicRooms(Some(wanted)) => ServePublicRooms { wanted }.into(),
            R::PublicRooms(None) => ServePublicRooms::new(body)?.into(),
            R::Hierarchy(room_id, suggested_only) => ServeHierarchy {
                origin,
                room_id,
                suggested_only,
            }
            .into(),
            R::QueryKeys => AnswerQuestion::from(Question::keys(body)?).into(),
            R::ClaimKeys => AnswerQuestion::from(Question::one_time_keys(body)?).into(),
            R::Media(wanted) => AnswerQuestion::from(Question::Media(wanted)).into(),
            R::Devices(user_id) => AnswerQuestion::from(Question::Devices(user_id)).into(),
            R::After(from, limit) => ServeAfter {
                origin,
                from,
                limit,
            }
            .into(),
        })
    }
}
