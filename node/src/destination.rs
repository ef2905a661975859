//! `comity destination`: other servers, as an operator knows better.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::CommandResult,
    client_api::RETRY,
    room_cli::{Connection, client::Client},
};

/// See `comity destination --help`.
#[derive(Debug, Args)]
pub struct DestinationArguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: DestinationCommand,
}

#[derive(Debug, Subcommand)]
enum DestinationCommand {
    /// Try another server again at once that is left alone for a while because it did not answer
    ///
    /// Prints how many servers had been left alone.
    Retry {
        /// The server, such as example.org; all of them if not given
        name: Option<String>,
    },
}

/// Does what the command line says.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(arguments: &DestinationArguments) -> CommandResult {
    let client = Client::connect(&arguments.connection)?;
    let DestinationCommand::Retry { name } = &arguments.command;
    let body = match name {
        Some(name) => json!({ "destination": name }),
        None => json!({}),
    };
    let answer = client.post(RETRY, &body)?;
    println!("{}", answer.get("retrying").unwrap_or(&json!(0)));
    Ok(())
}
