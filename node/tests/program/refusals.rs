//! What the program refuses, and how it says so.

use std::fs;

use crate::node::{Place, comity, text};

#[test]
fn a_wrong_configuration_is_refused_with_the_line_and_the_reason() {
    let place = Place::new();
    let node = place.node("one");
    let good = fs::read_to_string(&node.config).unwrap();
    let line = 1 + good
        .lines()
        .position(|line| line.starts_with("signing_key"))
        .unwrap();
    fs::write(&node.config, good.replace("signing_key", "signing_kee")).unwrap();
    let refused = comity(&["serve", "--config", text(&node.config)]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("comity.toml:{line}: unknown field `signing_kee`")),
        "{said}"
    );
}

#[test]
fn a_file_that_the_configuration_names_and_that_is_missing_is_named() {
    let place = Place::new();
    let node = place.node("one");
    fs::remove_file(node.config.with_file_name("signing.key")).unwrap();
    let refused = comity(&["serve", "--config", text(&node.config)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("signing.key")
    );
}

#[test]
fn init_overwrites_nothing() {
    let place = Place::new();
    let node = place.node("one");
    let before = fs::read(&node.config).unwrap();
    let directory = node.config.parent().unwrap();
    let refused = comity(&[
        "init",
        "--server-name",
        "a.example",
        "--dir",
        text(directory),
    ]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read(&node.config).unwrap(), before);
}

#[test]
fn a_user_needs_a_name_that_can_be_one() {
    let place = Place::new();
    let node = place.node("one");
    let refused = comity(&["user", "add", "Ali ce", "--config", text(&node.config)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("local part")
    );
}
