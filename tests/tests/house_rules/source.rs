//! The repository's Rust files, as text and as tokens.
//!
//! Tokens know no comments and no white space, so a rule about code is not fooled by prose.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use comity_tests::rust_files;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A Rust file.
pub struct Source {
    /// Its path from the root of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Its code, without what is only compiled for tests.
    pub tokens: Vec<TokenTree>,
    /// How many lines are compiled for more than tests.
    pub lines: usize,
}

impl Source {
    /// Takes a file's text apart.
    pub fn parse(path: &str, text: &str) -> Result<Self, Box<dyn Error>> {
        let tokens: TokenStream = text
            .parse()
            .map_err(|error| format!("{path} is no Rust: {error}"))?;
        let (tokens, test_lines) = without_tests(tokens);
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            lines: text.lines().count().saturating_sub(test_lines),
        })
    }

    /// Whether all of it is for tests, as a file of the name `tests.rs` is.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests")
    }
}

/// All Rust files below a folder of the repository; `""` is the whole repository.
pub fn below(folder: &str) -> Result<Vec<Source>, Box<dyn Error>> {
    let mut sources = Vec::new();
    for path in rust_files::below(&root().join(folder))? {
        let shown = path.strip_prefix(root())?.display().to_string();
        sources.push(Source::parse(&shown, &fs::read_to_string(&path)?)?);
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tokens of a file without its items under `#[cfg(test)]`, and how many lines those take.
fn without_tests(tokens: TokenStream) -> (Vec<TokenTree>, usize) {
    let mut kept = Vec::new();
    let mut lines = 0;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let attribute = tokens.next_if(|next| is_hash(&token) && is_cfg_test(next));
        if attribute.is_none() {
            kept.push(token);
            continue;
        }
        let item = tokens.by_ref().find(ends_item);
        let end = item.map_or(token.span().start(), |item| item.span().end());
        lines += end.line + 1 - token.span().start().line;
    }
    (kept, lines)
}

fn is_hash(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#')
}

fn is_cfg_test(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.stream().to_string() == "cfg (test)")
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => is_braced(group),
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    }
}

/// Whether a group stands in braces.
pub fn is_braced(group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
}

#[test]
fn what_is_only_for_tests_is_not_counted() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let source = Source::parse("a.rs", text).unwrap();
    let code: TokenStream = source.tokens.into_iter().collect();
    assert_eq!(code.to_string(), "fn a () { } fn c () { }");
    assert_eq!(source.lines, 2);
}
