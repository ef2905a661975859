//! The list of bugs: every `[[mutant]]` of every file in `tests/mutants`.

use std::{fs, path::Path};

use serde::Deserialize;

use super::Error;

/// A deliberate bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// What is wrong with it, in a sentence.
    pub bug: String,
    /// The source file, from the folder of the workspace.
    pub file: String,
    /// A text that occurs in it exactly once: an expression, or whole statements.
    pub find: String,
    /// What stands there instead. If it holds the word `MUTATED`, that is the condition under which
    /// the bug is there, and everything else is so in any case.
    pub replace: String,
}

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// Every bug, sorted by file of the list and then as they stand there.
///
/// # Errors
/// If a list cannot be read.
pub fn list(workspace: &Path) -> Result<Vec<Mutant>, Error> {
    let folder = workspace.join("tests/mutants");
    let unreadable = |error| Error::File(folder.clone(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        paths.extend(
            path.extension()
                .is_some_and(|it| it == "toml")
                .then_some(path.clone()),
        );
    }
    paths.sort();
    let mut mutants = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| Error::File(path.clone(), error))?;
        let list: List =
            toml::from_str(&text).map_err(|error| Error::List(path.clone(), error.into()))?;
        mutants.extend(list.mutant);
    }
    Ok(mutants)
}
