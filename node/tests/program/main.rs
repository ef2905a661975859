//! The program as its users see it: processes, files, sockets and signals.

mod conversation;
mod demo;
mod node;
mod refusals;
mod restart;
