//! The project's own sources, for tests that read them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// All Rust files below a folder, in no order, but for what is built and what is hidden.
///
/// # Errors
/// When a folder cannot be read.
pub fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}
