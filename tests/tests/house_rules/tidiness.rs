//! Files and functions stay short, documented and finished, in tests as well.

use proc_macro2::TokenTree;

use super::source::{self, Source};

/// How many lines a file may have; those for tests in the same file do not count.
const FILE_LINES_MAX: usize = 500;

/// How many lines a function may have, from its name to its last brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Files and functions that are longer. This list only shrinks.
const LONGER: &[&str] = &[
    "core/src/federation.rs: fn job",
    "core/src/transport/http1/server/tests.rs",
    "core/src/transport/http1/server/tests.rs: fn heads_that_two_readers_could_read_differently_are_refused",
];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// Marks of unfinished work, spelled so that this list is not found itself.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("dbg", "!("),
    concat!("allow(dead", "_code"),
];

#[test]
fn no_file_and_no_function_is_too_long() {
    let is_excused = |(place, _): &(String, usize)| LONGER.iter().any(|longer| place == longer);
    let new: Vec<_> = too_long()
        .into_iter()
        .filter(|found| !is_excused(found))
        .collect();
    assert!(new.is_empty(), "too long, with their lines: {new:#?}");
}

#[test]
fn no_excuse_outlives_its_reason() {
    let too_long = too_long();
    let is_stale = |longer: &&&str| !too_long.iter().any(|(place, _)| place == **longer);
    let stale: Vec<_> = LONGER.iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "strike these off LONGER: {stale:#?}");
}

/// Every file and function that is too long, and how long it is.
fn too_long() -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for source in source::below("").unwrap() {
        for function in functions(&source.tokens) {
            if function.lines > FUNCTION_LINES_MAX {
                found.push((
                    format!("{}: fn {}", source.path, function.name),
                    function.lines,
                ));
            }
        }
        if source.lines > FILE_LINES_MAX {
            found.push((source.path, source.lines));
        }
    }
    found
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    check(|source| {
        let complaint = (1, "no module documentation in the first line".to_owned());
        (!source.text.starts_with("//!"))
            .then_some(complaint)
            .into_iter()
            .collect()
    });
}

#[test]
fn no_name_is_empty() {
    check(|source| {
        let mut names = source.path.trim_end_matches(".rs").split('/');
        let empty = names.find(|name| EMPTY_NAMES.contains(name));
        empty
            .map(|name| (1, format!("`{name}` says nothing")))
            .into_iter()
            .collect()
    });
}

#[test]
fn nothing_is_left_over() {
    check(|source| {
        let lines = source.text.lines().zip(1..);
        lines
            .filter_map(|(text, line)| Some((line, format!("`{}`", leftover(text)?))))
            .collect()
    });
}

/// Applies a rule, which gives lines and what is wrong there, to every file.
fn check(rule: impl Fn(&Source) -> Vec<(usize, String)>) {
    let sources = source::below("").unwrap();
    assert!(sources.len() > 100, "only {} files found", sources.len());
    let found: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let found = rule(source);
            found
                .into_iter()
                .map(|(line, what)| format!("{}:{line}: {what}", source.path))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// All functions with a body, inner ones too.
fn functions(tokens: &[TokenTree]) -> Vec<Function> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match (token, tokens.get(index + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if *word == "fn" => {
                let after = tokens.get(index..).unwrap_or_default();
                let line = word.span().start().line;
                found.extend(last_line(after).map(|last| Function {
                    name: name.to_string(),
                    line,
                    lines: last + 1 - line,
                }));
            }
            (TokenTree::Group(group), _) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                found.extend(functions(&inner));
            }
            _ => {}
        }
    }
    found
}

/// Where the body ends of the function that begins here, unless it has none.
fn last_line(tokens: &[TokenTree]) -> Option<usize> {
    tokens.iter().find_map(|token| match token {
        TokenTree::Group(group) if source::is_braced(group) => Some(Some(group.span().end().line)),
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
        _ => None,
    })?
}

/// A mark of unfinished work that stands in a line as a word of its own.
fn leftover(line: &str) -> Option<&'static str> {
    let is_word = |mark: &&&'static str| {
        line.split(**mark).next().is_some_and(|before| {
            before.len() < line.len() && !before.ends_with(char::is_alphanumeric)
        })
    };
    LEFTOVERS.iter().find(is_word).copied()
}

#[test]
fn a_function_is_measured_from_its_name_to_its_last_brace() {
    let text = "trait A { fn a(); }\nfn b(f: fn(u8)) {\n    fn c() {\n    }\n}\n";
    let functions = functions(&Source::parse("a.rs", text).unwrap().tokens);
    let measured: Vec<_> = functions
        .iter()
        .map(|f| (f.name.as_str(), f.line, f.lines))
        .collect();
    assert_eq!(measured, [("b", 2, 4), ("c", 3, 2)]);
}

#[test]
fn leftovers_are_words() {
    let mark = LEFTOVERS.first().unwrap();
    assert_eq!(leftover(&format!("// {mark}: later")), Some(*mark));
    assert_eq!(leftover(&format!("let a{mark} = 1;")), None);
    assert_eq!(leftover("// nothing of the kind"), None);
}
