//! Canonical JSON by examples: those of the specification, and what other text becomes.

use super::*;

fn canonical(json: &str) -> String {
    to_canonical_string(&parse(json.as_bytes()).unwrap())
}

/// CJ-1, with the examples of the appendix
#[test]
fn cj_1_sorts_keys_by_code_point_and_drops_white_space() {
    for (json, expected) in [
        ("{}", "{}"),
        (r#"{ "one": 1, "two": "Two" }"#, r#"{"one":1,"two":"Two"}"#),
        (r#"{ "b": "2", "a": "1" }"#, r#"{"a":"1","b":"2"}"#),
        (r#"{ "本": 2, "日": 1 }"#, r#"{"日":1,"本":2}"#),
        (r#"{ "a": "\u65E5" }"#, r#"{"a":"日"}"#),
        (r#"{ "a": null }"#, r#"{"a":null}"#),
        (
            r#"{"a": [ {"c": [ ], "b": true } , false ]}"#,
            r#"{"a":[{"b":true,"c":[]},false]}"#,
        ),
    ] {
        assert_eq!(canonical(json), expected);
    }
}

/// CJ-1: UTF-16 units would sort U+1F600 (surrogates from 0xD83D) before U+FF21.
#[test]
fn cj_1_does_not_sort_by_utf_16_units() {
    assert_eq!(canonical(r#"{"😀":1,"Ａ":2}"#), r#"{"Ａ":2,"😀":1}"#);
}

#[test]
fn cj_2_escapes_nothing_but_quotes_backslashes_and_controls() {
    assert_eq!(
        canonical(
            r#"["\u0000\u0008\u0009\u000A\u000b\u000c\u000d\u001F\u007f\/\"\\é\uD83D\uDE00"]"#
        ),
        "[\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}/\\\"\\\\é😀\"]"
    );
}

/// LIMIT-6.
#[test]
fn cj_3_integers_keep_their_value_and_minus_zero_is_zero() {
    assert_eq!(
        canonical(r#"{"a":-0,"b":9007199254740991,"c":-9007199254740991}"#),
        r#"{"a":0,"b":9007199254740991,"c":-9007199254740991}"#
    );
}

#[test]
fn cj_4_refuses_fractions_exponents_and_large_integers() {
    for json in [
        "1.0",
        "[1e10]",
        "1E+2",
        "-0.0",
        r#"{"a":[0.5]}"#,
        r#"{"\"":1.5}"#,
    ] {
        assert!(
            matches!(parse(json.as_bytes()), Err(JsonError::NotAnInteger(_))),
            "{json}"
        );
    }
    for json in [
        "9007199254740992",
        "-9007199254740992",
        "[18446744073709551615]",
        "99999999999999999999999",
    ] {
        assert!(
            matches!(parse(json.as_bytes()), Err(JsonError::OutOfRange(_))),
            "{json}"
        );
    }
}

#[test]
fn cj_4_looks_for_fractions_outside_of_strings_only() {
    assert_eq!(
        canonical(r#"{"v1.0":"2.5\\","1e5":["\"1.5",7,true,false]}"#),
        r#"{"1e5":["\"1.5",7,true,false],"v1.0":"2.5\\"}"#
    );
}

#[test]
fn cj_6_takes_the_last_duplicate_and_refuses_lone_surrogates() {
    assert_eq!(canonical(r#"{"a":1,"a":2}"#), r#"{"a":2}"#);
    assert!(parse(br#""\ud800""#).is_err());
    assert!(parse(b"\"\xff\"").is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(parse(&nested(100_000)).is_err());
}

/// Both ways to canonical text: whether the scan says that it is canonical, and the text anew.
fn rewritten(json: &str, numbers: Numbers) -> (bool, String) {
    let mut scanner = Scanner::new(json, numbers);
    scanner.skip().unwrap();
    (scanner.finish().unwrap(), rewrite(json, numbers).unwrap())
}

#[test]
fn canonical_text_is_recognised_and_stays_as_it_is() {
    for json in [
        r#"{"a":[],"b":{"c":null,"d":true},"e":false}"#,
        r#"{"":1,"A":-5,"a":"\"\\\b\t\n\f\r\u0000\u001f/","é":2,"日":3,"😀":4}"#,
        r#"["0123456789abcdef\n0123456789","",0,9007199254740991]"#,
        r#""text""#,
    ] {
        assert_eq!(rewritten(json, Numbers::Strict), (true, json.to_owned()));
    }
}

#[test]
fn any_other_text_is_written_anew() {
    for (json, canonical) in [
        (" {}", "{}"),
        ("{}\n", "{}"),
        ("[1, 2]", "[1,2]"),
        (r#"{"a" :1}"#, r#"{"a":1}"#),
        (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"😀":1,"Ａ":2}"#, r#"{"Ａ":2,"😀":1}"#),
        (r#"[{"x":{"b":0,"a":0}}]"#, r#"[{"x":{"a":0,"b":0}}]"#),
        (r#""\/""#, r#""/""#),
        (r#""\u000A""#, r#""\n""#),
        (r#""\u000b\u000B""#, r#""\u000b\u000b""#),
        (r#""\u0008""#, r#""\b""#),
        (r#""\u00e9""#, r#""é""#),
        (r#""\ud83d\ude00""#, r#""😀""#),
        ("-0", "0"),
    ] {
        let expected = (false, canonical.to_owned());
        assert_eq!(rewritten(json, Numbers::Strict), expected, "{json}");
    }
    // Whether keys with escapes are sorted shows only once they are unescaped.
    let sorted = r#"{"\n":1,"\"":2}"#;
    assert_eq!(
        rewritten(sorted, Numbers::Strict),
        (false, sorted.to_owned())
    );
}

#[test]
fn what_is_not_json_is_refused() {
    let cut_off = [
        "", " ", "[", "[1", "[1,", "{", r#"{"a""#, r#"{"a":"#, "\"", "\"a", "-",
    ];
    let misplaced = [
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{}}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "1 1",
        "[1]x",
        r#"{,"a":1}"#,
        r#"{a:1}"#,
        r#"{1:1}"#,
        "nul",
        "truely",
        "NaN",
        "Infinity",
        "'a'",
        "/**/1",
        "01",
        "+1",
        "--1",
        "\u{feff}{}",
    ];
    let in_strings = [
        r#""\""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        r#""\uD800""#,
        r#""\uD800\u0041""#,
        r#""\uDC00""#,
        r#""\uD800\uD800""#,
        "\"\n\"",
        "\"0123456\u{1}\"",
    ];
    for json in cut_off.iter().chain(&misplaced).chain(&in_strings) {
        let refused = parse(json.as_bytes());
        assert!(
            matches!(refused, Err(JsonError::Syntax(_))),
            "{json:?} {refused:?}"
        );
    }
    for json in ["1.", ".5", "1e", "1e+", "0x1", "-.5", "1.e5", "00.5"] {
        assert!(rewrite(json, Numbers::Any).is_err(), "{json}");
    }
}

/// A special character is found wherever it stands among the bytes that are looked at together.
#[test]
fn strings_end_where_they_end() {
    for length in 0..200 {
        let plain = "é".repeat(length / 2) + &"x".repeat(length % 2);
        let json = format!(r#"["{plain}","{plain}\n{plain}"]"#);
        let expected = serde_json::json!([plain, format!("{plain}\n{plain}")]);
        assert_eq!(parse(json.as_bytes()).unwrap(), expected);
        assert!(parse(format!("\"{plain}\u{1f}\"").as_bytes()).is_err());
        assert!(parse(format!("\"{plain}").as_bytes()).is_err());
    }
}

/// CJ-5: as Python writes them, in which most servers of that time were written.
#[test]
fn cj_5_other_numbers_are_written_as_they_were_hashed() {
    for (json, canonical) in [
        ("1.0", "1.0"),
        ("1.50", "1.5"),
        ("1e10", "10000000000.0"),
        ("1E+2", "100.0"),
        ("1e15", "1000000000000000.0"),
        ("1e16", "1e+16"),
        ("123456789012345678.0", "1.2345678901234568e+17"),
        ("1e-4", "0.0001"),
        ("1e-5", "1e-05"),
        ("1.25e-7", "1.25e-07"),
        ("1e300", "1e+300"),
        ("-2.5e-300", "-2.5e-300"),
        ("5e-324", "5e-324"),
        ("1e-400", "0.0"),
        ("-0.0", "-0.0"),
        ("-0", "0"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("9007199254740993", "9007199254740993"),
        ("-18446744073709551616", "-18446744073709551616"),
    ] {
        let expected = (json == canonical, canonical.to_owned());
        assert_eq!(rewritten(json, Numbers::Any), expected, "{json}");
    }
    let long = "9".repeat(400);
    assert_eq!(rewritten(&long, Numbers::Any), (true, long));
    for json in ["1e309", "-1e309", "1.0e999999999999"] {
        let refused = rewrite(json, Numbers::Any);
        assert_eq!(refused, Err(JsonError::OutOfRange(0)), "{json}");
    }
}

#[test]
fn cj_5_numbers_out_of_reach_are_as_large_as_can_be() {
    let nines = "9".repeat(400);
    let object = object(&format!(r#"{{"a":{nines},"b":-{nines},"c":7}}"#));
    assert_eq!(object["a"], f64::MAX);
    assert_eq!(object["b"], f64::MIN);
    assert_eq!(object["c"], 7);
}
