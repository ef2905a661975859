//! Which tests prove which items of the checklist, `docs/checklist.md`.
//!
//! **Contract.** A test proves an item that it names: by its own name, as `txn_3_a_retry_…` does, in
//! the comment above it or in its text, as `TXN-3`. An item that no test names has a sentence in the
//! checklist that says why. Whether a test proves what it names is for its readers to judge.

mod checklist;
mod proofs;

use std::{collections::BTreeMap, io, path::Path};

pub use checklist::{Checklist, Item};

/// The checklist, and the tests that prove each of its items.
#[derive(Debug)]
pub struct Coverage {
    /// The checklist.
    pub checklist: Checklist,
    /// The names of tests by the item that they name, in the checklist or not.
    pub proofs: BTreeMap<String, Vec<String>>,
}

impl Coverage {
    /// Reads the checklist and every source of the repository at this place.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(repository: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(repository.join("docs/checklist.md"))?;
        Ok(Self {
            checklist: Checklist::read(&text),
            proofs: proofs::below(repository)?,
        })
    }

    /// The tests that prove an item.
    #[must_use]
    pub fn of_item(&self, item: &Item) -> &[String] {
        self.proofs.get(&item.id).map_or(&[], Vec::as_slice)
    }

    /// What is wrong: items that are neither proved nor explained, and those that are both; and
    /// tests that name items of the checklist's kinds which are not on it.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let about = |item: &Item| match (self.of_item(item), &item.unproved) {
            ([], None) => Some(format!("{} is not proved, and nothing says why", item.id)),
            ([test, ..], Some(_)) => Some(format!(
                "{} is said not to be proved, but {test} names it",
                item.id
            )),
            _ => None,
        };
        let items = &self.checklist.items;
        let kind = |id: &str| id.split_once('-').map(|(kind, _)| kind.to_owned());
        let is_listed = |id: &String| items.iter().any(|item| item.id == *id);
        let is_of_kind = |id: &String| items.iter().any(|item| kind(&item.id) == kind(id));
        let unknown = self
            .proofs
            .keys()
            .filter(|id| is_of_kind(id) && !is_listed(id))
            .map(|id| format!("{id} is named by a test and not on the checklist"));
        items.iter().filter_map(about).chain(unknown).collect()
    }
}
