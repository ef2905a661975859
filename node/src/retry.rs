//! `comity retry`: an operator knows that another server is back.

use clap::Args;
use serde_json::json;

use crate::{
    cli::CommandResult,
    client_api::RETRY,
    room_cli::{Connection, client::Client},
};

/// See `comity retry --help`.
#[derive(Debug, Args)]
pub struct RetryArguments {
    #[command(flatten)]
    connection: Connection,
    /// The server, such as example.org; all of them if not given
    destination: Option<String>,
}

/// Prints how many servers had been left alone.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(arguments: &RetryArguments) -> CommandResult {
    let client = Client::connect(&arguments.connection)?;
    let body = match &arguments.destination {
        Some(destination) => json!({ "destination": destination }),
        None => json!({}),
    };
    let answer = client.post(RETRY, &body)?;
    println!("{}", answer.get("retrying").unwrap_or(&json!(0)));
    Ok(())
}
