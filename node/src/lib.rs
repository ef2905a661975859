//! The node: a small Matrix homeserver around Comity's federation core.
//!
//! It adds to the core what makes a server that people can use: a configuration ([`config`]),
//! users and aliases ([`accounts`]), the Client-Server API ([`client_api`]), and a command line
//! ([`cli`]). It decides nothing about federation; what it wants it asks of a
//! [`Homeserver`](homeserver::Homeserver).

pub mod accounts;
mod certificate_files;
pub mod certificates;
pub mod cli;
pub mod client_api;
pub mod config;
pub mod demo;
pub mod destination;
pub mod explain;
pub mod federation_server;
pub mod homeserver;
pub mod init;
pub mod logging;
pub mod media;
mod new_file;
pub mod observing;
pub mod questions;
mod random;
pub mod replay;
pub mod room_cli;
pub mod serve;
pub mod signing_key;
pub mod status;
pub mod user;
