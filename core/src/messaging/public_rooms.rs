//! The directory of published rooms: ours for everybody, and other servers' for our users
//! (PUBROOMS-1, PUBROOMS-2). Which rooms are published the application knows; how they look, we do.

use bytes::Bytes;
use http::StatusCode;
use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use super::{
    command::{CommandError, Reply},
    notice::{Question, Told},
    overview::{Description, RoomOverview, descriptions, ours},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        world::Room,
    },
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
        remote_request::Endpoint,
        remote_response,
    },
};

/// How many published rooms are looked at.
const PUBLISHED_MAX: usize = 1_000;

/// How many rooms one answer holds.
const PAGE_MAX: usize = 100;

/// Which published rooms are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WantedRooms {
    /// How many at most; as many as there are without it, or if it is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the last answer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RoomFilter>,
    /// The network of another kind that they are to be of: we know none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party_instance_id: Option<String>,
}

/// Which rooms are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomFilter {
    /// What their name, topic or alias must contain, whatever the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic_search_term: Option<String>,
    /// Their types; `None` among them stands for rooms without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_types: Option<Vec<Option<String>>>,
}

/// A page of a directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PublicRooms {
    /// The rooms; large ones first.
    pub chunk: Vec<RoomOverview>,
    /// Where the next page begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// Where the last page begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// About how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_room_count_estimate: Option<u64>,
}

/// Another server wants to see our directory.
#[derive(Clone, Debug)]
pub struct ServePublicRooms {
    /// What of it.
    pub wanted: WantedRooms,
}

impl ServePublicRooms {
    /// Reads the body of `POST /publicRooms`.
    ///
    /// # Errors
    /// 400 `M_BAD_JSON`.
    pub fn new(body: &Bytes) -> Result<Self, MatrixError> {
        let wanted = serde_json::from_slice(body)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        Ok(Self { wanted })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let page = our_page(&self.wanted, facts)?;
        Ok(Outcome::respond(json_response(StatusCode::OK, &page)))
    }
}

/// Our user wants to see a directory.
#[derive(Clone, Debug)]
pub struct ListPublicRooms {
    /// Whose.
    pub server: OwnedServerName,
    /// What of it.
    pub wanted: WantedRooms,
}

impl ListPublicRooms {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.server == facts.our_name() {
            let page = our_page(&self.wanted, facts)?;
            return Ok(Outcome::complete(Ok(Reply::PublicRooms(page))));
        }
        let answer = facts.call(&self.server, Endpoint::PublicRooms(self.wanted.clone()))?;
        let page = answer.as_ref().map_err(Clone::clone);
        let page = page.and_then(|body| remote_response::parse::<PublicRooms>(body));
        let page: Result<_, CommandError> =
            page.map_err(|error| CommandError::of_server(&self.server, &error));
        Ok(Outcome::complete(page.map(Reply::PublicRooms)))
    }
}

/// A page of our own directory: the rooms with most members first. A token is how many rooms come
/// before.
fn our_page(wanted: &WantedRooms, facts: &Facts<'_>) -> Result<PublicRooms, Blocked> {
    let rooms = published(wanted, facts)?;
    let total = rooms.len();
    let begin = wanted.since.as_ref().and_then(|since| since.parse().ok());
    let begin: usize = begin.unwrap_or_default();
    let limit = wanted.limit.filter(|limit| *limit > 0);
    let limit = limit.map_or(PAGE_MAX, |limit| PAGE_MAX.min(limit as usize));
    let page: Vec<&Room> = rooms.into_iter().skip(begin).take(limit).collect();
    let end = begin.saturating_add(page.len());
    let described = descriptions(&page, facts)?;
    let overviews = page.iter().zip(&described);
    Ok(PublicRooms {
        chunk: overviews
            .map(|(room, described)| described.overview(room))
            .collect(),
        next_batch: (end < total && !page.is_empty()).then(|| end.to_string()),
        prev_batch: (begin > 0).then(|| begin.saturating_sub(limit).to_string()),
        total_room_count_estimate: Some(total as u64),
    })
}

/// All rooms that are published here and wanted.
fn published<'f>(wanted: &WantedRooms, facts: &Facts<'f>) -> Result<Vec<&'f Room>, Blocked> {
    if wanted
        .third_party_instance_id
        .as_ref()
        .is_some_and(|id| !id.is_empty())
    {
        return Ok(Vec::new());
    }
    let Told::PublishedRooms(room_ids) = facts.told(Question::PublishedRooms)? else {
        return Ok(Vec::new());
    };
    let rooms = room_ids.iter().take(PUBLISHED_MAX);
    let rooms: Vec<_> = rooms.map(|room_id| ours(room_id, facts)).collect();
    let rooms = rooms.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    let mut rooms: Vec<&Room> = rooms.into_iter().flatten().collect();
    if let Some(filter) = &wanted.filter {
        let described = descriptions(&rooms, facts)?;
        let both = rooms.into_iter().zip(described);
        let passing = both.filter(|(room, described)| filter.passes(room, described));
        rooms = passing.map(|(room, _)| room).collect();
    }
    rooms.sort_by_key(|room| (std::cmp::Reverse(room.joined.len()), &room.room_id));
    rooms.dedup_by_key(|room| &room.room_id);
    Ok(rooms)
}

impl RoomFilter {
    fn passes(&self, room: &Room, described: &Description) -> bool {
        let overview = described.overview(room);
        let types = self.room_types.as_ref();
        let is_of_type = types.is_none_or(|types| types.contains(&overview.room_type));
        let term = self
            .generic_search_term
            .as_ref()
            .map(|term| term.to_lowercase());
        let texts = [overview.name, overview.topic, overview.canonical_alias];
        let mut texts = texts.into_iter().flatten().map(|text| text.to_lowercase());
        is_of_type && term.is_none_or(|term| texts.any(|text| text.contains(&term)))
    }
}
