//! Building bugs into a source file, each behind a switch.

use std::ops::Range;

use super::{Error, Mutant};

/// What stands in `replace` for the condition under which the bug is there.
const CONDITION: &str = "MUTATED";

/// What the root of a crate with bugs gets: it reads once from the environment which bug is wanted.
pub(super) const SWITCH: &str = r#"
/// Whether this deliberate bug is switched on.
#[doc(hidden)]
pub fn mutated(name: &str) -> bool {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    WANTED.get_or_init(|| std::env::var("COMITY_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// The text of a source file with all of its bugs in it.
///
/// # Errors
/// If the text of a bug does not occur exactly once, or two bugs are in the same place.
pub fn built_in(source: &str, mutants: &[&Mutant]) -> Result<String, Error> {
    let mut places = Vec::new();
    for mutant in mutants {
        places.push((place(source, mutant)?, *mutant));
    }
    places.sort_by_key(|(place, _)| place.start);
    for pair in places.windows(2) {
        if let [(before, one), (after, other)] = pair
            && before.end > after.start
        {
            return Err(Error::Overlap(one.name.clone(), other.name.clone()));
        }
    }
    let mut text = source.to_owned();
    for (place, mutant) in places.into_iter().rev() {
        text.replace_range(place, &switched(mutant));
    }
    Ok(text)
}

fn place(source: &str, mutant: &Mutant) -> Result<Range<usize>, Error> {
    let found: Vec<_> = source.match_indices(&mutant.find).collect();
    match found.as_slice() {
        [(start, text)] => Ok(*start..start + text.len()),
        others => Err(Error::Rotten {
            name: mutant.name.clone(),
            file: mutant.file.clone(),
            count: others.len(),
        }),
    }
}

/// Both texts, and the switch between them.
fn switched(mutant: &Mutant) -> String {
    let Mutant {
        name,
        find,
        replace,
        ..
    } = mutant;
    let condition = format!("crate::mutated({name:?})");
    let choice = format!("if {condition} {{ {replace} }} else {{ {find} }}");
    if replace.contains(CONDITION) {
        replace.replace(CONDITION, &condition)
    } else if find.trim_end().ends_with([';', '}']) {
        choice
    } else {
        format!("({choice})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(name: &str, find: &str, replace: &str) -> Mutant {
        Mutant {
            name: name.to_owned(),
            bug: String::new(),
            file: "it.rs".to_owned(),
            find: find.to_owned(),
            replace: replace.to_owned(),
        }
    }

    #[test]
    fn bugs_are_built_in_side_by_side_each_behind_its_switch() {
        let source = "let a = one(); two(); match x { y => z }";
        let mutants = [
            mutant("statement", "two();", ""),
            mutant("expression", "one()", "1"),
            mutant("arm", "y =>", "y if !MUTATED =>"),
        ];
        let mutants: Vec<_> = mutants.iter().collect();
        assert_eq!(
            built_in(source, &mutants).unwrap(),
            "let a = (if crate::mutated(\"expression\") { 1 } else { one() }); \
             if crate::mutated(\"statement\") {  } else { two(); } \
             match x { y if !crate::mutated(\"arm\") => z }"
        );
    }

    #[test]
    fn a_text_that_is_gone_doubled_or_taken_is_an_error() {
        let gone = mutant("gone", "three", "");
        let doubled = mutant("doubled", "e", "");
        let (one, other) = (mutant("one", "one t", ""), mutant("other", "two", ""));
        let error = |mutants: &[&Mutant]| built_in("one two", mutants).unwrap_err().to_string();
        assert_eq!(error(&[&gone]), "the text of gone occurs 0 times in it.rs");
        assert!(error(&[&other, &one]).contains("same text"));
        let source = built_in("eel", &[&doubled]).unwrap_err().to_string();
        assert!(source.contains("2 times"), "{source}");
    }
}
