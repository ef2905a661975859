//! The engine's door: [`Federation`].

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use ruma_common::OwnedServerName;
use serde_json::{Value, json};

use crate::{
    action::Action,
    engine::{Asker, Engine, job::Job, load::Sender},
    input::{CommandId, Input, QueryId, RequestId},
    keys::{KeySettings, OwnKeys, notary::AnswerKeyQuery},
    messaging::{
        backfill::BackfillRoom,
        by_time::FindByTime,
        command::{Command, CommandError, Reply, Statistics},
        compose::NewEvent,
        create_room::CreateRoomJob,
        device_keys::{ClaimKeys, ListDevices, QueryKeys},
        directory::{ResolveAlias, UserProfile},
        ephemeral::SendEphemeral,
        hierarchy::SeeHierarchy,
        homeserver::AnswerQuestion,
        invite::InviteUser,
        join::JoinRoom,
        knock::KnockRoom,
        leave::LeaveRoom,
        media::FetchMedia,
        notice::Question,
        openid::FindOpenIdUser,
        public_rooms::ListPublicRooms,
        read::{ReadStore, SummariseRoom},
        send::SendEventJob,
        settings::Settings,
        status::{JobStatus, Measurements, Status},
        third_party_invite::ServeBinding,
    },
    pdu::{event_type::REDACTION, signing::SigningKey},
    persistence::queries::{Answer, Query, Read, StoreError},
    time::{Monotonic, Now},
    transaction::{after::discovery, inbox::Acknowledge},
    transport::{
        authenticate::{Authenticate, Claims},
        json::json_response,
        matrix_error::MatrixError,
        router::{self, Route},
    },
};

/// The name and number that `GET /_matrix/federation/v1/version` tells.
pub const VERSION: (&str, &str) = ("Comity", env!("CARGO_PKG_VERSION"));

/// The query that is asked first, before any other id is given out.
const BOOT: QueryId = QueryId(0);

/// What a server is, before it does anything.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's name, which is part of every id it makes.
    pub server_name: OwnedServerName,
    /// The key that it signs with.
    pub signing_key: Arc<SigningKey>,
    /// 32 unpredictable bytes, different at each start. The core draws all its randomness from
    /// them: the same seed and inputs give the same actions.
    pub seed: [u8; 32],
    /// What it chooses of how it takes part in rooms.
    pub settings: Settings,
    /// What it chooses of its own keys and of getting those of others.
    pub keys: KeySettings,
    /// To whom our name delegates, by the page `/.well-known/matrix/server`. Without it we serve
    /// no such page (DISC-12).
    pub delegates_to: Option<OwnedServerName>,
}

/// A server's federation, as a state machine without IO.
///
/// # Driving it
/// 1. Hand in what happens with [`Federation::handle`], each time with the time it happened at.
/// 2. After every input, carry out [`Federation::next_action`] until it is `None`. Actions may be
///    begun in any thread, but begun in order; queries must also be run in order.
/// 3. Hand in [`Input::Tick`] when [`Federation::next_deadline`] is reached.
///
/// The first action asks the store where the last run ended; whatever arrives before that is
/// answered is kept and handled then.
#[derive(Debug)]
pub struct Federation {
    engine: Engine,
    /// Actions from outside the engine: the boot query.
    first: VecDeque<Action>,
    /// What arrived before the store answered; `None` once it has.
    waiting: Option<Vec<Input>>,
    delegates_to: Option<OwnedServerName>,
}

impl Federation {
    /// A server that has just started.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let KeySettings { retired, notaries } = config.keys;
        let own = OwnKeys::new(config.server_name, config.signing_key).with_retired(&retired);
        Self {
            engine: Engine::new(own, notaries, config.settings, config.seed),
            first: [Action::Query(BOOT, Query::Read(Read::Boot))].into(),
            waiting: Some(Vec::new()),
            delegates_to: config.delegates_to,
        }
    }

    /// Takes in something that happened at `now`. After [`Action::Halt`] it is ignored.
    pub fn handle(&mut self, now: Now, input: Input) {
        if self.engine.is_halted() {
            return;
        }
        self.engine.set_now(now);
        match (&mut self.waiting, input) {
            (Some(_), Input::Answer(BOOT, result)) => self.boot(result),
            (Some(waiting), input) => waiting.push(input),
            (None, input) => self.dispatch(input),
        }
    }

    /// The next thing to do, if any.
    pub fn next_action(&mut self) -> Option<Action> {
        self.first.pop_front().or_else(|| self.engine.next_action())
    }

    /// When to hand in [`Input::Tick`] if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.engine.next_deadline()
    }

    /// Every job under way, with what it waits for and since when.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.engine.jobs().collect()
    }

    /// How the server stands, as [`Command::Status`] tells it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.engine.status()
    }

    /// The engine in numbers.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        self.engine.measurements()
    }

    /// How often states were resolved, as [`Measurements`] tells it, for those who watch closely.
    #[must_use]
    pub fn resolutions(&self) -> u64 {
        self.engine.resolutions()
    }

    /// How the engine stands, as [`Command::Statistics`] tells it.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }

    fn boot(&mut self, result: Result<Answer, StoreError>) {
        match result {
            Ok(Answer::Boot(boot)) => self.engine.boot(boot),
            Ok(_) => return self.engine.halt("the store answered nonsense".to_owned()),
            Err(error) => return self.engine.halt(error.to_string()),
        }
        for input in self.waiting.take().unwrap_or_default() {
            self.dispatch(input);
        }
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Request(id, request) => self.request(id, request),
            Input::Command(id, command) => self.command(id, command),
            Input::Response(id, result) => self.engine.responded(id, result),
            Input::Found(id, result) => self.engine.found(id, result),
            Input::Answer(id, result) => self.engine.answered(id, result),
            Input::Computed(id, result) => self.engine.computed(id, result),
            Input::Told(id, told) => self.engine.told(id, told),
            Input::Tick => self.engine.tick(),
        }
    }

    fn request(&mut self, id: RequestId, request: Request<Bytes>) {
        match self.routed(id, request) {
            Ok(Routed::Answer(response)) => self.engine.push(Action::Respond(id, response)),
            Ok(Routed::Job(job)) => self.engine.start(job, Some(Asker::Request(id))),
            Err(error) => self.engine.push(Action::Respond(id, error.into_response())),
        }
    }

    /// What a request comes to. Its body is not read before there is room for it.
    fn routed(&mut self, id: RequestId, request: Request<Bytes>) -> Result<Routed, MatrixError> {
        let (parts, body) = request.into_parts();
        let mut admit = |sender| self.engine.admit(id, sender, body.len());
        let job = match router::route(&parts.method, parts.uri.path(), parts.uri.query())? {
            Route::Version => {
                let version = self.version();
                return Ok(Routed::Answer(json_response(StatusCode::OK, &version)));
            }
            Route::WellKnown => return self.delegation().map(Routed::Answer),
            Route::ServerKeys => return Ok(Routed::Answer(self.engine.published_keys())),
            Route::KeysOf(server, wanted_until) => {
                admit(Sender::Anybody)?;
                AnswerKeyQuery::one(server, wanted_until).into()
            }
            Route::KeysOfSeveral => {
                admit(Sender::Anybody)?;
                AnswerKeyQuery::several(&body)?.into()
            }
            Route::Binding => {
                admit(Sender::Anybody)?;
                ServeBinding::read(&body)?.into()
            }
            Route::OpenIdUser(token) => {
                admit(Sender::Anybody)?;
                AnswerQuestion::from(Question::OpenIdUser(token)).into()
            }
            Route::Authenticated(route) => {
                let claims = Claims::read(&parts.headers)?;
                admit(Sender::Claimed(claims.origin().clone()))?;
                Authenticate::new(route, claims, &parts, body)?.into()
            }
        };
        Ok(Routed::Job(job))
    }

    /// What we are and, to servers that care, what we offer beyond the specification.
    fn version(&self) -> Value {
        let (name, version) = VERSION;
        let (key, offer) = discovery::OFFER;
        let server = match self.engine.settings().serve_stream {
            true => json!({ "name": name, "version": version, key: offer }),
            false => json!({ "name": name, "version": version }),
        };
        json!({ "server": server })
    }

    /// Where those find us who know our name only.
    fn delegation(&self) -> Result<Response<Bytes>, MatrixError> {
        let delegate = self.delegates_to.as_ref();
        let delegate = delegate.ok_or_else(router::unrecognised)?;
        Ok(json_response(
            StatusCode::OK,
            &json!({ "m.server": delegate }),
        ))
    }

    fn command(&mut self, id: CommandId, command: Command) {
        let reply = match &command {
            Command::Statistics => Some(Reply::Statistics(self.engine.statistics())),
            Command::Status => Some(Reply::Status(Box::new(self.engine.status()))),
            Command::Retry(destination) => {
                Some(Reply::Retrying(self.engine.retry(destination.as_deref())))
            }
            _ => None,
        };
        if let Some(reply) = reply {
            self.engine.push(Action::Complete(id, Ok(reply)));
            return;
        }
        if self.engine.is_full() {
            let error = CommandError::Busy("too many jobs are under way".to_owned());
            self.engine.push(Action::Complete(id, Err(error)));
            return;
        }
        match job(command) {
            Some(job) => self.engine.start(job, Some(Asker::Command(id))),
            None => self
                .engine
                .push(Action::Complete(id, Err(CommandError::Invalid("?".into())))),
        }
    }
}

enum Routed {
    Answer(Response<Bytes>),
    Job(Job),
}

/// The job for a command.
fn job(command: Command) -> Option<Job> {
    Some(match command {
        Command::CreateRoom(command) => CreateRoomJob::Begin(*command).into(),
        Command::Join {
            user_id,
            room_id,
            via,
            content,
        } => JoinRoom {
            user_id,
            room_id,
            via,
            content,
        }
        .into(),
        Command::Knock {
            user_id,
            room_id,
            via,
            content,
        } => KnockRoom {
            user_id,
            room_id,
            via,
            content,
        }
        .into(),
        Command::Leave {
            user_id,
            room_id,
            content,
        } => LeaveRoom {
            user_id,
            room_id,
            content,
        }
        .into(),
        Command::Invite {
            sender,
            target,
            room_id,
            content,
        } => InviteUser {
            sender,
            target,
            room_id,
            content,
        }
        .into(),
        Command::Send(send) => {
            let event = NewEvent {
                sender: send.sender,
                event_type: send.event_type,
                state_key: send.state_key,
                content: send.content,
                redacts: None,
            };
            SendEventJob {
                room_id: send.room_id,
                event,
                once: send.once,
            }
            .into()
        }
        Command::Redact {
            sender,
            room_id,
            redacts,
            reason,
            once,
        } => {
            let content = reason.map(|reason| ("reason".to_owned(), reason.into()));
            let event = NewEvent {
                sender,
                event_type: REDACTION.to_owned(),
                state_key: None,
                content: content.into_iter().collect(),
                redacts: Some(redacts),
            };
            SendEventJob {
                room_id,
                event,
                once,
            }
            .into()
        }
        Command::SendEdu {
            to,
            edu_type,
            content,
        } => SendEphemeral {
            to,
            edu_type,
            content,
        }
        .into(),
        Command::Acknowledge { through } => Acknowledge { through }.into(),
        Command::Backfill { room_id, limit } => BackfillRoom {
            room_id,
            limit,
            tried: 0,
        }
        .into(),
        Command::EventByTime {
            room_id,
            time,
            direction,
        } => FindByTime {
            room_id,
            time,
            direction,
        }
        .into(),
        Command::ResolveAlias(alias) => ResolveAlias { alias }.into(),
        Command::Profile(user_id) => UserProfile { user_id }.into(),
        Command::QueryKeys(wanted) => QueryKeys { wanted }.into(),
        Command::ClaimKeys(wanted) => ClaimKeys { wanted }.into(),
        Command::ListDevices(user_id) => ListDevices { user_id }.into(),
        Command::OpenIdUser { server, token } => FindOpenIdUser { server, token }.into(),
        Command::Media { server, wanted } => FetchMedia { server, wanted }.into(),
        Command::PublicRooms { server, wanted } => ListPublicRooms { server, wanted }.into(),
        Command::Hierarchy {
            user_id,
            room_id,
            via,
            suggested_only,
        } => SeeHierarchy {
            user_id,
            room_id,
            via,
            suggested_only,
        }
        .into(),
        Command::Read(read) => ReadStore { read }.into(),
        Command::RoomSummary(room_id) => SummariseRoom { room_id }.into(),
        Command::Retry(_) | Command::Statistics | Command::Status => return None,
    })
}
