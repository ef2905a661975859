//! Headers that are read, headers that are refused, and what a signature covers.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(header: &str) -> Result<XMatrix, BadXMatrix> {
    XMatrix::parse(&HeaderValue::from_str(header).unwrap())
}

fn usual() -> XMatrix {
    XMatrix {
        origin: "a.example".try_into().unwrap(),
        destination: Some("b.example:8448".try_into().unwrap()),
        key: "ed25519:key1".try_into().unwrap(),
        signature: "ABC/def+".to_owned(),
    }
}

/// XMTX-3.
#[test]
fn xmtx_2_the_header_is_written_in_the_one_form_that_all_servers_read() {
    assert_eq!(
        usual().to_header_value().unwrap(),
        r#"X-Matrix origin="a.example",destination="b.example:8448",key="ed25519:key1",sig="ABC/def+""#
    );
}

#[test]
fn xmtx_5_the_destination_may_be_absent() {
    let old = XMatrix {
        destination: None,
        ..usual()
    };
    let header = old.to_header_value().unwrap();
    assert_eq!(
        header,
        r#"X-Matrix origin="a.example",key="ed25519:key1",sig="ABC/def+""#
    );
    assert_eq!(XMatrix::parse(&header), Ok(old));
}

#[test]
fn what_would_need_escapes_is_not_written() {
    let odd_signature = XMatrix {
        signature: "a\"b".to_owned(),
        ..usual()
    };
    let odd_key = XMatrix {
        key: r"ed\25519:1".try_into().unwrap(),
        ..usual()
    };
    for odd in [odd_signature, odd_key] {
        assert_eq!(odd.to_header_value(), Err(BadXMatrix::Unwritable));
    }
}

#[test]
fn xmtx_4_every_spelling_of_the_grammar_is_read() {
    let spellings = [
        r#"X-Matrix origin="a.example",destination="b.example:8448",key="ed25519:key1",sig="ABC/def+""#,
        r#"x-mAtRiX   origin="a.example",destination="b.example:8448",key="ed25519:key1",sig="ABC/def+""#,
        r#"X-Matrix sig="ABC/def+",KEY="ed25519:key1",Origin="a.example",destination="b.example:8448""#,
        "X-Matrix origin=a.example\t, destination=b.example:8448 ,\tkey=ed25519:key1,sig=\"ABC/def+\"",
        r#"X-Matrix origin="a\.ex\ample",destination="b.example\:8448",key="ed25519:key1",sig="ABC\/def+""#,
        r#"X-Matrix origin="a.example",new="x, sig=\"y\"",destination="b.example:8448",key="ed25519:key1",sig="ABC/def+""#,
        r#"X-Matrix ,origin="a.example",,destination="b.example:8448", key="ed25519:key1",sig="ABC/def+","#,
        r#"X-Matrix origin = "a.example",destination= "b.example:8448",key ="ed25519:key1",sig="ABC/def+""#,
    ];
    for spelling in spellings {
        assert_eq!(parse(spelling), Ok(usual()), "{spelling}");
    }
}

#[test]
fn xmtx_4_anything_else_is_refused() {
    let table = [
        ("Bearer abc", BadXMatrix::Scheme),
        ("X-Matrix", BadXMatrix::Scheme),
        ("X-Matrixorigin=a", BadXMatrix::Scheme),
        ("X-Matrix ", BadXMatrix::Missing("key")),
        ("X-Matrix origin", BadXMatrix::Grammar),
        ("X-Matrix origin=", BadXMatrix::Grammar),
        ("X-Matrix =a", BadXMatrix::Grammar),
        ("X-Matrix origin=\"a", BadXMatrix::Grammar),
        ("X-Matrix origin=\"a\\", BadXMatrix::Grammar),
        ("X-Matrix origin=\"a\"b", BadXMatrix::Grammar),
        ("X-Matrix origin=a key=b", BadXMatrix::Grammar),
        ("X-Matrix origin=a/b", BadXMatrix::Grammar),
        ("X-Matrix ori gin=a", BadXMatrix::Grammar),
        ("X-Matrix origin=a;key=b", BadXMatrix::Grammar),
        ("X-Matrix origin=a,ORIGIN=b", BadXMatrix::Repeated("origin")),
        (
            "X-Matrix key=ed25519:1,sig=x",
            BadXMatrix::Missing("origin"),
        ),
        ("X-Matrix origin=a,sig=x", BadXMatrix::Missing("key")),
        (
            "X-Matrix origin=a,key=ed25519:1",
            BadXMatrix::Missing("sig"),
        ),
        (
            "X-Matrix origin=a,key=ed25519:1,signature=x",
            BadXMatrix::Missing("sig"),
        ),
        (
            "X-Matrix origin=a,key=ed25519,sig=x",
            BadXMatrix::Malformed("key"),
        ),
        (
            "X-Matrix origin=a_b,key=ed25519:1,sig=x",
            BadXMatrix::Malformed("origin"),
        ),
        (
            "X-Matrix origin=a:+1,key=ed25519:1,sig=x",
            BadXMatrix::Malformed("origin"),
        ),
        (
            "X-Matrix origin=a,destination=\"\",key=ed25519:1,sig=x",
            BadXMatrix::Malformed("destination"),
        ),
    ];
    for (header, error) in table {
        assert_eq!(parse(header), Err(error), "{header}");
    }
}

#[test]
fn xmtx_1_the_signed_object_holds_the_target_as_sent() {
    let (a, b) = (
        "a.example".try_into().unwrap(),
        "b.example".try_into().unwrap(),
    );
    let target: Uri = "/_matrix/federation/v1/send/%24x?a=%2F&b".parse().unwrap();
    let object = signing_object(&Method::PUT, &target, a, b, Some(&json!({})));
    let expected = json!({
        "method": "PUT",
        "uri": "/_matrix/federation/v1/send/%24x?a=%2F&b",
        "origin": "a.example",
        "destination": "b.example",
        "content": {},
    });
    assert_eq!(Value::Object(object), expected);
}

/// XMTX-7.
#[test]
fn xmtx_1_host_and_scheme_are_not_signed_and_an_absent_body_neither() {
    let (a, b) = (
        "a.example".try_into().unwrap(),
        "b.example".try_into().unwrap(),
    );
    let uri: Uri = "https://b.example:8448/_matrix/key?x".parse().unwrap();
    let object = signing_object(&Method::GET, &uri, a, b, None);
    assert_eq!(object["uri"], "/_matrix/key?x");
    assert!(!object.contains_key("content"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(signature in "[A-Za-z0-9+/]{0,90}", version in "[a-zA-Z0-9_]{1,9}") {
        let key = format!("ed25519:{version}").try_into().unwrap();
        let written = XMatrix { signature, key, ..usual() };
        prop_assert_eq!(XMatrix::parse(&written.to_header_value().unwrap()), Ok(written));
    }

    #[test]
    fn no_header_makes_the_parser_panic(text in "X-Matrix [ -~\t]{0,60}") {
        let _ = parse(&text);
    }
}
