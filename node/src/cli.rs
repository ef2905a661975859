//! The command line: what can be typed, and which part of the program does it.

use std::{error::Error, io, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::Runtime, demo, destination, explain, init, replay, room_cli, serve, status, user,
};

/// What every command comes to: nothing, or an error for people.
pub type CommandResult = Result<(), Box<dyn Error>>;

/// A small Matrix homeserver node around Comity's federation core.
#[derive(Debug, Parser)]
#[command(name = "comity", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show three servers federating, each with its own database, all in this process
    Demo(DemoArguments),
    /// Write a configuration, a signing key and, if asked, a self-signed certificate
    Init(InitArguments),
    /// Run a server until SIGTERM or Ctrl-C
    Serve(ServeArguments),
    /// Look after the server's users
    #[command(subcommand)]
    User(UserCommand),
    /// Use rooms as one of the server's users, over its client API
    Room(room_cli::RoomArguments),
    /// Tell how a running server stands: whom it cannot reach, what it is at
    ///
    /// For users whom the configuration calls operators.
    Status(status::StatusArguments),
    /// Look after what is owed to other servers
    ///
    /// For users whom the configuration calls operators.
    Destination(destination::DestinationArguments),
    /// Run a recorded log of a server again and tell where it comes out differently
    ///
    /// Fails if it does. `[recording]` in the configuration switches recording on.
    Replay(replay::ReplayArguments),
    /// Tell why an event was accepted or refused, or how a room came by its state
    ///
    /// Reads the server's database, whether the server runs or not, and changes nothing.
    Explain(explain::ExplainArguments),
}

/// See `comity demo --help`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Tell the story as JSON, one object per line
    #[arg(long)]
    pub json: bool,
    /// Keep the three databases in this directory, instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// See `comity init --help`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The server's name, as in @user:NAME; with `:PORT` unless other servers find it at 8448
    #[arg(long, value_name = "NAME")]
    pub server_name: String,
    /// Where to write; made if missing. Nothing that is there is overwritten
    #[arg(long)]
    pub dir: PathBuf,
    /// Make a certificate for the name that is signed by its own key
    #[arg(long, conflicts_with_all = ["certificate", "private_key"])]
    pub self_signed: bool,
    /// Use this TLS certificate chain (PEM)
    #[arg(
        long,
        alias = "tls-certificate",
        value_name = "FILE",
        requires = "private_key"
    )]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(
        long,
        alias = "tls-private-key",
        value_name = "FILE",
        requires = "certificate"
    )]
    pub private_key: Option<PathBuf>,
    /// Trust the certificate authorities in this file (PEM) besides the system's; repeatable
    #[arg(long, alias = "trusted-ca", value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Where to listen for other servers; all addresses at the name's port if not given
    #[arg(long, value_name = "ADDR:PORT")]
    pub federation_listen: Option<SocketAddr>,
    /// Where to listen for clients
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8008")]
    pub client_listen: SocketAddr,
}

/// See `comity serve --help`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration that `comity init` wrote
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which runtime drives the federation, instead of the configured one
    #[arg(long)]
    pub runtime: Option<Runtime>,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a user and print an access token; for a user that exists, print a further token
    ///
    /// Works while the server runs. The token is also kept beside the configuration, in
    /// `tokens/NAME`, readable by its owner only, for `comity room --as NAME`.
    Add(UserAddArguments),
    /// Set the password that a user logs in with, read from standard input
    ///
    /// Works while the server runs. The password is the first line, without its line break.
    Password(UserPasswordArguments),
}

/// See `comity user add --help`.
#[derive(Debug, Args)]
pub struct UserAddArguments {
    /// The local part of the user id: `alice` for @alice:NAME
    pub name: String,
    /// The server's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The name that rooms show for the user
    #[arg(long, value_name = "TEXT")]
    pub displayname: Option<String>,
}

/// See `comity user password --help`.
#[derive(Debug, Args)]
pub struct UserPasswordArguments {
    /// The local part of the user id
    pub name: String,
    /// The server's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

impl ValueEnum for Runtime {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Smol, Self::Sync]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// Does what the command line says. An error goes to standard error and makes the exit code 1;
/// a command line that makes no sense makes it 2.
#[must_use]
pub fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::User(UserCommand::Add(arguments)) => user::add(&arguments),
        Command::User(UserCommand::Password(arguments)) => user::set_password(&arguments),
        Command::Room(arguments) => room_cli::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Destination(arguments) => destination::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("comity: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads the output has seen enough, as `head` does.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }
}
