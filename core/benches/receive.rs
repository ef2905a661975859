//! What it takes to receive one event, beside ruma-signatures: from its bytes to an event whose
//! content hash was checked, whose signature was verified and whose id is known.
//!
//! `cargo bench -p comity-core --bench receive` prints for each case the time (the middle one of
//! many turns, taken by both alternately), their ratio, and the allocations. "All but ed25519" is
//! the same work without the arithmetic of the signature. The last lines say what no implementation
//! can do without: hashing the two texts, and reading every byte once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on fails"
)]

mod turns;

use std::{collections::BTreeMap, hint::black_box};

use comity_core::pdu::{
    Pdu, RoomVersion,
    build::{EventTemplate, build},
    signing::{BasePoint, KnownKeys, PublicKey, SigningKey, VerifyKey, verify_event},
    unpadded_base64,
};
use ruma_common::{
    CanonicalJsonObject, OwnedEventId, OwnedServerName, OwnedUserId,
    canonical_json::RedactingSerializer,
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{PublicKeyMap, PublicKeySet};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::turns::alternately;

const VERSION: RoomVersion = RoomVersion::V11;
const SERVER: &str = "matrix.example.org";
const SENDER: &str = "@alice:matrix.example.org";
const KEY_ID: &str = "ed25519:a_XyZw";

fn main() {
    let sides = Sides::new();
    let message = message();
    println!(
        "{:<34} {:>10} {:>10} {:>7} {:>7} {:>6} {:>6}",
        "receiving one event", "ours", "ruma", "ratio", "bar", "ours", "ruma"
    );
    sides.compare("message, 769 bytes", &message, "0.70", "0.33");
    sides.compare(
        "the same, not canonical",
        &otherwise_written(&message),
        "",
        "",
    );
    sides.compare("member", &member(), "", "");
    sides.compare("power levels", &power_levels(), "", "");
    print_limit(&message);
}

/// Whoever receives, with the keys of the server.
struct Sides {
    seldom_used_key: KnownKeys,
    often_used_key: KnownKeys,
    ruma_keys: PublicKeyMap,
    ruma_rules: RoomVersionRules,
}

impl Sides {
    fn new() -> Self {
        let public_key = PublicKey::new(key().public_key());
        let often = public_key.with_multiples(&BasePoint::default());
        let ruma_key = Base64::new(public_key.as_bytes().to_vec());
        let ruma_keys = PublicKeySet::from([(KEY_ID.to_owned(), ruma_key)]);
        Self {
            seldom_used_key: known(public_key),
            often_used_key: known(often),
            ruma_keys: PublicKeyMap::from([(SERVER.to_owned(), ruma_keys)]),
            ruma_rules: RoomVersionRules::V11,
        }
    }

    fn compare(&self, what: &str, json: &str, bar: &str, bar_without_signature: &str) {
        let event = self.receive(json, &self.often_used_key);
        assert_eq!(event.event_id().as_str(), self.receive_by_ruma(json));
        println!("{what}");
        let by_ruma = || drop(self.receive_by_ruma(json));
        let whole = || drop(self.receive(json, &self.often_used_key));
        print_line("whole", whole, by_ruma, bar);
        let seldom = || drop(self.receive(json, &self.seldom_used_key));
        print_line("whole, by a server seldom heard of", seldom, by_ruma, "");
        let rest = || self.receive_unverified(json);
        let ruma_rest = || self.receive_unverified_by_ruma(json);
        print_line("all but ed25519", rest, ruma_rest, bar_without_signature);
    }

    fn receive(&self, json: &str, keys: &KnownKeys) -> Pdu {
        let event = Pdu::parse(black_box(json), VERSION).unwrap();
        verify_event(&event, keys).unwrap();
        assert!(event.has_claimed_content());
        event
    }

    fn receive_unverified(&self, json: &str) {
        let event = Pdu::parse(black_box(json), VERSION).unwrap();
        for server in self.often_used_key.keys() {
            let signature = event.signatures_of(server).unwrap().with_key(KEY_ID);
            black_box(unpadded_base64::decode_exact::<64>(signature.unwrap()).unwrap());
        }
        event.signed_pieces(|piece| {
            black_box(piece);
        });
        assert!(event.has_claimed_content());
        black_box(event);
    }

    fn receive_by_ruma(&self, json: &str) -> String {
        let event: CanonicalJsonObject = serde_json::from_str(black_box(json)).unwrap();
        ruma_signatures::verify_event(&self.ruma_keys, &event, &self.ruma_rules).unwrap();
        format!(
            "${}",
            ruma_signatures::reference_hash(&event, &self.ruma_rules).unwrap()
        )
    }

    /// What `ruma_signatures::verify_event` does but for the signature itself, and the event's id.
    fn receive_unverified_by_ruma(&self, json: &str) {
        let event: CanonicalJsonObject = serde_json::from_str(black_box(json)).unwrap();
        let rules = &self.ruma_rules;
        black_box(
            ruma_signatures::required_server_signatures_to_verify_event(&event, &rules.signatures)
                .unwrap(),
        );
        let text = RedactingSerializer::new()
            .rules(&rules.redaction)
            .custom_redacted_root_fields(&["signatures", "unsigned"])
            .serialize(&event);
        black_box(text.unwrap());
        let text_at = |outer: &str, path: [&str; 2]| {
            let inner = path
                .iter()
                .fold(&event[outer], |value, key| match value.as_object() {
                    Some(object) if object.contains_key(*key) => &object[*key],
                    _ => value,
                });
            Base64::<Standard>::parse(inner.as_str().unwrap()).unwrap()
        };
        black_box(text_at("signatures", [SERVER, KEY_ID]));
        let claimed = text_at("hashes", ["sha256", ""]);
        let hash = ruma_signatures::content_hash(&event).unwrap();
        assert_eq!(claimed.as_bytes(), hash.as_bytes());
        black_box(ruma_signatures::reference_hash(&event, rules).unwrap());
    }
}

fn print_line(what: &str, ours: impl Fn(), ruma: impl Fn(), bar: &str) {
    let [our_time, ruma_time] = alternately([&ours, &ruma]);
    println!(
        "  {what:<32} {:>7.2} µs {:>7.2} µs {:>7.2} {bar:>7} {:>6} {:>6}",
        our_time / 1000.0,
        ruma_time / 1000.0,
        our_time / ruma_time,
        allocation_counter::measure(ours).count_total,
        allocation_counter::measure(ruma).count_total,
    );
}

fn print_limit(json: &str) {
    let event = Pdu::parse(json, VERSION).unwrap();
    let signed = event.signed_text();
    let hashed = event.text().without_hashes_and_signatures().concat();
    let hash = || {
        black_box(Sha256::digest(black_box(&signed)));
        black_box(Sha256::digest(black_box(&hashed)));
    };
    let read = || {
        black_box(std::str::from_utf8(black_box(json.as_bytes())).unwrap());
    };
    let [hash, read] = alternately([&hash, &read]);
    println!(
        "limit for the message: hashing {} + {} bytes takes {:.2} µs,",
        signed.len(),
        hashed.len(),
        hash / 1000.0
    );
    println!(
        "checking that {} bytes are UTF-8 {:.2} µs",
        json.len(),
        read / 1000.0
    );
}

fn known(public_key: PublicKey) -> KnownKeys {
    let verify_key = VerifyKey {
        key_id: KEY_ID.to_owned(),
        public_key,
        valid_until: i64::MAX,
        retired: false,
    };
    BTreeMap::from([(SERVER.try_into().unwrap(), [verify_key].into())])
}

fn key() -> SigningKey {
    SigningKey::from_seed(KEY_ID, &[7; 32]).unwrap()
}

/// The event as another server sends it.
fn event(event_type: &str, state_key: Option<&str>, content: Value) -> String {
    let id = |digit: &str| OwnedEventId::try_from(format!("${}", digit.repeat(43))).unwrap();
    let Value::Object(content) = content else {
        unreachable!("every content here is an object");
    };
    let template = EventTemplate {
        room_id: Some("!KmVnTwPpBcDyFqHsRx:matrix.example.org".try_into().unwrap()),
        sender: OwnedUserId::try_from(SENDER).unwrap(),
        event_type: event_type.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        content,
        redacts: None,
        prev_events: vec![id("P")],
        auth_events: vec![id("A"), id("B"), id("C")],
        reference_hashes: BTreeMap::new(),
        depth: 1234,
        origin_server_ts: 1_770_000_000_000,
    };
    let server: OwnedServerName = SERVER.try_into().unwrap();
    let event = build(template, VERSION, &server, &key()).unwrap();
    let unsigned = r#","unsigned":{"age":512}}"#;
    event.json().strip_suffix('}').unwrap().to_owned() + unsigned
}

fn message() -> String {
    let with_body = |length: usize| {
        let content = json!({ "body": "x".repeat(length), "msgtype": "m.text" });
        event("m.room.message", None, content)
    };
    let message = with_body(769 - with_body(0).len());
    assert_eq!(message.len(), 769);
    message
}

fn member() -> String {
    let content = json!({
        "avatar_url": "mxc://matrix.example.org/SEsfnsuifSDFSSEF",
        "displayname": "Alice Margatroid",
        "membership": "join",
    });
    event("m.room.member", Some(SENDER), content)
}

fn power_levels() -> String {
    let users = (0..30).map(|i| (format!("@user{i}:matrix.example.org"), json!(50)));
    let content = json!({
        "ban": 50, "events_default": 0, "invite": 0, "kick": 50, "redact": 50,
        "state_default": 50, "users": Map::from_iter(users), "users_default": 0,
        "events": {
            "m.room.avatar": 50, "m.room.canonical_alias": 50, "m.room.encryption": 100,
            "m.room.history_visibility": 100, "m.room.name": 50, "m.room.power_levels": 100,
            "m.room.server_acl": 100, "m.room.tombstone": 100,
        },
    });
    event("m.room.power_levels", Some(""), content)
}

/// The same event with its keys in another order and with white space.
fn otherwise_written(json: &str) -> String {
    let event: Map<String, Value> = serde_json::from_str(json).unwrap();
    let entries = event.iter().rev();
    let entries = entries.map(|(key, value)| format!("{}: {value}", Value::from(key.as_str())));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}
