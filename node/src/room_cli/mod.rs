//! `comity room`: rooms for people at a terminal, and for scripts, over the client API.

pub(crate) mod client;
mod commands;
mod show;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::CommandResult;
use client::Client;

/// See `comity room --help`.
#[derive(Debug, Args)]
pub struct RoomArguments {
    #[command(flatten)]
    connection: Connection,
    /// Print what the server answers, as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: RoomCommand,
}

/// Which server to talk to, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The server's configuration, which tells its client address and the users' tokens
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Act as this user, by the token that `comity user add` left; needed if there are several
    #[arg(long = "as", value_name = "NAME", global = true)]
    user: Option<String>,
    /// The server's client address, such as http://127.0.0.1:8008, instead of --config
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// The access token, instead of the one beside --config
    #[arg(long, global = true, env = "COMITY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum RoomCommand {
    /// Create a room and print its id
    Create(CreateArguments),
    /// Join a room by id or alias and print its id
    Join {
        /// The room's id or alias
        room: String,
        /// A server that is in the room; repeatable
        #[arg(long, value_name = "SERVER")]
        via: Vec<String>,
    },
    /// Leave a room, or refuse an invite to it
    Leave {
        /// The room's id or alias
        room: String,
        /// Why, for the others
        #[arg(long)]
        reason: Option<String>,
    },
    /// Invite a user of any server
    Invite {
        /// The room's id or alias
        room: String,
        /// The user's id
        user: String,
    },
    /// Send a text message and print its event id
    Send {
        /// The room's id or alias
        room: String,
        /// The text
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Print the latest messages, oldest first
    History {
        /// The room's id or alias
        room: String,
        /// How many events to look at
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Print who is in a room, invited, gone or banned
    Members {
        /// The room's id or alias
        room: String,
    },
    /// Print a room's state, or one event of it
    State {
        /// The room's id or alias
        room: String,
        /// The type of one state event
        event_type: Option<String>,
        /// Its state key
        #[arg(default_value = "")]
        state_key: String,
    },
    /// List the rooms that the user is in or invited to
    List,
    /// Print what happens until interrupted, in one room or in all
    Watch {
        /// The room's id or alias
        room: Option<String>,
    },
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// The room's name
    #[arg(long)]
    name: Option<String>,
    /// The room's topic
    #[arg(long)]
    topic: Option<String>,
    /// Make #ALIAS:SERVER stand for it
    #[arg(long)]
    alias: Option<String>,
    /// Let anybody join who knows of it
    #[arg(long)]
    public: bool,
    /// The room's version; the server's default if not given
    #[arg(long, value_name = "VERSION")]
    room_version: Option<String>,
    /// Invite this user; repeatable
    #[arg(long, value_name = "USER")]
    invite: Vec<String>,
}

/// Does what the command says.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(arguments: &RoomArguments) -> CommandResult {
    let client = Client::connect(&arguments.connection)?;
    let output = commands::Output {
        json: arguments.json,
    };
    match &arguments.command {
        RoomCommand::Create(room) => commands::create(&client, output, room),
        RoomCommand::Join { room, via } => commands::join(&client, output, room, via),
        RoomCommand::Leave { room, reason } => {
            commands::leave(&client, output, room, reason.as_deref())
        }
        RoomCommand::Invite { room, user } => commands::invite(&client, output, room, user),
        RoomCommand::Send { room, text } => commands::send(&client, output, room, &text.join(" ")),
        RoomCommand::History { room, limit } => commands::history(&client, output, room, *limit),
        RoomCommand::Members { room } => commands::members(&client, output, room),
        RoomCommand::State {
            room,
            event_type,
            state_key,
        } => commands::state(&client, output, room, event_type.as_deref(), state_key),
        RoomCommand::List => commands::list(&client, output),
        RoomCommand::Watch { room } => watch::watch(&client, output, room.as_deref()),
    }
}
