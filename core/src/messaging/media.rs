//! Files that users send each other: they belong to the homeserver that they were uploaded to, and
//! are asked of it by their id (MEDIA-1 to MEDIA-4).

use bytes::Bytes;
use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use super::{
    command::{CommandError, Reply},
    homeserver,
    notice::{Question, Told},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    transport::{
        multipart,
        remote_request::Endpoint,
        remote_response::{RemoteError, RemoteResponse},
    },
};

/// The largest file that is taken from another server or given to one, in bytes.
pub const MEDIA_BYTES_MAX: usize = 50 << 20;

/// How long the id of a file may be.
const MEDIA_ID_MAX: usize = 255;

/// A file of one homeserver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WantedMedia {
    /// Its id there.
    pub media_id: String,
    /// Not the file itself but a small picture of it.
    pub thumbnail: Option<Thumbnail>,
}

impl WantedMedia {
    /// Whether the id is made as ids are. What is not must reach neither a URL nor a file system.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let id = self.media_id.as_bytes();
        (1..=MEDIA_ID_MAX).contains(&id.len()) && id.iter().copied().all(is_letter)
    }
}

/// A small picture of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thumbnail {
    /// How wide it should be, in pixels.
    pub width: u32,
    /// How high.
    pub height: u32,
    /// Whether it should fill that, cut off where it does not fit, or fit in.
    pub is_cropped: bool,
    /// Whether it may move.
    pub animated: bool,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What is in it, or where that is.
    pub content: MediaContent,
    /// As in the HTTP header.
    pub content_type: Option<String>,
    /// As in the HTTP header.
    pub content_disposition: Option<String>,
}

/// What is in a file, or where that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaContent {
    /// The bytes.
    Bytes(Bytes),
    /// A URL from which anybody may get the bytes, for a while. It should not be kept.
    Location(String),
}

/// Our user wants to see a file.
#[derive(Clone, Debug)]
pub struct FetchMedia {
    /// Of which server.
    pub server: OwnedServerName,
    /// Which.
    pub wanted: WantedMedia,
}

impl FetchMedia {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if !self.wanted.is_well_formed() {
            let error = CommandError::Invalid("that is no id of a file".to_owned());
            return Ok(Outcome::complete(Err(error)));
        }
        let question = Question::Media(self.wanted.clone());
        let told = match homeserver::ask(&self.server, &question, facts)? {
            Err(error) if error.is_of_unknown_endpoint() => self.ask_as_of_old(facts)?,
            told => told,
        };
        let not_found = || CommandError::NotFound("there is no such file".to_owned());
        Ok(Outcome::complete(match told {
            Ok(Told::Media(media)) => Ok(Reply::Media(Box::new(media))),
            Ok(Told::NoThumbnail) => Err(CommandError::Invalid(
                "there is no small picture of this file".to_owned(),
            )),
            Ok(_) => Err(not_found()),
            Err(error) => Err(CommandError::of_server(&self.server, &error)),
        }))
    }

    /// As anybody could ask before files were given to servers only (MEDIA-3).
    fn ask_as_of_old(&self, facts: &Facts<'_>) -> Result<Result<Told, RemoteError>, Blocked> {
        let endpoint = Endpoint::OpenMedia(self.server.clone(), self.wanted.clone());
        let answer: &RemoteResponse = facts.call(&self.server, endpoint)?;
        Ok(match answer {
            Ok(answer) => Ok(Told::Media(multipart::whole(answer))),
            Err(error) => Err(error.clone()),
        })
    }
}
