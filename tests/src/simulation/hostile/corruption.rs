//! What becomes of a hostile server's answers on their way.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    keys::OwnKeys,
    pdu::{Pdu, signing::SigningKey, unpadded_base64},
    persistence::tables::StoredEvent,
};
use http::Response;
use percent_encoding::percent_decode_str;
use ruma_common::{OwnedRoomId, ServerName};
use serde_json::{Map, Value, json};

use super::{Hostile, ruses::Tale};
use crate::simulation::{plan::lies::Corruption, sight::room_in};

/// The largest answer that is made too large: to hold the largest of all would take too long.
const OVERSIZED_MAX: usize = 16 << 20;

/// How many of the events that were withheld are told at once: no more than are read.
const WITHHELD_MAX: usize = 80;

/// What a hostile server was asked, and what it would truthfully say.
pub(in crate::simulation) struct Answered<'a> {
    /// By whom.
    pub from: &'a ServerName,
    /// Method and target.
    pub line: &'a str,
    /// The largest answer that would be read.
    pub limit: usize,
    /// What it would say.
    pub truth: Response<Bytes>,
    /// Its name and key.
    pub own: &'a OwnKeys,
    /// Events of a room that it was not asked about.
    pub foreign: &'a [Arc<StoredEvent>],
}

/// What it says.
pub(in crate::simulation) enum Falsehood {
    /// This, so much later than it might.
    Says(Response<Bytes>, Duration),
    /// Nothing, ever.
    Silence,
}

impl Hostile {
    /// Remembers what a tale needs besides what is pushed.
    pub(in crate::simulation) fn remember(&mut self, room_id: &OwnedRoomId, tale: &Tale) {
        self.withheld.extend(tale.withheld.iter().cloned());
        if tale.misleads {
            self.ambiguous.insert(room_id.clone());
        }
    }

    /// The rooms of which events may be added to the answer, if some are to be.
    pub(in crate::simulation) fn foreign_rooms(&self, line: &str) -> Vec<OwnedRoomId> {
        let mut corruptions = self.corruptions.iter();
        let next = corruptions.find(|(target, _)| line.contains(target));
        if next.is_none_or(|(_, corruption)| *corruption != Corruption::Foreign) {
            return Vec::new();
        }
        let asked = room_in(line);
        let others = self.rooms.iter();
        let others = others.filter(|room| asked.as_ref() != Some(*room));
        others.cloned().collect()
    }

    /// What becomes of an answer, and by which corruption.
    pub(in crate::simulation) fn corrupt(
        &mut self,
        answered: Answered<'_>,
    ) -> (Falsehood, Option<Corruption>) {
        let truth = self.with_withheld(&answered);
        let awaited = |(target, _): &(&str, Corruption)| answered.line.contains(target);
        let Some(index) = self.corruptions.iter().position(awaited) else {
            return (Falsehood::Says(truth, Duration::ZERO), None);
        };
        let (_, corruption) = self.corruptions.remove(index);
        let now = Duration::ZERO;
        let falsehood = match corruption {
            Corruption::Endless => Falsehood::Silence,
            Corruption::Late(seconds) => {
                Falsehood::Says(truth, Duration::from_secs(u64::from(seconds)))
            }
            Corruption::Refused(status) => {
                let body = json!({ "errcode": "M_UNKNOWN", "error": "no" }).to_string();
                Falsehood::Says(response(status, body), now)
            }
            Corruption::Garbage => Falsehood::Says(response(200, r#"{"pdus":[{"#.to_owned()), now),
            Corruption::Hollow => Falsehood::Says(response(200, "{}".to_owned()), now),
            Corruption::Oversized => {
                let size = (answered.limit + 1).min(OVERSIZED_MAX + 1);
                Falsehood::Says(response(200, " ".repeat(size)), now)
            }
            _ => match self.rewritten(corruption, &answered, &truth) {
                Some(untruth) => Falsehood::Says(untruth, now),
                None => return (Falsehood::Says(truth, now), None),
            },
        };
        (falsehood, Some(corruption))
    }

    /// An answer with something in it changed, if there is something to change. Who believes it about
    /// a whole state has another state than the rest of the world.
    fn rewritten(
        &mut self,
        corruption: Corruption,
        answered: &Answered<'_>,
        truth: &Response<Bytes>,
    ) -> Option<Response<Bytes>> {
        let unchanged: Value = serde_json::from_slice(truth.body()).ok()?;
        let mut body = unchanged.clone();
        let about_state = ["/state_ids/", "/state/", "/send_join/"];
        // Events of another room mislead nobody: they are left out.
        if corruption != Corruption::Foreign
            && about_state.iter().any(|part| answered.line.contains(part))
        {
            let misled = room_in(answered.line).map(|room_id| (answered.from.to_owned(), room_id));
            self.misled.extend(misled);
        }
        let foreign = answered.foreign;
        match corruption {
            Corruption::WrongTypes => with_wrong_types(&mut body),
            Corruption::Altered => for_each_object(&mut body, &alter),
            Corruption::Unsigned => for_each_object(&mut body, &|object| {
                object.remove("signatures");
            }),
            Corruption::Foreign => {
                let foreign = foreign.iter().cloned();
                let (taken, free): (Vec<_>, Vec<_>) =
                    foreign.partition(|event| is_taken(&body, &event.pdu));
                let foreign = if free.is_empty() { taken } else { free };
                add(&mut body, &foreign);
            }
            Corruption::Shortened => lists(&mut body, &|list| list.truncate(list.len() / 2)),
            Corruption::Expired => with_keys(&mut body, answered.own, |keys| {
                keys.insert("valid_until_ts".to_owned(), 1_000.into());
            }),
            Corruption::Rotated => {
                let other = SigningKey::from_seed("ed25519:other", &[9; 32]).expect("a key id");
                let key = unpadded_base64::encode(&other.public_key());
                let name = answered.own.server_name().to_owned();
                with_keys(&mut body, &OwnKeys::new(name, Arc::new(other)), |keys| {
                    let other = json!({ "ed25519:other": { "key": key } });
                    keys.insert("verify_keys".to_owned(), other);
                });
            }
            _ => {}
        }
        (body != unchanged).then(|| response(truth.status().as_u16(), body.to_string()))
    }

    /// The truth, and the events that are told to those who ask.
    fn with_withheld(&self, answered: &Answered<'_>) -> Response<Bytes> {
        let truth = &answered.truth;
        if self.withheld.is_empty() {
            return truth.clone();
        }
        if answered.line.contains("/get_missing_events/") {
            let told: Value = serde_json::from_slice(truth.body()).unwrap_or_default();
            let told = told["events"].as_array().cloned().unwrap_or_default();
            let withheld = self.withheld.iter().rev().take(WITHHELD_MAX);
            let withheld = withheld.map(|event| Value::Object(event.object()));
            let events: Vec<_> = withheld.chain(told).collect();
            return response(200, json!({ "events": events }).to_string());
        }
        let asked = answered
            .line
            .split_once("/event/")
            .map(|(_, id)| decoded(id));
        let is_asked = |event: &&Pdu| asked.as_deref() == Some(event.event_id().as_str());
        let event = self.withheld.iter().find(is_asked);
        match event {
            Some(event) => {
                let pdus = json!({ "pdus": [event.object()] });
                response(200, pdus.to_string())
            }
            None => truth.clone(),
        }
    }
}

fn response(status: u16, body: String) -> Response<Bytes> {
    let builder = Response::builder().status(status);
    builder.body(body.into()).expect("a plan gives a status")
}

fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

/// Changes every object in a value; the value is shallow, since a core made it.
fn for_each_object(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            for inner in object.values_mut() {
                for_each_object(inner, change);
            }
        }
        Value::Array(items) => {
            for item in items {
                for_each_object(item, change);
            }
        }
        _ => {}
    }
}

/// Changes every list on the first level.
fn lists(body: &mut Value, change: &impl Fn(&mut Vec<Value>)) {
    let values = body.as_object_mut().into_iter().flatten();
    for list in values.filter_map(|(_, value)| value.as_array_mut()) {
        change(list);
    }
}

/// Alters an event; of a template, which nobody has signed yet, what it is.
fn alter(object: &mut Map<String, Value>) {
    if let Some(version) = object.get_mut("room_version") {
        *version = "9".into();
    }
    let is_signed = object.contains_key("signatures");
    let Some(content) = object.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    content.insert("body".to_owned(), "altered".into());
    if !is_signed {
        content.insert("membership".to_owned(), "ban".into());
    }
}

/// Whether a list in an answer has an event in this event's place of the state: two in one place
/// would be too plain a lie.
fn is_taken(body: &Value, event: &Pdu) -> bool {
    let values = body.as_object().into_iter().flatten();
    let mut told = values.filter_map(|(_, value)| value.as_array()).flatten();
    told.any(|told| {
        told["type"] == event.event_type() && told["state_key"].as_str() == event.state_key()
    })
}

/// Adds events of another room to every list of events or ids, and makes a template one of it.
fn add(body: &mut Value, foreign: &[Arc<StoredEvent>]) {
    lists(body, &|list| {
        let are_ids = list.first().is_some_and(Value::is_string);
        list.extend(foreign.iter().map(|event| match are_ids {
            true => event.pdu.event_id().as_str().into(),
            false => Value::Object(event.pdu.object()),
        }));
    });
    let template = body.get_mut("event");
    let template = template.filter(|event| event.get("signatures").is_none());
    if let (Some(event), Some(template)) = (foreign.first(), template) {
        template["room_id"] = event.pdu.room_id().as_str().into();
    }
}

fn with_wrong_types(body: &mut Value) {
    for (_, value) in body.as_object_mut().into_iter().flatten() {
        *value = match value {
            Value::Array(_) => 7.into(),
            Value::Object(_) => "an object".into(),
            _ => Value::Array(Vec::new()),
        };
    }
}

/// Changes published keys and signs them again.
fn with_keys(body: &mut Value, own: &OwnKeys, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(keys) = body.as_object_mut() {
        keys.remove("signatures");
        change(keys);
        own.sign(keys);
    }
}
