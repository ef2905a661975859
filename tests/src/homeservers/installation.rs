//! The Synapse that `tests/interop/install.sh` installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What `install.sh` calls the virtual environment.
const NAME: &str = "interop-venv";

const INSTALL: &str = "tests/interop/install.sh installs it";

/// The Python of the virtual environment that `install.sh` made, if that is complete and is what
/// `requirements.txt` now asks for. Otherwise the reason, which completes "left out, because".
///
/// # Errors
/// When there is none, or another one.
pub fn python() -> Result<PathBuf, String> {
    let place = virtual_environment();
    let installed = fs::read_to_string(place.join("installed-requirements.txt"));
    match installed {
        Ok(pins) if pins == include_str!("../../interop/requirements.txt") => {
            Ok(place.join("bin/python"))
        }
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

/// `COMITY_INTEROP_VENV`, or else what lies in the target directory, which is above the program
/// that runs.
fn virtual_environment() -> PathBuf {
    if let Some(place) = env::var_os("COMITY_INTEROP_VENV") {
        return place.into();
    }
    let program = env::current_exe().unwrap_or_default();
    let mut above = program.ancestors().map(|directory| directory.join(NAME));
    let found = above.find(|place| place.is_dir());
    found.unwrap_or_else(|| Path::new("target").join(NAME))
}
