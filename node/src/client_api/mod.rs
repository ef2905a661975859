//! The Matrix Client-Server API, as a thin mapping onto the federation's commands.
//!
//! **Contract.** [`Api::handle`] answers one whole HTTP request and may block while it does: until
//! a command is done or, for `sync`, until there is news. It is called from many threads.
//!
//! **Invariants.** A user is shown of a room only what `access` and `visibility` say. Tokens in
//! `sync` and `messages` are positions in the order of events, so they survive restarts.
//!
//! `routes` lists every endpoint; each topic has its file.

mod access;
mod account_data;
mod announcing;
mod by_time;
mod context;
mod create_room;
mod device_cache;
mod devices;
mod directory;
mod ephemeral;
mod errors;
mod event_format;
mod filters;
mod forgetting;
mod hearing;
mod joining;
mod keys;
mod login;
mod media;
mod members;
mod messages;
mod moderation;
mod moments;
mod news;
mod operating;
mod profile;
mod public_rooms;
mod request;
mod room_reads;
mod routes;
mod sending;
mod server_facts;
mod session;
mod spaces;
mod state;
mod sync;
mod to_device;
mod token;
mod visibility;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use comity_core::{
    messaging::command::{Command, Reply},
    transport::{json::json_response, matrix_error::MatrixError},
};
use http::{Method, Response, StatusCode, header::HeaderValue};
use ruma_common::{OwnedRoomAliasId, OwnedServerName};
use serde_json::Value;

use crate::{accounts::Accounts, homeserver::Homeserver, questions};
use device_cache::DeviceCache;
use hearing::Hearing;
use moments::Moments;
use news::News;
pub use operating::{RETRY, STATUS};
use routes::Handler;
use session::Session;

/// What an endpoint comes to: the body of a 200, or an error.
type Handled = Result<Value, MatrixError>;

/// The API of one server.
pub struct Api {
    server_name: OwnedServerName,
    homeserver: Arc<dyn Homeserver>,
    accounts: Arc<Accounts>,
    news: Arc<News>,
    moments: Arc<Moments>,
    devices: Arc<DeviceCache>,
    device_wishes: device_cache::Wishes,
    /// Aliases of rooms that are being created.
    reserved_aliases: Mutex<BTreeSet<OwnedRoomAliasId>>,
    operators: BTreeSet<String>,
    attempts: login::Attempts,
}

impl Api {
    /// The API over a running federation, whose questions it answers from `accounts`. Users of the
    /// servers that are `unwelcome` invite nobody here.
    ///
    /// # Errors
    /// When the system gives no thread to listen to notices.
    pub fn new(
        server_name: OwnedServerName,
        homeserver: Arc<dyn Homeserver>,
        accounts: Arc<Accounts>,
        unwelcome: BTreeSet<OwnedServerName>,
    ) -> io::Result<Self> {
        let (news, moments) = (Arc::new(News::default()), Arc::new(Moments::default()));
        let devices = Arc::new(DeviceCache::default());
        let hearing = Hearing {
            devices: devices.clone(),
            homeserver: Arc::downgrade(&homeserver),
            accounts: accounts.clone(),
            moments: moments.clone(),
            news: Arc::downgrade(&news),
        };
        news::listen(&homeserver, &news, &hearing.start()?, &devices)?;
        let device_wishes = device_cache::start(devices.clone(), Arc::downgrade(&homeserver))?;
        let (store, name) = (accounts.clone(), server_name.clone());
        let answer = move |question| questions::answer(&store, &name, &unwelcome, &question);
        homeserver.on_question(Box::new(answer));
        Ok(Self {
            server_name,
            homeserver,
            accounts,
            news,
            moments,
            devices,
            device_wishes,
            reserved_aliases: Mutex::default(),
            operators: BTreeSet::new(),
            attempts: login::Attempts::default(),
        })
    }

    /// Lets these users, by their local parts, look after the server itself.
    #[must_use]
    pub fn operated_by(mut self, operators: impl IntoIterator<Item = String>) -> Self {
        self.operators.extend(operators);
        self
    }

    /// Answers a request.
    #[must_use]
    pub fn handle(&self, request: &http::Request<Bytes>) -> Response<Bytes> {
        let mut response = match request.method() {
            &Method::OPTIONS => json_response(StatusCode::OK, &Value::Object(Default::default())),
            _ => self
                .answer(request)
                .unwrap_or_else(MatrixError::into_response),
        };
        allow_any_origin(&mut response);
        response
    }

    /// Lets every waiting `sync` return now, and every later one at once.
    pub fn stop_waiting(&self) {
        self.news.close();
    }

    fn answer(&self, request: &http::Request<Bytes>) -> Result<Response<Bytes>, MatrixError> {
        let (handler, request) = routes::find(request)?;
        let session = || Session::authenticate(self, &request);
        let body = match handler {
            Handler::File(answer) => return answer(&session()?, &request),
            Handler::Public(answer) => answer(self, &request)?,
            Handler::User(answer) => answer(&session()?, &request)?,
        };
        Ok(json_response(StatusCode::OK, &body))
    }

    fn command(&self, command: impl Into<Command>) -> Result<Reply, MatrixError> {
        self.homeserver
            .command(command.into())
            .map_err(errors::from_command)
    }
}

/// Web clients of any site may use the API (client-server API, "Web browser clients").
fn allow_any_origin(response: &mut Response<Bytes>) {
    let headers = [
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-methods",
            "GET, POST, PUT, DELETE, OPTIONS",
        ),
        (
            "access-control-allow-headers",
            "X-Requested-With, Content-Type, Authorization",
        ),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests;
