//! What can be seen of a network from outside.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{input::CallError, messaging::notice::Notice, persistence::queries::Batch};
use http::{Request, Response};
use percent_encoding::percent_decode_str;
use ruma_common::{OwnedRoomId, ServerName};

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
}

impl<'a> Asked<'a> {
    /// The endpoint's name, such as `send_join`; `key` for keys.
    pub fn endpoint(&self) -> &'a str {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let mut segments = path.split('/').skip(2);
        match (segments.next(), segments.nth(1)) {
            (Some("key"), _) => "key",
            (_, endpoint) => endpoint.unwrap_or_default(),
        }
    }

    /// What its path ends with, such as a transaction's id.
    pub fn last_segment(&self) -> &'a str {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it delivers a transaction.
    pub fn is_transaction(&self) -> bool {
        self.endpoint() == "send"
    }
}

/// The room that a request's line names.
pub fn room_in(line: &str) -> Option<OwnedRoomId> {
    let mut segments = line
        .split(['/', '?'])
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy());
    segments.find_map(|segment| (*segment).try_into().ok())
}

/// Something that happens.
#[derive(Debug)]
pub enum Sight<'a> {
    /// A server was started.
    Started(&'a ServerName),
    /// A server is down: it crashed, or its power failed, or its disk.
    Down(&'a ServerName),
    /// From now on a server's disk takes so long for a query at most.
    Slowed(&'a ServerName, Duration),
    /// A batch is on a server's disk, whether the server knows of it yet or not.
    Written(&'a ServerName, &'a Batch),
    /// The application is told something.
    Noticed(&'a ServerName, &'a Notice),
    /// A request leaves.
    Requested(Asked<'a>, &'a Request<Bytes>),
    /// A request is handed to the server that it is for.
    Arrived(Asked<'a>),
    /// A server answers, whether that arrives or not.
    Answered(Asked<'a>, &'a Response<Bytes>),
    /// The one who asked has an outcome.
    Concluded(Asked<'a>, &'a CallOutcome),
    /// The one who asked is gone.
    Abandoned(Asked<'a>),
}

impl<'a> Sight<'a> {
    /// Whose behaviour it shows.
    pub fn subject(&self) -> &'a ServerName {
        match self {
            Self::Started(server)
            | Self::Down(server)
            | Self::Slowed(server, _)
            | Self::Written(server, _)
            | Self::Noticed(server, _) => server,
            Self::Requested(asked, _) | Self::Concluded(asked, _) | Self::Abandoned(asked) => {
                asked.from
            }
            Self::Arrived(asked) | Self::Answered(asked, _) => asked.to,
        }
    }
}
