//! The core is pure: the same inputs give the same actions, wherever and whenever it runs.
//!
//! Of the standard library only modules that compute are allowed, and within them no name that
//! reaches outside, shares memory between threads or orders by chance. Tests are free.

use proc_macro2::{TokenStream, TokenTree};

use super::source;

/// The modules of the standard library that the core may use.
const PURE_MODULES: &[&str] = &[
    "array",
    "borrow",
    "cell",
    "char",
    "cmp",
    "collections",
    "convert",
    "default",
    "error",
    "fmt",
    "hash",
    "iter",
    "mem",
    "net",
    "num",
    "ops",
    "option",
    "result",
    "slice",
    "str",
    "string",
    "sync",
    "time",
    "vec",
];

/// Names that no part of the core may use, and why.
const IMPURE_NAMES: &[(&str, &str)] = &[
    ("Instant", "a clock; time comes with each input"),
    ("SystemTime", "a clock; time comes with each input"),
    ("now", "a clock; time comes with each input"),
    ("Mutex", "a lock; the core has one owner"),
    ("RwLock", "a lock; the core has one owner"),
    ("Condvar", "a lock; the core has one owner"),
    ("Barrier", "a lock; the core has one owner"),
    ("OnceLock", "shared memory; the core has one owner"),
    ("LazyLock", "shared memory; the core has one owner"),
    ("atomic", "shared memory; the core has one owner"),
    ("thread_local", "shared memory; the core has one owner"),
    ("static", "shared memory; use const"),
    ("mpsc", "a channel; inputs come in by `handle`"),
    ("async", "decisions are asked again instead"),
    ("await", "decisions are asked again instead"),
    ("TcpStream", "a socket; ask by an action"),
    ("TcpListener", "a socket; ask by an action"),
    ("UdpSocket", "a socket; ask by an action"),
    ("ToSocketAddrs", "asks the resolver; ask by an action"),
    ("HashMap", "its order is chance; use BTreeMap"),
    ("HashSet", "its order is chance; use BTreeSet"),
    ("RandomState", "chance; use the seed"),
    ("rand", "chance; use the seed"),
    ("getrandom", "chance; use the seed"),
    ("print", "the terminal; use tracing"),
    ("println", "the terminal; use tracing"),
    ("eprint", "the terminal; use tracing"),
    ("eprintln", "the terminal; use tracing"),
];

#[test]
fn the_core_is_pure() {
    let sources = source::below("core/src").unwrap();
    assert!(sources.len() > 50, "only {} files found", sources.len());
    let found: Vec<String> = sources
        .iter()
        .filter(|source| !source.is_test())
        .flat_map(|source| {
            let found = impurities(&source.tokens);
            found
                .into_iter()
                .map(|(line, what)| format!("{}:{line}: {what}", source.path))
        })
        .collect();
    assert!(
        found.is_empty(),
        "the core is not pure:\n{}",
        found.join("\n")
    );
}

/// The impure names in some code, with their lines.
fn impurities(tokens: &[TokenTree]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                found.extend(impurities(&inner));
            }
            TokenTree::Ident(name) => {
                let line = name.span().start().line;
                let before = tokens.get(..index).unwrap_or_default();
                let after = tokens.get(index + 1..).unwrap_or_default();
                let reason = match name.to_string().as_str() {
                    "std" => impure_module(after),
                    name => impure_name(name, before),
                };
                found.extend(reason.map(|reason| (line, reason)));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

fn impure_name(name: &str, before: &[TokenTree]) -> Option<String> {
    let (_, reason) = IMPURE_NAMES.iter().find(|(impure, _)| *impure == name)?;
    let is_lifetime = matches!(before.last(), Some(TokenTree::Punct(p)) if p.as_char() == '\'');
    let is_own_now = name == "now" && !follows_path(before);
    (!is_lifetime && !is_own_now).then(|| format!("`{name}`: {reason}"))
}

/// The module named after `std`: `std::fs`, or one of `std::{fmt, fs}`.
fn impure_module(after: &[TokenTree]) -> Option<String> {
    let [TokenTree::Punct(_), TokenTree::Punct(_), named, ..] = after else {
        return None;
    };
    let modules = match named {
        TokenTree::Group(group) => first_names(group.stream()),
        other => vec![other.to_string()],
    };
    let impure = modules
        .into_iter()
        .find(|name| !PURE_MODULES.contains(&name.as_str()))?;
    Some(format!(
        "`std::{impure}` is not among the modules that only compute"
    ))
}

/// The first name of each part of `{fmt, sync::Arc}`.
fn first_names(list: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = list.into_iter().collect();
    let parts = tokens.split(|token| token.to_string() == ",");
    parts
        .filter_map(|part| part.first().map(ToString::to_string))
        .collect()
}

fn follows_path(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Punct(one), TokenTree::Punct(other)]
        if one.as_char() == ':' && other.as_char() == ':')
}

#[test]
fn every_kind_of_impurity_is_found() {
    let samples = [
        "use std::thread;",
        "use std::{fmt, fs};",
        "use std::{collections::BTreeMap, sync::{Arc, Mutex}};",
        "fn f() { let t = std::time::Instant::now(); }",
        "fn f() { let t = Clock::now(); }",
        "fn f() { std::env::var(\"HOME\"); }",
        "use std::collections::HashMap as Table;",
        "async fn f() {}",
        "fn f() { future.await }",
        "fn f() { println!(\"x\"); }",
        "static COUNT: u8 = 0;",
        "mod inner { mod deeper { use std::net::TcpStream; } }",
    ];
    for sample in samples {
        assert_ne!(impurities_of(sample), 0, "{sample}");
    }
}

#[test]
fn pure_code_is_left_in_peace() {
    let samples = [
        "// std::thread, HashMap\nuse std::{fmt, sync::Arc};",
        "fn f(now: Now) -> &'static str { \"std::fs::read\" }",
        "fn f(&self) -> Now { Now { now: self.now, later: self.now() } }",
        "use std::net::{IpAddr, Ipv6Addr};",
        "#[cfg(test)] mod tests { use std::collections::HashSet; }",
    ];
    for sample in samples {
        assert_eq!(impurities_of(sample), 0, "{sample}");
    }
}

fn impurities_of(sample: &str) -> usize {
    impurities(&source::Source::parse("sample.rs", sample).unwrap().tokens).len()
}
