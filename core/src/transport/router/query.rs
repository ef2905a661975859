//! What the query of a request says.

use std::str::FromStr;

use ruma_common::{OwnedEventId, OwnedRoomId};

use super::{Route, ServerRoute, unrecognised};
use crate::{
    messaging::{
        media::{Thumbnail, WantedMedia},
        public_rooms::WantedRooms,
        resident::AnswerForm,
    },
    persistence::queries::Direction,
    time::WallTime,
    transport::matrix_error::{ErrorCode, MatrixError},
};

/// The part of a request's target behind the question mark.
pub(super) struct Query<'q>(pub(super) &'q str);

impl Query<'_> {
    pub(super) fn all(&self, key: &str) -> Vec<String> {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text)
                .decode_utf8()
                .map(|t| t.into_owned())
                .ok()
        };
        let pairs = self
            .0
            .split('&')
            .take(PAIRS_MAX)
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(name, _)| *name == key)
            .filter_map(|(_, value)| decode(value))
            .collect()
    }

    pub(super) fn required<T: for<'s> TryFrom<&'s str>>(
        &self,
        key: &str,
    ) -> Result<T, MatrixError> {
        let value = self.all(key).into_iter().next().ok_or_else(|| {
            MatrixError::new(ErrorCode::MissingParam, format!("{key} is missing"))
        })?;
        argument(&value)
    }

    /// What is much too long is no token.
    pub(super) fn openid_token(&self) -> Result<Route, MatrixError> {
        let missing = || MatrixError::new(ErrorCode::MissingToken, "access_token is missing");
        let token = self.all("access_token").into_iter().next();
        let token = token.filter(|token| token.len() <= OPENID_TOKEN_MAX);
        Ok(Route::OpenIdUser(token.ok_or_else(missing)?))
    }

    pub(super) fn make_knock(&self, room: &str, user: &str) -> Result<ServerRoute, MatrixError> {
        let versions = self.all("ver");
        if versions.is_empty() {
            return Err(MatrixError::new(ErrorCode::MissingParam, "ver is missing"));
        }
        let (room, user) = both(room, user)?;
        Ok(ServerRoute::MakeKnock(room, user, versions))
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.all(key).first().is_some_and(|value| value == "true")
    }

    /// In what form an answer is wished by an endpoint of this version.
    pub(super) fn answer_form(&self, version: &str) -> AnswerForm {
        let in_list = version == "v1";
        AnswerForm {
            in_list,
            omit_members: !in_list && self.flag("omit_members"),
        }
    }

    pub(super) fn public_rooms(&self) -> Result<ServerRoute, MatrixError> {
        let one = |key| self.all(key).into_iter().next();
        let limit = one("limit")
            .map(|limit| argument::<Number<u32>>(&limit))
            .transpose()?;
        Ok(ServerRoute::PublicRooms(Some(WantedRooms {
            limit: limit.map(|Number(limit)| limit),
            since: one("since"),
            filter: None,
            third_party_instance_id: one("third_party_instance_id"),
        })))
    }

    pub(super) fn keys_of(&self, server: &str) -> Result<Route, MatrixError> {
        let wanted_until = match self.all("minimum_valid_until_ts").first() {
            Some(time) => Some(WallTime(argument::<Number<u64>>(time)?.0)),
            None => None,
        };
        Ok(Route::KeysOf(argument(server)?, wanted_until))
    }

    pub(super) fn after(&self) -> Result<ServerRoute, MatrixError> {
        let from = self.all("from").into_iter().next();
        let limit = self.all("limit").into_iter().next();
        let limit = limit
            .map(|limit| argument::<Number<u32>>(&limit))
            .transpose()?;
        Ok(ServerRoute::After(from, limit.map(|Number(limit)| limit)))
    }

    pub(super) fn event_of(&self, room: &str) -> Result<(OwnedRoomId, OwnedEventId), MatrixError> {
        Ok((argument(room)?, self.required("event_id")?))
    }

    /// The outer error is for an unknown path. `timeout_ms` has no meaning here: no file has an id
    /// before it is there.
    pub(super) fn media(
        &self,
        segments: &[&str],
    ) -> Result<Result<ServerRoute, MatrixError>, MatrixError> {
        let thumbnail = match segments {
            ["download", _] => Ok(None),
            ["thumbnail", _] => self.thumbnail().map(Some),
            _ => return Err(unrecognised()),
        };
        Ok(thumbnail.and_then(|thumbnail| {
            let media_id = segments.last().map_or("", |id| id).to_owned();
            let wanted = WantedMedia {
                media_id,
                thumbnail,
            };
            match wanted.is_well_formed() {
                true => Ok(ServerRoute::Media(wanted)),
                false => Err(MatrixError::new(
                    ErrorCode::NotFound,
                    "that is no id of a file",
                )),
            }
        }))
    }

    pub(super) fn thumbnail(&self) -> Result<Thumbnail, MatrixError> {
        Ok(Thumbnail {
            width: self.required::<Number<u32>>("width")?.0,
            height: self.required::<Number<u32>>("height")?.0,
            is_cropped: self.all("method").first().is_some_and(|how| how == "crop"),
            animated: self.flag("animated"),
        })
    }

    pub(super) fn event_by_time(&self, room: &str) -> Result<ServerRoute, MatrixError> {
        let time = WallTime(self.required::<Number<u64>>("ts")?.0);
        let direction = Direction::from_letter(&self.required::<String>("dir")?);
        let invalid = || MatrixError::new(ErrorCode::InvalidParam, "dir is f or b");
        let direction = direction.ok_or_else(invalid)?;
        Ok(ServerRoute::EventByTime(argument(room)?, time, direction))
    }

    pub(super) fn backfill(&self, room: &str) -> Result<ServerRoute, MatrixError> {
        let from: Vec<OwnedEventId> = self
            .all("v")
            .iter()
            .map(|id| argument(id))
            .collect::<Result<_, _>>()?;
        let limit: u32 = self.required::<Number<u32>>("limit")?.0;
        if from.is_empty() {
            return Err(MatrixError::new(ErrorCode::MissingParam, "v is missing"));
        }
        Ok(ServerRoute::Backfill(argument(room)?, from, limit))
    }
}

/// How many pairs of a query are looked at.
const PAIRS_MAX: usize = 200;

/// How long an OpenID token may be, in bytes.
const OPENID_TOKEN_MAX: usize = 1_000;

/// A number in decimal digits.
pub(super) struct Number<N>(pub(super) N);

impl<N: FromStr> TryFrom<&str> for Number<N> {
    type Error = N::Err;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A part of a path, or a value, as what it should be.
pub(super) fn argument<T: for<'s> TryFrom<&'s str>>(text: &str) -> Result<T, MatrixError> {
    T::try_from(text)
        .map_err(|_| MatrixError::new(ErrorCode::InvalidParam, format!("{text:?} is malformed")))
}

/// Two parts of a path.
pub(super) fn both<A, B>(first: &str, second: &str) -> Result<(A, B), MatrixError>
where
    A: for<'s> TryFrom<&'s str>,
    B: for<'s> TryFrom<&'s str>,
{
    Ok((argument(first)?, argument(second)?))
}
