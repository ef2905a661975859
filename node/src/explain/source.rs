//! Where the facts come from: the server's database and, if it is at hand, its configuration.

use std::{error::Error, path::Path};

use comity_core::{
    keys::OwnKeys,
    pdu::explain::{self, Archive, RoomGraph},
    persistence::queries::{Answer, Read},
};
use comity_store::Glance;
use ruma_common::{OwnedEventId, OwnedRoomId, RoomAliasId, RoomId};

use super::Explanation;
use crate::{accounts::Accounts, config::Config, federation_server::DATABASE_FILE, signing_key};

/// How many events may begin alike and be listed.
const ALIKE_MAX: u32 = 5;

/// What is to be explained.
enum Subject {
    Event(OwnedEventId),
    Room(OwnedRoomId),
}

/// A database and what belongs to it.
pub(super) struct Source {
    config: Option<Config>,
    own: Option<OwnKeys>,
    database: Glance,
}

impl Source {
    /// The database of the server with this configuration.
    pub(super) fn configured(config: &Path) -> Result<Self, Box<dyn Error>> {
        let config = Config::load(config)?;
        let key = signing_key::read(&config.federation.signing_key)
            .map_err(|error| format!("{}: {error}", config.federation.signing_key.display()))?;
        Ok(Self {
            database: open(&config.database_directory.join(DATABASE_FILE))?,
            own: Some(OwnKeys::new(config.server_name.clone(), key.into())),
            config: Some(config),
        })
    }

    /// A database alone.
    pub(super) fn copy(database: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            database: open(database)?,
            own: None,
            config: None,
        })
    }

    /// Explains what these words name; of a room, the state before the event `at`, if it is given.
    pub(super) fn explain(
        &self,
        words: &str,
        at: Option<&str>,
    ) -> Result<Explanation, Box<dyn Error>> {
        let archive = self.archive();
        Ok(match (self.subject(words)?, at) {
            (Subject::Event(_), Some(_)) => return Err("--at is for rooms".into()),
            (Subject::Event(event_id), None) => {
                Explanation::Event(explain::explain_event(&event_id, &archive)?.into())
            }
            (Subject::Room(room_id), None) => {
                Explanation::Room(explain::explain_room(&room_id, &archive)?.into())
            }
            (Subject::Room(room_id), Some(at)) => {
                let at = self.event_id(at)?;
                let report = explain::explain_state_before(&at, &archive)?;
                if report.room_id != room_id {
                    return Err(format!("{at} is an event of {}", report.room_id).into());
                }
                Explanation::Room(report.into())
            }
        })
    }

    /// The recent graph of the room that these words name.
    pub(super) fn graph(
        &self,
        words: &str,
        events: u16,
        auth_events: bool,
    ) -> Result<RoomGraph, Box<dyn Error>> {
        let Subject::Room(room_id) = self.subject(words)? else {
            return Err("--graph is for rooms".into());
        };
        let archive = self.archive();
        Ok(explain::recent_graph(
            &room_id,
            events.into(),
            auth_events,
            &archive,
        )?)
    }

    /// What these words name: an event, a room, or a room by its alias.
    fn subject(&self, words: &str) -> Result<Subject, Box<dyn Error>> {
        match words.chars().next() {
            Some('!') => Ok(Subject::Room(RoomId::parse(words)?)),
            Some('#') => self.aliased(words).map(Subject::Room),
            _ => self.event_id(words).map(Subject::Event),
        }
    }

    fn archive(&self) -> Archive<'_> {
        let own = self.own.as_ref();
        let own = own.map(|own| (own.server_name().to_owned(), own.verify_keys()));
        Archive::new(|read| self.database.read(&read), own)
    }

    /// The one stored event whose id begins like this.
    fn event_id(&self, words: &str) -> Result<OwnedEventId, Box<dyn Error>> {
        let prefix = format!("${}", words.trim_start_matches('$'));
        let read = Read::EventIds {
            prefix: prefix.clone(),
            limit: ALIKE_MAX,
        };
        let Answer::EventIds(found) = self.database.read(&read)? else {
            return Err("the store answered another question".into());
        };
        match found.as_slice() {
            _ if prefix == "$" => {
                Err("no id was given; in a shell, put it in single quotes".into())
            }
            [] => Err(format!("event {prefix} is not stored here").into()),
            [only] => Ok(only.clone()),
            [first, ..] if *first == prefix => Ok(first.clone()),
            several => {
                let several: Vec<_> = several.iter().map(|id| id.as_str()).collect();
                Err(format!("{prefix} may be any of {}", several.join(", ")).into())
            }
        }
    }

    fn aliased(&self, alias: &str) -> Result<OwnedRoomId, Box<dyn Error>> {
        let alias = RoomAliasId::parse(alias)?;
        let config = self.config.as_ref();
        let config = config.ok_or("an alias needs --config; give the room's id instead")?;
        let found = Accounts::open(&config.database_directory)?.alias(&alias)?;
        let found = found.ok_or_else(|| format!("{alias} is no alias of this server"))?;
        Ok(found.room_id)
    }
}

fn open(database: &Path) -> Result<Glance, Box<dyn Error>> {
    Glance::at(database).map_err(|error| format!("{}: {error}", database.display()).into())
}
