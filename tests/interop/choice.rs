//! What a run plays, decided from the environment and from what is installed.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

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
    match (wish, installed_python()) {
        ("off", _) => Choice::LeaveOut("COMITY_INTEROP is off".to_owned()),
        ("synapse-pair", Ok(python)) => Choice::Play(Casting::SynapseTwice, python),
        ("" | "require", Ok(python)) => Choice::Play(Casting::ComityAndSynapse, python),
        ("", Err(reason)) => Choice::LeaveOut(reason),
        ("require" | "synapse-pair", Err(reason)) => Choice::Fail(reason),
        (other, _) => Choice::Fail(format!("COMITY_INTEROP may not be {other:?}")),
    }
}

/// The Python of the virtual environment that `install.sh` made, if that is complete and is what
/// `requirements.txt` now asks for.
fn installed_python() -> Result<PathBuf, String> {
    let place = virtual_environment();
    let installed = fs::read_to_string(place.join("installed-requirements.txt"));
    match installed {
        Ok(pins) if pins == include_str!("requirements.txt") => Ok(place.join("bin/python")),
        Ok(_) => Err(format!(
            "{} holds another Synapse; {INSTALL}",
            place.display()
        )),
        Err(_) => Err(format!(
            "there is no Synapse in {}; {INSTALL}",
            place.display()
        )),
    }
}

const INSTALL: &str = "tests/interop/install.sh installs it";

fn virtual_environment() -> PathBuf {
    match env::var_os("COMITY_INTEROP_VENV") {
        Some(place) => place.into(),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("interop-venv"),
    }
}
