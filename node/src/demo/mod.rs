//! `comity demo`: three servers in one process hold a conversation, and one of them is stopped
//! hard in the middle of it.
//!
//! Everything is real but small: each server has its own SQLite file, its own listener with TLS on
//! loopback and its own runtime; they know each other only by name, and trust a certificate
//! authority that lives as long as the demo. `script` is the story, `server` the cast,
//! `narrator` the voice, `verdict` the comparison at the end.

mod narrator;
mod script;
mod server;
mod verdict;
mod witness;

use std::{error::Error, path::Path, time::Instant};

use crate::{
    certificates::Authority,
    cli::{CommandResult, DemoArguments},
    config::{LogFormat, Runtime},
    logging,
};
use narrator::Narrator;
use server::{DemoServer, Identity};

/// What is logged unless `RUST_LOG` says otherwise: only what should not happen.
const LOG_FILTER: &str = "error";

/// The three servers' names for people, and what drives them.
const CAST: [(&str, Runtime); 3] = [
    ("oak", Runtime::Smol),
    ("elm", Runtime::Sync),
    ("fir", Runtime::Smol),
];

/// Plays the story.
///
/// # Errors
/// When a step of it does not happen in time, or the servers do not agree at the end.
pub fn run(arguments: &DemoArguments) -> CommandResult {
    logging::start(LOG_FILTER, LogFormat::default());
    let temporary = tempfile::tempdir()?;
    let directory = arguments.keep.as_deref().unwrap_or(temporary.path());
    let narrator = Narrator::new(arguments.json, Instant::now());
    let [mut oak, mut elm, mut fir] = cast(directory)?;
    let room_id = script::play(&narrator, &mut oak, &mut elm, &mut fir)?;
    let agreed = verdict::compare(&narrator, &room_id, &[&oak, &elm, &fir])?;
    for server in [oak, elm, fir] {
        server.shut_down();
    }
    match agreed {
        true => Ok(()),
        false => Err("the servers do not agree".into()),
    }
}

fn cast(directory: &Path) -> Result<[DemoServer; 3], Box<dyn Error>> {
    let authority = Authority::new()?;
    let start =
        |(label, runtime)| DemoServer::start(Identity::new(label, runtime, &authority, directory)?);
    let [oak, elm, fir] = CAST.map(start);
    Ok([oak?, elm?, fir?])
}
