//! Servers that records name as serving for another.

use comity_core::transport::names::Lookup;

use crate::{discovery::assert_at, internet::Internet};

const FED: &str = "_matrix-fed._tcp.";
const OLD: &str = "_matrix._tcp.";

/// DISC-7: nothing is asked of a target's name but its addresses.
#[test]
fn disc_7_a_target_is_neither_delegated_nor_a_service() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("target.example", &["9.9.9.9"])
        .name("b.example", &["5.6.7.8"])
        .service("_matrix-fed._tcp.a.example", 1, 8, "target.example")
        .delegating("target.example", "b.example:1")
        .service("_matrix-fed._tcp.target.example", 1, 7, "b.example");
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["9.9.9.9:8"], "a.example", "a.example");
    let of_target = |lookup: &&Lookup| match lookup {
        Lookup::Addresses(name) | Lookup::Services(name) => name.ends_with("target.example"),
    };
    let asked: Vec<&Lookup> = internet.lookups.iter().filter(of_target).collect();
    assert_eq!(asked, [&Lookup::Addresses("target.example".to_owned())]);
    let pages = internet
        .fetched
        .iter()
        .map(|(address, _)| &address.host_header);
    assert_eq!(pages.collect::<Vec<_>>(), ["a.example"]);
}

#[test]
fn disc_7_cases_3_3_to_5_a_service_is_only_an_address() {
    let services = |name: &str, internet: Internet, with_fed: bool| {
        let internet = internet
            .name("target.example", &["9.9.9.9", "9.9.9.10"])
            .service(&format!("{OLD}{name}"), 1, 7, "target.example");
        match with_fed {
            true => internet.service(&format!("{FED}{name}"), 1, 8, "target.example"),
            false => internet,
        }
    };
    for (with_fed, port) in [(true, 8), (false, 7)] {
        let world = Internet::new().name("a.example", &["1.2.3.4"]);
        let mut internet = services("a.example", world, with_fed);
        let addresses = [format!("9.9.9.9:{port}"), format!("9.9.9.10:{port}")];
        let addresses = [addresses[0].as_str(), &addresses[1]];
        let found = internet.reach("a.example").unwrap();
        assert_at(&found, &addresses, "a.example", "a.example");

        let world = Internet::new()
            .name("a.example", &["1.2.3.4"])
            .delegating("a.example", "b.example");
        let mut internet = services("b.example", world, with_fed);
        let found = internet.reach("a.example").unwrap();
        assert_at(&found, &addresses, "b.example", "b.example");
    }
}

#[test]
fn disc_8_all_targets_are_tried_in_the_order_of_their_priority() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("one.example", &["9.0.0.1", "2a01::1"])
        .name("two.example", &["9.0.0.2"])
        .service("_matrix-fed._tcp.a.example", 20, 2, "two.example")
        .service("_matrix-fed._tcp.a.example", 10, 1, "one.example")
        .service("_matrix-fed._tcp.a.example", 5, 3, "no-address.example");
    let found = internet.reach("a.example").unwrap();
    let addresses = ["9.0.0.1:1", "[2a01::1]:1", "9.0.0.2:2"];
    assert_at(&found, &addresses, "a.example", "a.example");
}

#[test]
fn disc_8_a_service_that_is_not_offered_is_not_sought_elsewhere() {
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]).service(
        "_matrix-fed._tcp.a.example",
        0,
        0,
        "",
    );
    let error = internet.reach("a.example").unwrap_err();
    assert!(error.contains("offers no federation"), "{error}");
}
