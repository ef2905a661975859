//! What can be seen of a network from outside, and who looks.

use bytes::Bytes;
use comity_core::{
    Monotonic,
    input::{CallError, CommandId},
    messaging::{
        command::{Command, CommandError, Reply},
        notice::Notice,
    },
};
use http::{Request, Response};
use ruma_common::ServerName;

/// What a request came to, as the one who asked sees it.
pub type CallOutcome = Result<Response<Bytes>, CallError>;

/// Which request it was.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Tells it from all others.
    pub number: u64,
    /// Who asked.
    pub from: &'a ServerName,
    /// Whom.
    pub to: &'a ServerName,
    /// The method and the target.
    pub line: &'a str,
    /// Whether a server of its own accord sent it, and not a script or a mask.
    pub by_core: bool,
}

impl Asked<'_> {
    /// The endpoint's name, such as `send_join`; `key` for keys.
    pub fn endpoint(&self) -> &str {
        let path = self.line.split(['?', ' ']).nth(1).unwrap_or_default();
        let mut segments = path.split('/').skip(2);
        match (segments.next(), segments.nth(1)) {
            (Some("key"), _) => "key",
            (_, endpoint) => endpoint.unwrap_or_default(),
        }
    }

    /// Whether it delivers a transaction.
    pub fn is_transaction(&self) -> bool {
        self.endpoint() == "send"
    }
}

/// Something that happens.
#[derive(Debug)]
pub enum Sight<'a> {
    /// A server was started.
    Started(&'a ServerName),
    /// A server is down: it crashed, or its power failed, or its disk.
    Down(&'a ServerName),
    /// A user wants something.
    Commanded(&'a ServerName, CommandId, &'a Command),
    /// A user is told how it went.
    Completed(
        &'a ServerName,
        CommandId,
        &'a Result<Reply, CommandError>,
    ),
    /// The application is told something.
    Noticed(&'a ServerName, &'a Notice),
    /// A request leaves.
    Requested(Asked<'a>, &'a Request<Bytes>),
    /// A server answers, whether that arrives or not.
    Answered(Asked<'a>, &'a Response<Bytes>),
    /// The one who asked has an outcome.
    Concluded(Asked<'a>, &'a CallOutcome),
    /// The one who asked is gone.
    Abandoned(Asked<'a>),
}

/// Somebody who watches the whole network.
pub trait Onlooker {
    /// Something happens.
    ///
    /// # Errors
    /// What must never happen, if this is that.
    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String>;
}
