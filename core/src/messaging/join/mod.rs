//! Joining a room: by ourselves if we are in it, else by `make_join` and `send_join` with one
//! server after the other (JOIN-1 to JOIN-8).
//!
//! **Contract.** A join that any of its [candidates] would let succeed succeeds, and one
//! that was handed in survives a crash: a row says so before it leaves, and after a start the same
//! event is handed in again, which is one join however often it arrives. Then whoever gave the
//! command is gone, and a [`Notice::JoinEnded`] says how it went.
//!
//! | phase | does |
//! |---|---|
//! | [`JoinRoom`] | joins by ourselves, or finds out whom to ask |
//! | [`MakeJoin`] | gets a template and signs it |
//! | [`SendJoin`](send::SendJoin) | hands it in |
//! | [`TakeJoin`](take::TakeJoin) | notes that it was taken, if the members were left out |
//! | [`CompleteJoin`] | gets the whole room then |
//! | [`EnterRoom`](enter::EnterRoom) | checks the room that comes back, and enters it |
//! | [`ResumeJoin`](resume::ResumeJoin) | takes up, after a start, what was handed in before |
//! | [`ForgetJoin`] | takes it off the record when its failure has been told |
//!
//! If [we choose so](crate::messaging::settings::Settings::join_in_part), the server is asked to
//! leave out who is in the room at first, and the command is answered when it has. The join goes on
//! until the room is whole, on disk too, so that no verdict of ours rests on a part of a state;
//! until then it is a join under way to everybody here, and a room that we cannot speak of to other
//! servers. Commands for the room wait, or fail with [`CommandError::RoomInPart`] while those who
//! could complete it do not answer.
//!
//! Events of the room that arrive after the join was handed in are staged
//! ([`crate::transaction::staging`]) and judged when it has ended (JOIN-7).

pub mod candidates;
pub mod complete;
pub mod enter;
pub mod forget;
pub mod make;
pub mod resume;
pub mod send;
pub mod take;
pub mod template;

use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};

use self::{
    candidates::{Candidates, Failure},
    complete::{CompleteJoin, Taken},
    forget::ForgetJoin,
    make::MakeJoin,
};
use super::{
    command::{CommandError, Content, Reply},
    compose::{self, NewEvent},
    delivery::{Delivery, deliver},
    notice::Notice,
    restricted::{AUTHORISED_VIA, authorise_join},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        registry::Identity,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::event_type::MEMBER,
    persistence::queries::{Answer, Read, Write},
};

/// A wish to join.
#[derive(Clone, Debug)]
pub struct JoinRoom {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers to ask, best first.
    pub via: Vec<OwnedServerName>,
    /// Further keys of the member event.
    pub content: Content,
}

impl JoinRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.join(facts))
    }

    fn join(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        if self.user_id.server_name() != facts.our_name() {
            let reason = "the user is of another server".to_owned();
            return Err(CommandError::Invalid(reason).into());
        }
        if facts.joined_in_part(&self.room_id) == Some(&self.user_id) {
            return Ok(Outcome::default().with_reply(Reply::Room(self.room_id.clone())));
        }
        let room = facts.room(&self.room_id)?;
        if let Some(room) = room.filter(|room| room.has_server(facts.our_name())) {
            return match self.has_come_about(room, facts)? {
                true => Ok(Outcome::default().with_reply(Reply::Room(self.room_id.clone()))),
                false => self.join_locally(room, facts),
            };
        }
        if facts.joined_in_part(&self.room_id).is_some() {
            return Err(CommandError::RoomInPart(self.room_id.clone()).into());
        }
        let join = RemoteJoin {
            user_id: self.user_id.clone(),
            room_id: self.room_id.clone(),
            content: self.content.clone(),
            candidates: self.candidates(facts)?,
            starts: 0,
            is_recorded: false,
            taken: None,
        };
        Ok(Outcome::phase(MakeJoin { join }))
    }

    /// Whether our user is in the room and its member event says what it is to say: the same join
    /// may have been wanted twice at once.
    fn has_come_about(&self, room: &Room, facts: &Facts<'_>) -> Result<bool, Blocked> {
        let Some(event_id) = room.state.get(MEMBER, self.user_id.as_str()) else {
            return Ok(false);
        };
        let Some(member) = facts.held(event_id)? else {
            return Ok(false);
        };
        let mut said = member.pdu.content();
        said.retain(|key, _| key != "membership" && key != AUTHORISED_VIA);
        Ok(member.pdu.membership() == Some("join") && said == self.content)
    }

    fn join_locally(&self, room: &Room, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let event = NewEvent::member(&self.user_id, &self.user_id, "join", &self.content);
        let event = authorise_join(room, event, facts)?;
        let event = compose::compose(room, &event, facts)?;
        let delivery = Delivery::Room {
            also: None,
            once: None,
            reply: Reply::Room(self.room_id.clone()),
        };
        deliver(room, event, delivery, facts)
    }

    /// The servers to ask: those given, then the one that invited us, then the one that the room
    /// is named after.
    fn candidates(&self, facts: &Facts<'_>) -> Result<Candidates, Blocked> {
        let mut servers = self.via.clone();
        if let Answer::Memberships(known) = facts.read(Read::Memberships(self.user_id.clone()))? {
            let invite = known.iter().find(|known| known.room_id == self.room_id);
            servers.extend(invite.map(|invite| invite.event.pdu.origin().to_owned()));
        }
        servers.extend(self.room_id.server_name().map(ToOwned::to_owned));
        let (ours, now) = (facts.our_name().to_owned(), facts.begun().monotonic);
        Ok(Candidates::new(servers, &ours, now))
    }
}

/// A join by way of other servers.
#[derive(Clone, Debug)]
pub struct RemoteJoin {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Further keys of the member event.
    pub content: Content,
    /// Whom it is tried with.
    pub candidates: Candidates,
    /// How often the server was started since the join began: unless it is zero, nobody waits for
    /// an answer.
    pub starts: u32,
    /// Whether there is a row that says that it was handed in.
    pub is_recorded: bool,
    /// That a server took it and left out who is in the room: then the candidates are those that
    /// may give the whole of it, and nobody waits for an answer.
    pub taken: Option<Taken>,
}

impl RemoteJoin {
    /// What no other job should work on meanwhile.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Join(self.room_id.clone())
    }

    /// Goes on after this server, unless what it says is true of the others too.
    #[must_use]
    pub fn failed(&self, server: &OwnedServerName, failure: Failure) -> Outcome {
        let denied = failure.is_final(server).filter(|_| self.taken.is_none());
        if let Some(error) = denied {
            return self.ended_in_vain(error);
        }
        let join = Self {
            candidates: self.candidates.clone().without(server.clone(), failure),
            ..self.clone()
        };
        match join.taken {
            None => Outcome::phase(MakeJoin { join }),
            Some(_) => Outcome::phase(CompleteJoin { join }),
        }
    }

    /// Whether whoever gave the command waits for its answer.
    fn is_awaited(&self) -> bool {
        self.starts == 0 && self.taken.is_none()
    }

    /// The end of a join that failed. Nothing but the answer, or the notice if nobody waits for it,
    /// says how one ended: the row goes after it, so that a crash in between begins the join again.
    #[must_use]
    pub fn ended_in_vain(&self, error: CommandError) -> Outcome {
        if !self.is_recorded {
            return self.given_up(error);
        }
        let mut outcome = Outcome::phase(ForgetJoin { join: self.clone() });
        self.tell(Err(error.clone()), &mut outcome);
        if self.is_awaited() {
            outcome.answer = Outcome::complete(Err(error)).answer;
        }
        outcome
    }

    /// The same where nothing can come after.
    #[must_use]
    pub fn given_up(&self, error: CommandError) -> Outcome {
        let mut outcome = Outcome::complete(Err(error.clone()));
        self.end(Err(error), &mut outcome);
        outcome
    }

    /// Adds to an outcome that the join has ended.
    pub fn end(&self, result: Result<(), CommandError>, outcome: &mut Outcome) {
        self.forget(outcome);
        self.tell(result, outcome);
    }

    fn forget(&self, outcome: &mut Outcome) {
        if self.is_recorded {
            outcome.writes.push(Write::JoinEnded(self.room_id.clone()));
        }
    }

    fn tell(&self, result: Result<(), CommandError>, outcome: &mut Outcome) {
        if !self.is_awaited() {
            outcome.notices.push(Notice::JoinEnded {
                user_id: self.user_id.clone(),
                room_id: self.room_id.clone(),
                result,
            });
        }
    }
}
