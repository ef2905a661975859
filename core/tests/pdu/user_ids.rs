//! Who may have sent an event.

use comity_core::pdu::{Pdu, RoomVersion};
use serde_json::json;

use crate::{EVERY_VERSION, events::valid_event};

/// The server of the sender of an event, if that may be one.
fn server_of(sender: &str, version: RoomVersion) -> Option<String> {
    let mut event = valid_event(version);
    event.insert("sender".to_owned(), json!(sender));
    let event = Pdu::from_object(event, version).ok()?;
    Some(event.origin().to_string())
}

#[test]
fn id_3_a_user_is_of_the_server_behind_the_first_colon() {
    let of_length = |length: usize| format!("@{}:b.example", "é".repeat((length - 11) / 2));
    for version in EVERY_VERSION {
        for (sender, server) in [
            ("@ann:b.example:8448", Some("b.example:8448")),
            ("@ann:[2a01::1]:8448", Some("[2a01::1]:8448")),
            ("@ann", None),
            ("ann:b.example", None),
            (&*of_length(255), Some("b.example")),
            (&*of_length(257), None),
        ] {
            assert_eq!(server_of(sender, version).as_deref(), server, "{sender}");
        }
    }
}

#[test]
fn id_4_names_of_old_have_any_letters() {
    for version in EVERY_VERSION {
        for localpart in ["", "Ann", "ä ö\u{1}", "\u{1f600}", "a/b=c"] {
            let server = server_of(&format!("@{localpart}:b.example"), version);
            assert_eq!(server.as_deref(), Some("b.example"), "{localpart:?}");
        }
    }
}
