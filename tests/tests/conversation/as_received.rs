//! What a server hands on of an event that it received: all of it but `unsigned`.

use comity_core::{
    pdu::{Pdu, RoomVersion, build::complete_template},
    transport::remote_request::Endpoint,
};
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, lied_to},
    stage::VERSIONS,
};

/// What nobody knows, but whoever hashes the event hashes it too.
fn unknown(version: RoomVersion) -> Value {
    let mut unknown = json!({
        "": [], "text": "\u{e9}\u{1f980}\"\\\n\u{1}", "null": null,
        "integers": [0, -1, 9_007_199_254_740_991_i64], "nested": { "b": [[{}]], "a": true },
    });
    if !version.rules().strict_numbers {
        unknown["numbers"] = json!([1.5, 1e300, 18_446_744_073_709_551_615_u64]);
    }
    unknown
}

/// A message with unknown keys at the top, in its content and in its hashes.
fn message(forger: &Forger) -> Pdu {
    let (name, key) = (forger.own.server_name(), forger.own.signing_key());
    let plain = forger.message("as it came");
    let mut event = plain.object();
    for key in ["a first key", "org.example.unknown", "\u{10ffff} last"] {
        event.insert(key.to_owned(), unknown(forger.version));
        event["content"][key] = unknown(forger.version);
    }
    let time = plain.origin_server_ts();
    let hashed = complete_template(event, time, forger.version, name, key).unwrap();
    let mut event = hashed.object();
    event["hashes"]["org.example.hash"] = "unknown".into();
    event["signatures"] = json!({});
    let event = Pdu::from_object(event, forger.version).unwrap();
    event.signed_by(name, key).unwrap()
}

/// PDU-33: also if it came with white space, with its keys in another order and with escapes that it
/// does not need. What others see of it is the same event by both of its hashes.
#[test]
fn pdu_33_an_event_is_handed_on_as_it_came_without_unsigned() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let event = message(&forger);
        let mut sent = Value::Object(event.object());
        sent["unsigned"] = json!({ "age": 5, "org.example.unknown": unknown(version) });
        let pretty = format!("{sent:#}").replace("as it came", r"\u0061s\u0020it came");
        let (first, rest) = pretty.split_once("\n  \"auth_events\"").unwrap();
        let (auth_events, rest) = rest.split_once("],\n  \"").unwrap();
        let (rest, end) = rest.rsplit_once('\n').unwrap();
        let shuffled = format!("{first}\n \"{rest},\n\t\"auth_events\"{auth_events}]\r\n{end}");
        assert_eq!(serde_json::from_str::<Value>(&shuffled).unwrap(), sent);

        let (status, answer) = forger.push(&mut stage.network, "one", &[shuffled]);
        assert_eq!(
            (status, &answer["pdus"][event.event_id().as_str()]),
            (200, &json!({}))
        );
        while !stage.network.server("one").jobs().is_empty() && stage.network.step() {}
        let endpoint = Endpoint::Event(event.event_id().to_owned());
        let response = stage.network.ask("liar", "one", endpoint);
        let served = &body(&response)["pdus"][0];
        assert_eq!(*served, Value::Object(event.object()), "version {version}");
        let text = std::str::from_utf8(response.body()).unwrap();
        assert!(text.contains(event.json()), "version {version}");
        let again = Pdu::parse(served.to_string(), version).unwrap();
        assert_eq!(again.event_id(), event.event_id());
        assert!(again.has_claimed_content());
    }
}
