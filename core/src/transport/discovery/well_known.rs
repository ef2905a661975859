//! What a server delegates by `/.well-known/matrix/server`, and for how long that is believed
//! (DISC-2 to DISC-6).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use serde::Deserialize;

use super::http_date;
use crate::{
    time::{Monotonic, WallTime},
    transport::server_address::{Host, parse_server_name},
};

/// How much of a page is read. Nothing longer is a delegation.
pub const PAGE_BYTES_MAX: usize = 50 * 1024;

/// How long a delegation is believed that says nothing about it.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// … the least, so that nobody can make us ask all the time, …
const BELIEVED_MIN: Duration = Duration::from_secs(5 * 60);
/// … and the most.
const BELIEVED_MAX: Duration = Duration::from_secs(48 * 60 * 60);

/// In which part of its life a delegation is asked for anew, in hundredths: so that nobody waits for
/// it when it ends, and not all that began at once are asked for at once.
const REFRESHED_FROM: u32 = 76;
/// See [`REFRESHED_FROM`].
const SPREAD: u32 = 9;

/// How long an old delegation outlives its time when the server cannot be asked.
const GRACE: Duration = Duration::from_secs(2 * 60 * 60);
/// How soon it is asked again then.
const RETRY: Duration = Duration::from_secs(2 * 60);

/// How long it is believed that there is no delegation: the first time, and at most.
const ABSENT_MIN: Duration = Duration::from_secs(5 * 60);
const ABSENT_MAX: Duration = Duration::from_secs(60 * 60);

/// The port of pages.
const HTTPS_PORT: u16 = 443;

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The path and query.
    pub(super) target: String,
}

impl Place {
    /// Where a host's delegation is.
    pub(super) fn of(host: &str) -> Self {
        Self {
            host: Host::Name(host.to_owned()),
            port: HTTPS_PORT,
            target: "/.well-known/matrix/server".to_owned(),
        }
    }

    /// The page with this URL, if it is one to which we go.
    pub(super) fn at(url: &str) -> Option<Self> {
        let is_whole = url.starts_with("https://");
        Self::of("").follow(url).filter(|_| is_whole)
    }

    /// Where a redirection leads; `None` if that is nowhere we go. Only to HTTPS: whoever can
    /// change an answer on the way could otherwise delegate any server to themselves.
    pub(super) fn follow(&self, location: &str) -> Option<Self> {
        let uri: Uri = location.parse().ok()?;
        let target = uri.path_and_query()?.as_str();
        if !target.starts_with('/') || target.starts_with("//") {
            return None;
        }
        let target = target.to_owned();
        match (uri.scheme_str(), uri.authority()) {
            (None, None) => Some(Self {
                target,
                ..self.clone()
            }),
            (Some("https"), Some(authority)) => {
                let (host, port) = parse_server_name(authority.as_str()).ok()?;
                let port = port.unwrap_or(HTTPS_PORT);
                Some(Self { host, port, target })
            }
            _ => None,
        }
    }

    /// The `Host` header of a request for it.
    pub(super) fn host_header(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(core::net::IpAddr::V6(address)) => format!("[{address}]"),
            Host::Ip(address) => address.to_string(),
        };
        match self.port {
            HTTPS_PORT => host,
            port => format!("{host}:{port}"),
        }
    }
}

/// A page, reduced to what a delegation is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    status: StatusCode,
    location: Option<String>,
    /// For how long it may be kept, as its headers say.
    fresh_for: Option<Freshness>,
    body: Bytes,
}

/// For how long an answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    For(Duration),
    Until(WallTime),
}

impl From<Response<Bytes>> for Page {
    fn from(response: Response<Bytes>) -> Self {
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status: response.status(),
            location: text(header::LOCATION).map(ToOwned::to_owned),
            fresh_for: freshness(headers),
            body: response.into_body(),
        }
    }
}

/// What asking for a delegation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To this server name, for so long.
    DelegatesTo(String, Duration),
    /// To nobody.
    Absent,
    /// Another page holds the answer.
    Moved(Place),
    /// Nothing usable just now.
    Failed,
}

impl Page {
    /// What the page says; `place` is where it was found.
    pub(super) fn read(&self, place: &Place, now: WallTime) -> Answer {
        match self.status {
            StatusCode::OK => match delegate(&self.body) {
                Some(name) => Answer::DelegatesTo(name, self.believed_for(now)),
                None => Answer::Absent,
            },
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let location = self.location.as_deref();
                let next = location.and_then(|location| place.follow(location));
                next.map_or(Answer::Absent, Answer::Moved)
            }
            StatusCode::TOO_MANY_REQUESTS => Answer::Failed,
            status if status.is_server_error() => Answer::Failed,
            _ => Answer::Absent,
        }
    }

    /// Its text, if there is such a page.
    pub(super) fn text(&self) -> Option<&Bytes> {
        (self.status == StatusCode::OK).then_some(&self.body)
    }

    fn believed_for(&self, now: WallTime) -> Duration {
        let asked = match self.fresh_for {
            Some(Freshness::For(duration)) => duration,
            Some(Freshness::Until(moment)) => moment.since(now),
            None => BELIEVED_FOR,
        };
        asked.clamp(BELIEVED_MIN, BELIEVED_MAX)
    }
}

/// The server name that a delegation names.
fn delegate(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Delegation {
        #[serde(rename = "m.server")]
        server: String,
    }
    let Delegation { server } = serde_json::from_slice(body).ok()?;
    parse_server_name(&server).ok()?;
    Some(server)
}

/// `Cache-Control` counts before `Expires` (RFC 9111).
fn freshness(headers: &HeaderMap) -> Option<Freshness> {
    let controls = headers.get_all(header::CACHE_CONTROL);
    let controls = controls.iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> = controls
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|directive| directive == name);
    if has("no-store") || has("no-cache") {
        return Some(Freshness::For(Duration::ZERO));
    }
    let seconds = |directive: &String| {
        let seconds = directive.strip_prefix("max-age=")?.trim_matches('"');
        seconds.parse().ok().map(Duration::from_secs)
    };
    if let Some(age) = directives.iter().find_map(seconds) {
        return Some(Freshness::For(age));
    }
    let expires = headers.get(header::EXPIRES)?;
    let moment = expires.to_str().ok().and_then(http_date::parse);
    Some(Freshness::Until(moment.unwrap_or_default()))
}

/// What we believe of a host's delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// To whom it delegates.
    pub(super) to: Option<String>,
    /// When it is to be asked again …
    refresh: Monotonic,
    /// … and until when it may be believed if that comes to nothing.
    believed_until: Monotonic,
    /// How often in a row it delegated to nobody.
    absences: u32,
}

impl Delegation {
    /// What is believed after an answer, and an earlier belief. By lot some hosts are asked again
    /// sooner than others.
    pub(super) fn after(known: Option<&Self>, answer: Answer, now: Monotonic, lot: u8) -> Self {
        match (answer, known) {
            (Answer::DelegatesTo(name, duration), _) => Self {
                to: Some(name),
                refresh: now.plus(duration * (REFRESHED_FROM + u32::from(lot) % SPREAD) / 100),
                believed_until: now.plus(duration + GRACE),
                absences: 0,
            },
            (Answer::Failed, Some(known)) if known.to.is_some() && now < known.believed_until => {
                Self {
                    refresh: now.plus(RETRY),
                    ..known.clone()
                }
            }
            (Answer::Absent | Answer::Moved(_) | Answer::Failed, known) => {
                let absences = known.map_or(0, |known| known.absences);
                let pause = ABSENT_MIN * 2u32.pow(absences.min(8));
                Self {
                    to: None,
                    refresh: now.plus(pause.min(ABSENT_MAX)),
                    believed_until: now,
                    absences: absences.saturating_add(1),
                }
            }
        }
    }

    /// For how long nobody needs to be asked.
    pub(super) fn fresh_for(&self, now: Monotonic) -> Duration {
        self.refresh.since(now)
    }
}
