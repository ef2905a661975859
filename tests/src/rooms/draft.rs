//! An event in the making.

use comity_core::pdu::{
    RoomVersion,
    canonical_json::Object,
    redaction::{KeptContent, KeptKey},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    dice::Dice,
    servers::{self, PRESENT_KEY},
};

/// Stands in an event for a number that JSON values cannot hold.
pub const NUMBER: &str = "the number goes here";

/// The fields of an event, and what is done to make it complete.
#[derive(Clone, Debug)]
pub struct Draft {
    /// All fields but the hashes and signatures.
    pub fields: Object,
    /// The servers that sign it, and the ids of the keys that they sign with.
    pub signers: Vec<(String, &'static str)>,
    /// A number as it is sent and as it is hashed, for [`NUMBER`].
    pub number: Option<(&'static str, &'static str)>,
    /// What happens to the event after it was signed.
    pub tampering: Vec<fn(&mut Dice, &mut Object, RoomVersion)>,
    /// What happens to its text at last.
    pub rewriting: Vec<fn(&mut Dice, String) -> String>,
}

impl Draft {
    /// An honest event of this user.
    pub fn new(fields: Object, sender: &str) -> Self {
        Self {
            fields,
            signers: vec![(server_of(sender).to_owned(), PRESENT_KEY)],
            number: None,
            tampering: Vec::new(),
            rewriting: Vec::new(),
        }
    }

    /// The field, null if there is none.
    pub fn get(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&Value::Null)
    }

    /// The field as text, empty if it is none.
    pub fn text_at(&self, field: &str) -> &str {
        self.get(field).as_str().unwrap_or_default()
    }

    /// Sets a field.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// The content, made an object if it was none.
    pub fn content(&mut self) -> &mut Object {
        let content = self.fields.entry("content").or_insert_with(|| json!({}));
        if !content.is_object() {
            *content = json!({});
        }
        content.as_object_mut().expect("just made one")
    }

    /// Hashes, signs and writes the event.
    pub fn text(mut self, dice: &mut Dice, version: RoomVersion) -> String {
        let mut event = std::mem::take(&mut self.fields);
        let hash = base64(&Sha256::digest(
            self.canonical(without(&event, &["unsigned"])),
        ));
        event.insert("hashes".to_owned(), json!({ "sha256": hash }));
        let signed = self.canonical(without(&redact(&event, version), &["unsigned"]));
        let mut signatures = Object::new();
        for (server, key_id) in &self.signers {
            let signature = servers::key(server, key_id).sign(signed.as_bytes());
            let of_server = signatures.entry(server).or_insert_with(|| json!({}));
            of_server[*key_id] = signature.into();
        }
        event.insert("signatures".to_owned(), Value::Object(signatures));
        for tamper in &self.tampering {
            tamper(dice, &mut event, version);
        }
        let mut text = Value::Object(event).to_string();
        if let Some((sent, _)) = self.number {
            text = text.replace(&format!("\"{NUMBER}\""), sent);
        }
        for rewrite in &self.rewriting {
            text = rewrite(dice, text);
        }
        text
    }

    /// The text that is hashed and signed. JSON values are written with their keys in order and
    /// with the shortest escapes, which is what canonical JSON wants.
    fn canonical(&self, event: Object) -> String {
        let text = Value::Object(event).to_string();
        match self.number {
            Some((_, hashed)) => text.replace(&format!("\"{NUMBER}\""), hashed),
            None => text,
        }
    }
}

fn without(event: &Object, keys: &[&str]) -> Object {
    let mut event = event.clone();
    event.retain(|key, _| !keys.contains(&key.as_str()));
    event
}

/// The event after a redaction, in which anything may stand anywhere.
pub fn redact(event: &Object, version: RoomVersion) -> Object {
    let rules = &version.rules().redaction;
    let event_type = event.get("type").and_then(Value::as_str);
    let kept = rules
        .content
        .iter()
        .find(|(kept, _)| Some(*kept) == event_type);
    let kept = kept.map_or(KeptContent::Keys(&[]), |(_, kept)| *kept);
    let mut redacted = Object::new();
    for field in rules.top_level.iter().map(|field| field.name()) {
        let value = match (event.get(field), kept) {
            (Some(Value::Object(content)), KeptContent::Keys(keys)) if field == "content" => {
                let entries = keys.iter().filter_map(|key| kept_entry(content, *key));
                Some(Value::Object(entries.collect()))
            }
            (value, _) => value.cloned(),
        };
        redacted.extend(value.map(|value| (field.to_owned(), value)));
    }
    redacted
}

fn kept_entry(content: &Object, kept: KeptKey) -> Option<(String, Value)> {
    match kept {
        KeptKey::Whole(key) => Some((key.to_owned(), content.get(key)?.clone())),
        KeptKey::Inside(outer, inner) => {
            let inside = content.get(outer)?.as_object()?.get_key_value(inner);
            let inside = inside.map(|(key, value)| (key.clone(), value.clone()));
            Some((
                outer.to_owned(),
                Value::Object(inside.into_iter().collect()),
            ))
        }
    }
}

/// How an event is named beside its id where ids are chosen.
pub fn reference_hash(event: &Object, version: RoomVersion) -> String {
    let named = without(&redact(event, version), &["signatures", "unsigned"]);
    base64(&Sha256::digest(Value::Object(named).to_string()))
}

/// In unpadded base64.
pub fn base64(bytes: &[u8]) -> String {
    comity_core::pdu::unpadded_base64::encode(bytes)
}

/// What follows the first colon of an id.
pub fn server_of(id: &str) -> &str {
    id.split_once(':').map_or("", |(_, server)| server)
}
