//! `comity explain`: why an event was accepted or refused, and how a room came by its state.
//!
//! It reads the server's database, whether the server runs or not, and changes nothing. What it
//! finds is a report of [`comity_core::pdu::explain`], printed for people or, with `--json`, as
//! one object whose fields are documented there.

mod event_page;
mod graph;
mod page;
mod room_page;
mod source;
mod words;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use comity_core::pdu::explain::{EventReport, RoomReport};
use serde::Serialize;

use self::{page::Page, source::Source};
use crate::cli::CommandResult;

/// See `comity explain --help`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// An event's id or the beginning of it, a room's id, or a local alias
    ///
    /// In a shell, put it in single quotes, since `$` and `!` mean something there; or leave the
    /// `$` of an event id away.
    #[arg(value_name = "EVENT|ROOM", allow_hyphen_values = true)]
    subject: String,
    /// The server's configuration
    #[arg(long, value_name = "FILE", required_unless_present = "database")]
    config: Option<PathBuf>,
    /// A database to read instead of the configured one, such as a copy of another server's
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<PathBuf>,
    /// Of a room: explain the state before this event instead of the current one
    #[arg(long, value_name = "EVENT")]
    at: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Of a room: draw its recent event graph, time from left to right and one lane per server
    #[arg(long, value_name = "FILE.svg")]
    graph: Option<PathBuf>,
    /// How many events to draw
    #[arg(long, value_name = "NUMBER", default_value_t = 60, requires = "graph",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    events: u16,
    /// Draw what authorises each event, too
    #[arg(long, requires = "graph")]
    auth_edges: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Explanation {
    Event(Box<EventReport>),
    Room(Box<RoomReport>),
}

/// Explains what is asked for.
///
/// # Errors
/// When it is not stored, or the store cannot be read.
pub fn run(arguments: &ExplainArguments) -> CommandResult {
    let source = match (&arguments.config, &arguments.database) {
        (Some(config), _) => Source::configured(config)?,
        (None, Some(database)) => Source::copy(database)?,
        (None, None) => return Err("--config or --database is needed".into()),
    };
    let explanation = source.explain(&arguments.subject, arguments.at.as_deref())?;
    if let Some(file) = &arguments.graph {
        let graph = source.graph(&arguments.subject, arguments.events, arguments.auth_edges)?;
        fs::write(file, graph::draw(&graph, arguments.auth_edges))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut stdout = io::stdout().lock();
    if arguments.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&explanation)?)?;
    } else {
        let mut page = Page::new(page::Colours::if_wanted(stdout.is_terminal()));
        match &explanation {
            Explanation::Event(report) => event_page::write(report, &mut page),
            Explanation::Room(report) => room_page::write(report, &mut page),
        }
        write!(stdout, "{page}")?;
    }
    Ok(stdout.flush()?)
}
