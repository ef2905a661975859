//! Which items the tests of the repository name.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::rust_files;

/// The names of the tests in all Rust files below a folder, by the items that they name.
pub(super) fn below(folder: &Path) -> io::Result<BTreeMap<String, Vec<String>>> {
    let mut proofs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files::below(folder)? {
        for (id, test) in named(&fs::read_to_string(&path)?) {
            proofs.entry(id).or_default().push(test);
        }
    }
    for tests in proofs.values_mut() {
        tests.sort();
        tests.dedup();
    }
    Ok(proofs)
}

/// A test whose end has not come yet.
struct Test<'s> {
    name: &'s str,
    /// The line that ends it.
    end: String,
}

/// The items that the tests in a file name, each with the name of the test. A function that is run
/// by a test for each room version is one too, if its name says so.
fn named(source: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    let (mut is_test, mut within): (bool, Option<Test<'_>>) = (false, None);
    for line in source.lines() {
        let text = line.trim();
        if let Some(test) = &within {
            named.extend(in_text(text).map(|id| (id, test.name.to_owned())));
            if line == test.end {
                within = None;
            }
        } else if text.starts_with("///") {
            above.push(text);
        } else if text.starts_with("#[") {
            is_test |= text == "#[test]";
        } else {
            let in_name = function(text).map(|name| (name, in_name(name)));
            if let Some((name, ids)) = in_name.filter(|(_, ids)| is_test || !ids.is_empty()) {
                let in_comments = above.iter().flat_map(|comment| in_text(comment));
                let ids = in_comments.chain(ids);
                named.extend(ids.map(|id| (id, name.to_owned())));
                let end = format!("{}}}", line.split("fn ").next().unwrap_or_default());
                within = Some(Test { name, end });
            }
            above.clear();
            is_test = false;
        }
    }
    named
}

fn function(line: &str) -> Option<&str> {
    let name = line.strip_prefix("fn ")?;
    name.split_once('(').map(|(name, _)| name)
}

/// Words such as `TXN-3`.
fn in_text(text: &str) -> impl Iterator<Item = String> {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let words = text.split(move |letter| !is_of_word(letter));
    words.filter(|word| is_id(word)).map(str::to_owned)
}

fn is_id(word: &str) -> bool {
    let is_of_kind = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    word.split_once('-').is_some_and(|(kind, number)| {
        kind.len() > 1
            && kind.chars().all(is_of_kind)
            && kind.chars().any(|letter| letter.is_ascii_uppercase())
            && !number.is_empty()
            && number.chars().all(|letter| letter.is_ascii_digit())
    })
}

/// The pairs of a word and a number that a name begins with; `8a` is a part of 8.
fn in_name(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut parts = name.split('_');
    while let (Some(kind), Some(number)) = (parts.next(), parts.next()) {
        let number = number.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let id = format!("{}-{number}", kind.to_uppercase());
        let is_room_version = kind == "version" && !ids.is_empty();
        if is_room_version || !is_id(&id) {
            break;
        }
        ids.push(id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_in_names_of_tests_above_them_and_in_them() {
        let source = "
            /// ONE-4, (ONE-5) and not MSC-x: a comment.
            #[test]
            fn one_3_two_16_a_retry() {
                if true {
                    // ONE-6
                }
            }

            /// ONE-9: no test.
            fn helper() {}

            fn two_17_for_each_version(version: RoomVersion) {
            }

            #[test]
            #[ignore]
            fn one_8a_version_2_is_a_part() {
        ";
        let found = named(source);
        let test = |id: &str| (id.to_owned(), "one_3_two_16_a_retry".to_owned());
        let mut expected: Vec<_> = ["ONE-4", "ONE-5", "ONE-3", "TWO-16", "ONE-6"]
            .map(test)
            .into();
        expected.push(("TWO-17".to_owned(), "two_17_for_each_version".to_owned()));
        expected.push(("ONE-8".to_owned(), "one_8a_version_2_is_a_part".to_owned()));
        assert_eq!(found, expected);
    }
}
