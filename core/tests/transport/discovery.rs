//! From a server's name to where and as whom it is contacted.

use comity_core::{
    keys::KeySettings,
    messaging::{command::Command, settings::Settings},
    transport::{
        address_guard::PrivateAddresses,
        names::Lookup,
        server_address::{Host, ServerAddress},
    },
};

use http::Request;

use crate::internet::{Internet, sockets};

#[track_caller]
pub fn assert_at(found: &ServerAddress, addresses: &[&str], tls_name: &str, host_header: &str) {
    assert_eq!(found.addresses, sockets(addresses));
    let tls_name = match tls_name.parse() {
        Ok(address) => Host::Ip(address),
        Err(_) => Host::Name(tls_name.to_owned()),
    };
    assert_eq!(found.tls_name, tls_name);
    assert_eq!(found.host_header, host_header);
}

fn page_of(host: &str) -> String {
    format!("https://{host}/.well-known/matrix/server")
}

#[test]
fn disc_1_case_1_an_address_is_contacted_as_it_is() {
    for (name, address, tls_name) in [
        ("1.2.3.4", "1.2.3.4:8448", "1.2.3.4"),
        ("1.2.3.4:5", "1.2.3.4:5", "1.2.3.4"),
        ("[2a01::1]", "[2a01::1]:8448", "2a01::1"),
        ("[2a01::1]:5", "[2a01::1]:5", "2a01::1"),
    ] {
        let mut internet = Internet::new();
        assert_at(&internet.reach(name).unwrap(), &[address], tls_name, name);
        assert!(internet.lookups.is_empty() && internet.fetched.is_empty());
    }
}

#[test]
fn disc_1_case_2_a_name_with_a_port_is_neither_delegated_nor_a_service() {
    let mut internet = Internet::new()
        .name("a.example", &["2a01::1", "1.2.3.4"])
        .delegating("a.example", "b.example:1")
        .service("_matrix-fed._tcp.a.example", 1, 7, "b.example");
    let found = internet.reach("a.example:5").unwrap();
    assert_at(
        &found,
        &["[2a01::1]:5", "1.2.3.4:5"],
        "a.example",
        "a.example:5",
    );
    assert_eq!(
        internet.lookups,
        [Lookup::Addresses("a.example".to_owned())]
    );
    assert!(internet.fetched.is_empty());
}

#[test]
fn disc_1_cases_3_1_and_3_2_a_delegate_may_be_an_address_or_have_a_port() {
    for (delegate, address, tls_name) in [
        ("5.6.7.8", "5.6.7.8:8448", "5.6.7.8"),
        ("5.6.7.8:1", "5.6.7.8:1", "5.6.7.8"),
        ("b.example:1", "9.9.9.9:1", "b.example"),
    ] {
        let mut internet = Internet::new()
            .name("a.example", &["1.2.3.4"])
            .name("b.example", &["9.9.9.9"])
            .delegating("a.example", delegate)
            .service("_matrix-fed._tcp.a.example", 1, 7, "b.example")
            .service("_matrix-fed._tcp.b.example", 1, 7, "b.example");
        let found = internet.reach("a.example").unwrap();
        assert_at(&found, &[address], tls_name, delegate);
    }
}

/// DISC-2: the page is fetched as any other of its host.
#[test]
fn disc_2_the_page_is_fetched_from_port_443_with_the_hosts_certificate() {
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]);
    internet.reach("a.example").unwrap();
    let (address, target) = &internet.fetched[0];
    assert_at(address, &["1.2.3.4:443"], "a.example", "a.example");
    assert_eq!(target, "/.well-known/matrix/server");
}

/// LIMIT-11.
#[test]
fn disc_1_cases_3_5_and_6_without_a_service_the_host_serves_at_8448() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["5.6.7.8"])
        .delegating("a.example", "b.example");
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["5.6.7.8:8448"], "b.example", "b.example");
    let found = internet.reach("b.example").unwrap();
    assert_at(&found, &["5.6.7.8:8448"], "b.example", "b.example");
}

#[test]
fn disc_4_a_delegate_is_not_asked_to_whom_it_delegates() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["5.6.7.8"])
        .name("c.example", &["9.9.9.9"])
        .delegating("a.example", "b.example")
        .delegating("b.example", "c.example");
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["5.6.7.8:8448"], "b.example", "b.example");
    assert_eq!(internet.fetched.len(), 1);
}

#[test]
fn disc_3_a_page_that_names_no_server_delegates_to_nobody() {
    let valid = r#"{"m.server": "b.example:1"}"#;
    for (status, body) in [
        (404, valid),
        (201, valid),
        (500, valid),
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"m.server": 7}"#),
        (200, r#"{"m.server": ""}"#),
        (200, r#"{"m.server": "b.example/path"}"#),
        (200, r#"{"m.server": "b.example:99999"}"#),
        (302, valid),
    ] {
        let mut internet = Internet::new()
            .name("a.example", &["1.2.3.4"])
            .name("b.example", &["5.6.7.8"])
            .page(&page_of("a.example"), status, &[], body);
        let found = internet.reach("a.example").unwrap();
        assert_at(&found, &["1.2.3.4:8448"], "a.example", "a.example");
    }
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["5.6.7.8"])
        .page(
            &page_of("a.example"),
            200,
            &[("content-type", "text/html")],
            valid,
        );
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["5.6.7.8:1"], "b.example", "b.example:1");
}

#[test]
fn disc_2_redirections_are_followed_but_not_for_ever() {
    let to = |url: &'static str| [("location", url)];
    let delegation = r#"{"m.server": "b.example:1"}"#;
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("www.example", &["4.3.2.1"])
        .name("b.example", &["5.6.7.8"])
        .page(
            &page_of("a.example"),
            301,
            &to("https://www.example:444/one?x=y"),
            "",
        )
        .page("https://www.example:444/one?x=y", 307, &to("/two"), "")
        .page("https://www.example:444/two", 200, &[], delegation);
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["5.6.7.8:1"], "b.example", "b.example:1");
    let (address, _) = &internet.fetched[1];
    assert_at(address, &["4.3.2.1:444"], "www.example", "www.example:444");

    let circle = "https://a.example/.well-known/matrix/server";
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]).page(
        &page_of("a.example"),
        302,
        &to(circle),
        "",
    );
    let found = internet.reach("a.example").unwrap();
    assert_at(&found, &["1.2.3.4:8448"], "a.example", "a.example");
    assert_eq!(
        internet.fetched.len(),
        1,
        "one answer serves every turn of the circle"
    );
}

#[test]
fn disc_2_redirections_lead_only_to_public_hosts_and_https() {
    for location in [
        "http://www.example/",
        "ftp://www.example/",
        "//www.example/",
        "https://www.example@b.example/",
        "https://127.0.0.1/",
        "https://[::1]:8008/",
        "https://inner.example/",
        "no/slash",
        "",
    ] {
        let delegation = r#"{"m.server": "b.example:1"}"#;
        let mut internet = Internet::new()
            .name("a.example", &["1.2.3.4"])
            .name("b.example", &["5.6.7.8"])
            .name("www.example", &["4.3.2.1"])
            .name("inner.example", &["10.0.0.1"])
            .page(&page_of("a.example"), 302, &[("location", location)], "");
        for host in ["www.example", "127.0.0.1", "[::1]:8008", "inner.example"] {
            internet.set_page(&format!("https://{host}/"), 200, &[], delegation);
        }
        let found = internet.reach("a.example").unwrap();
        assert_at(&found, &["1.2.3.4:8448"], "a.example", "a.example");
        assert_eq!(internet.fetched.len(), 1, "{location}");
    }
}

#[test]
fn disc_13_no_name_leads_to_an_inner_network() {
    let mut internet = Internet::new()
        .name("a.example", &["127.0.0.1", "10.0.0.1", "fe80::1"])
        .name("b.example", &["192.168.0.1", "1.2.3.4"])
        .name("c.example", &["1.2.3.4"])
        .delegating("c.example", "169.254.169.254:80")
        .service("_matrix-fed._tcp.b.example", 1, 80, "a.example");
    for name in [
        "127.0.0.1",
        "[::1]:22",
        "a.example",
        "a.example:22",
        "b.example",
        "c.example",
    ] {
        let error = internet.reach(name).unwrap_err();
        assert!(error.contains("not public"), "{name}: {error}");
    }
    for (address, _) in &internet.fetched {
        assert_eq!(address.addresses, sockets(&["1.2.3.4:443"]));
    }
    let found = internet.reach("b.example:5").unwrap();
    assert_at(&found, &["1.2.3.4:5"], "b.example", "b.example:5");
}

#[test]
fn disc_13_private_addresses_can_be_allowed_or_refused() {
    let with = |ours: &str, private_addresses| {
        let settings = Settings {
            private_addresses,
            ..Settings::default()
        };
        Internet::of(ours, settings).reach("10.0.0.1").is_ok()
    };
    assert!(with("our.example", PrivateAddresses::Allowed));
    assert!(!with("our.example", PrivateAddresses::IfOursIs));
    assert!(with("localhost:8448", PrivateAddresses::IfOursIs));
    assert!(!with("localhost:8448", PrivateAddresses::Refused));
}

/// LIMIT-12.
#[test]
fn disc_5_a_delegation_is_believed_for_as_long_as_its_headers_say() {
    let hour = 60 * 60;
    for (headers, fresh_for) in [
        (vec![], 24 * hour),
        (vec![("cache-control", "public, Max-Age=36000")], 10 * hour),
        (vec![("cache-control", "max-age=10")], 5 * 60),
        (vec![("cache-control", "no-store")], 5 * 60),
        (vec![("cache-control", "max-age=99999999")], 48 * hour),
        // Ten hours after the world began.
        (
            vec![("expires", "Wed, 15 Nov 2023 08:30:00 GMT")],
            10 * hour,
        ),
        (
            vec![("expires", "0"), ("cache-control", "max-age=36000")],
            10 * hour,
        ),
        (vec![("expires", "0")], 5 * 60),
    ] {
        let mut internet = Internet::new()
            .name("a.example", &["1.2.3.4"])
            .name("b.example", &["5.6.7.8"]);
        let delegation = r#"{"m.server": "b.example"}"#;
        internet.set_page(&page_of("a.example"), 200, &headers, delegation);
        internet.reach("a.example").unwrap();
        // It is asked anew in the last fifth of its life, so that nobody waits for it.
        internet.pass(fresh_for * 3 / 4);
        internet.reach("a.example").unwrap();
        assert_eq!(internet.fetched.len(), 1, "{headers:?}");
        internet.pass(fresh_for / 4);
        internet.reach("a.example").unwrap();
        assert_eq!(internet.fetched.len(), 2, "{headers:?}");
    }
}

#[test]
fn disc_6_delegations_that_were_found_at_once_are_not_all_asked_for_at_once() {
    let names: Vec<String> = (0..20).map(|number| format!("a{number}.example")).collect();
    let mut internet = Internet::new().name("b.example", &["5.6.7.8"]);
    for name in &names {
        internet = internet.name(name, &["1.2.3.4"]);
        internet = internet.delegating(name, "b.example");
    }
    let mut fetched = |seconds: u64| {
        internet.pass(seconds);
        let before = internet.fetched.len();
        names
            .iter()
            .for_each(|name| drop(internet.reach(name).unwrap()));
        internet.fetched.len() - before
    };
    assert_eq!(fetched(0), 20);
    assert_eq!(fetched(18 * 60 * 60), 0);
    let some = fetched(24 * 60 * 60 * 80 / 100 - 18 * 60 * 60);
    assert!((1..20).contains(&some), "{some}");
    assert_eq!(some + fetched(60 * 60), 20);
}

#[test]
fn disc_6_an_old_delegation_outlives_a_time_without_answers() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["5.6.7.8"])
        .delegating("a.example", "b.example");
    let at = |internet: &mut Internet| internet.reach("a.example").unwrap().host_header;
    assert_eq!(at(&mut internet), "b.example");
    internet.set_page(&page_of("a.example"), 503, &[], "");
    internet.pass(25 * 60 * 60);
    assert_eq!(at(&mut internet), "b.example");
    internet.pass(2 * 60 * 60);
    assert_eq!(at(&mut internet), "a.example");
}

#[test]
fn disc_5_that_nobody_delegates_is_believed_ever_longer_up_to_an_hour() {
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]);
    let mut fetches = Vec::new();
    for minute in 0..600 {
        let before = internet.fetched.len();
        internet.reach("a.example").unwrap();
        if internet.fetched.len() > before {
            fetches.push(minute);
        }
        internet.pass(60);
    }
    let pauses: Vec<u64> = fetches.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..4], [5, 10, 20, 40]);
    assert_eq!(pauses.iter().max(), Some(&60));
}

#[test]
fn disc_8_what_was_found_is_looked_up_again_when_its_life_ends() {
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]);
    internet.reach("a.example:1").unwrap();
    internet.pass(299);
    internet.reach("a.example:1").unwrap();
    assert_eq!(internet.lookups.len(), 1);
    internet.pass(1);
    internet = internet.name("a.example", &["5.6.7.8"]);
    let found = internet.reach("a.example:1").unwrap();
    assert_eq!(found.addresses, sockets(&["5.6.7.8:1"]));
}

#[test]
fn disc_8_an_old_address_serves_while_no_name_can_be_looked_up() {
    let mut internet = Internet::new().name("a.example", &["1.2.3.4"]);
    let found = internet.reach("a.example").unwrap();
    internet.names_answer = false;
    internet.pass(60 * 60);
    assert_eq!(internet.reach("a.example").unwrap(), found);
    let error = internet.reach("b.example").unwrap_err();
    assert!(error.contains("cannot look up b.example"), "{error}");
}

#[test]
fn disc_5_a_server_that_is_not_found_is_left_alone_until_somebody_asks() {
    let mut internet = Internet::new();
    internet.reach("a.example:1").unwrap_err();
    internet.reach("a.example:1").unwrap_err();
    assert_eq!(internet.lookups.len(), 1);
    internet.command(Command::Retry(None)).unwrap();
    internet.reach("a.example:1").unwrap_err();
    assert_eq!(internet.lookups.len(), 2);
    internet.pass(60 * 60);
    internet.reach("a.example:1").unwrap_err();
    assert_eq!(internet.lookups.len(), 3);
}

/// ID-1: no name that breaks the grammar reaches the domain name system.
#[test]
fn id_1_a_malformed_name_is_not_looked_up() {
    let mut internet = Internet::new();
    for name in ["127.1", "2130706433", "0x7f.0.0.1", "256.1.1.1"] {
        let error = internet.reach(name).unwrap_err();
        assert!(error.contains("malformed"), "{name}: {error}");
    }
    assert!(internet.lookups.is_empty());
}

/// DISC-11: delegation changes the connection only.
#[test]
fn disc_11_what_is_signed_keeps_the_undelegated_name() {
    let mut internet = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["5.6.7.8"])
        .delegating("a.example", "b.example");
    internet.reach("a.example").unwrap();
    let headers = internet.calls[0].request.headers();
    assert_eq!(headers["host"], "b.example");
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.contains(r#"destination="a.example""#), "{signed}");
}

/// DISC-12: those who look for us are told where we are, if our name delegates; and find it.
#[test]
fn disc_12_the_page_that_delegates_is_served_on_request() {
    const PAGE: &str = "/.well-known/matrix/server";
    let serving = |to| {
        let (settings, keys) = (Settings::default(), KeySettings::default());
        Internet::delegated("a.example", settings, keys, to)
    };
    let get = || Request::get(PAGE).body("").unwrap();
    let page = serving(Some("b.example:443")).request(get());
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "application/json");
    let text = std::str::from_utf8(page.body()).unwrap();
    let mut other = Internet::new()
        .name("a.example", &["1.2.3.4"])
        .name("b.example", &["9.9.9.9"])
        .page(&page_of("a.example"), 200, &[], text);
    let found = other.reach("a.example").unwrap();
    assert_at(&found, &["9.9.9.9:443"], "b.example", "b.example:443");
    assert_eq!(serving(None).request(get()).status(), 404);
    let posted = Request::post(PAGE).body("").unwrap();
    assert_eq!(serving(Some("b.example")).request(posted).status(), 405);
}
