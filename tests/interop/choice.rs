//! What a run plays, decided from the environment and from what is installed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::installation;
use crate::pair::Casting;

/// What to do with this run.
pub enum Choice {
    /// Play, with this Python.
    Play(Casting, PathBuf),
    /// Play nothing and pass; the reason completes "left out, because".
    LeaveOut(String),
    /// Play nothing and fail, for the same kind of reason.
    Fail(String),
}

/// Reads `COMITY_INTEROP` (see the README) and looks for the installed Synapse.
pub fn choose() -> Choice {
    let wish = env::var_os("COMITY_INTEROP");
    let wish = wish.as_deref().and_then(OsStr::to_str).unwrap_or_default();
    match (wish, installation::python()) {
        ("off", _) => Choice::LeaveOut("COMITY_INTEROP is off".to_owned()),
        ("synapse-pair", Ok(python)) => Choice::Play(Casting::SynapseTwice, python),
        ("" | "require", Ok(python)) => Choice::Play(Casting::ComityAndSynapse, python),
        ("", Err(reason)) => Choice::LeaveOut(reason),
        ("require" | "synapse-pair", Err(reason)) => Choice::Fail(reason),
        (other, _) => Choice::Fail(format!("COMITY_INTEROP may not be {other:?}")),
    }
}
