//! Nothing that the core depends on runs, waits, opens or draws lots.

use std::{collections::BTreeSet, env, error::Error, process::Command};

use super::source;

/// Every crate that is compiled into the core, on the platform that [`TARGET`] names. A new one
/// belongs here only if it computes and does nothing else.
///
/// `web-time` and `time` come with `ruma-common`; the first is another name for the standard
/// library's clocks, which no part of the core may name (see `purity.rs`).
const COMPILED_INTO_CORE: &[&str] = &[
    "adler2",
    "aho-corasick",
    "as_variant",
    "base64",
    "block-buffer",
    "bytemuck",
    "bytes",
    "cfg-if",
    "comity-core",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "curve25519-dalek",
    "deranged",
    "digest",
    "ed25519",
    "ed25519-dalek",
    "equivalent",
    "form_urlencoded",
    "hashbrown",
    "http",
    "httparse",
    "hybrid-array",
    "icu_collections",
    "icu_locale_core",
    "icu_normalizer",
    "icu_normalizer_data",
    "icu_properties",
    "icu_properties_data",
    "icu_provider",
    "idna",
    "idna_adapter",
    "indexmap",
    "itoa",
    "js_int",
    "litemap",
    "memchr",
    "miniz_oxide",
    "num-conv",
    "once_cell",
    "percent-encoding",
    "pin-project-lite",
    "potential_utf",
    "powerfmt",
    "regex",
    "regex-automata",
    "regex-syntax",
    "ruma-common",
    "ruma-identifiers-validation",
    "safe_arch",
    "serde",
    "serde_core",
    "serde_html_form",
    "serde_json",
    "sha1",
    "sha2",
    "signature",
    "smallvec",
    "stable_deref_trait",
    "subtle",
    "thiserror",
    "time",
    "time-core",
    "tinystr",
    "tracing",
    "tracing-core",
    "typenum",
    "url",
    "utf8_iter",
    "utf_types",
    "web-time",
    "wide",
    "wildmatch",
    "writeable",
    "yoke",
    "zerofrom",
    "zeroize",
    "zerotrie",
    "zerovec",
    "zmij",
];

/// The lists of other platforms differ by a crate or two that finds out what the processor can do.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[test]
fn the_core_depends_on_data_and_arithmetic_only() {
    let found = compiled_into_core().unwrap();
    let expected: BTreeSet<String> = COMPILED_INTO_CORE.iter().map(ToString::to_string).collect();
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(
        new.is_empty(),
        "new under the core, to be judged and listed here: {new:?}"
    );
    assert!(
        gone.is_empty(),
        "no longer under the core, to be struck off here: {gone:?}"
    );
}

/// Asks cargo. Procedural macros and what they need run in the compiler only.
fn compiled_into_core() -> Result<BTreeSet<String>, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(source::root())
        .args([
            "tree",
            "--locked",
            "--package",
            "comity-core",
            "--target",
            TARGET,
        ])
        .args([
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--no-dedupe",
        ])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let listed = String::from_utf8(output.stdout)?;
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(ToOwned::to_owned)
        .collect())
}
