//! The Synapse that `install.sh` installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The Python of the virtual environment that `install.sh` made, if that is complete and is what
/// `requirements.txt` now asks for. Otherwise the reason, which completes "left out, because".
pub fn python() -> Result<PathBuf, String> {
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
