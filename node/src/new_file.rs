//! Files that are written once, and directories that are nobody else's.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// Whoever the system's settings let.
    ByAll,
    /// Its owner alone (mode 0600).
    ByOwner,
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// When it is there, or cannot be written.
pub fn write(path: &Path, content: &str, readable: Readable) -> io::Result<()> {
    let mode = match readable {
        Readable::ByAll => 0o644,
        Readable::ByOwner => 0o600,
    };
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = file.map_err(named)?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(named)
}

/// Makes a directory, and those it is in, for its owner alone (mode 0700). One that is there stays
/// as it is.
///
/// # Errors
/// When it cannot be made.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
