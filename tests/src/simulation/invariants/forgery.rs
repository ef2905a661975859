//! No honest server accepts in another's name what that one never signed, but invites of those who
//! an identity server says are whose address was invited: these any server of the room may make.

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_core::Monotonic;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::Value;

use super::{Ending, Invariant};
use crate::simulation::{names::IDENTITY_SERVER, sight::Sight};

/// See the module.
///
/// A signature counts as an honest server's own if it was first seen under its name in something
/// that this server itself sent.
#[derive(Debug, Default)]
pub struct NothingForged {
    /// The content of each event that a server signed, by the signature.
    signed: BTreeMap<(OwnedServerName, String), Value>,
}

impl NothingForged {
    fn learn(&mut self, server: &ServerName, body: &Bytes) {
        let mentions_events = body.windows(12).any(|part| part == b"\"signatures\"");
        if let Some(value) = mentions_events
            .then(|| serde_json::from_slice(body).ok())
            .flatten()
        {
            self.learn_from(server, &value);
        }
    }

    fn learn_from(&mut self, server: &ServerName, value: &Value) {
        let inner: Vec<&Value> = match value {
            Value::Object(object) => object.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => return,
        };
        for signature in signatures(value, server) {
            self.signed
                .entry((server.to_owned(), signature.to_owned()))
                .or_insert_with(|| value["content"].clone());
        }
        for value in inner {
            self.learn_from(server, value);
        }
    }

    /// Whether this invites whom the identity server found out.
    fn is_found_out(&self, event: &Value) -> bool {
        let server = <&ServerName>::try_from(IDENTITY_SERVER).expect("a server name");
        let content = &event["content"];
        let mut of_address = signatures(&content["third_party_invite"]["signed"], server);
        content["membership"] == "invite"
            && of_address.any(|signature| {
                let key = (server.to_owned(), signature.to_owned());
                self.signed.contains_key(&key)
            })
    }
}

/// The signatures of a server under an object.
fn signatures<'v>(object: &'v Value, server: &ServerName) -> impl Iterator<Item = &'v str> {
    let of_server = object["signatures"][server.as_str()].as_object();
    of_server
        .into_iter()
        .flatten()
        .filter_map(|(_, signature)| signature.as_str())
}

/// Whether one value is the other with some keys left out, as a redaction leaves them out.
fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|whole| is_part_of(value, whole))),
        _ => part == whole,
    }
}

impl Invariant for NothingForged {
    fn name(&self) -> &'static str {
        "nothing forged is accepted"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Requested(asked, request) => self.learn(asked.from, request.body()),
            Sight::Answered(asked, response) => self.learn(asked.to, response.body()),
            _ => {}
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (server, events) in end.stored {
            let others = events.values().filter(|event| {
                let author = event.pdu.origin();
                author != server && end.honest.contains(author) && !event.verdict.is_rejected()
            });
            for event in others {
                let author = event.pdu.origin();
                let object = Value::Object(event.pdu.object());
                let is_authors = signatures(&object, author).any(|signature| {
                    let key = (author.to_owned(), signature.to_owned());
                    let signed = self.signed.get(&key);
                    signed.is_some_and(|content| is_part_of(&object["content"], content))
                });
                if !is_authors && !self.is_found_out(&object) {
                    return Err(format!(
                        "{server} accepted {event:?}, which {author} never signed"
                    ));
                }
            }
        }
        Ok(())
    }
}
