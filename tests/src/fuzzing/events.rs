//! Events of a room whose history the fuzzer makes up.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, canonical_json::Object, event_type::CREATE, room_version::EventIds,
};
use serde_json::{Value, json};

/// A hash that is one in form.
const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One room, to which events can be made that its server would have to refuse.
pub struct MadeUpRoom {
    version: RoomVersion,
    room_id: String,
    made: usize,
}

impl MadeUpRoom {
    /// A room of one of the supported versions.
    pub fn new(choice: u8) -> Self {
        let versions = RoomVersion::SUPPORTED;
        let index = usize::from(choice).checked_rem(versions.len());
        let version = index.and_then(|index| versions.get(index));
        Self {
            version: version.copied().unwrap_or(RoomVersion::DEFAULT),
            room_id: "!room:a.example".to_owned(),
            made: 0,
        }
    }

    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// An event of these fields. Those that every event has and that are missing are filled in:
    /// it cites the events it refers to and follows the last of them. `None` if the format of the room version refuses the whole.
    pub fn event(&mut self, mut fields: Object, refers_to: &[&str]) -> Option<Arc<Pdu>> {
        let references = self.references(refers_to);
        let last = refers_to.len().saturating_sub(1);
        let previous = self.references(refers_to.get(last..).unwrap_or_default());
        let filled_in = [
            ("auth_events", references),
            ("content", json!({})),
            ("depth", json!(self.made + 1)),
            ("hashes", json!({ "sha256": HASH })),
            ("origin_server_ts", json!(self.made)),
            ("prev_events", previous),
            ("sender", json!("@creator:a.example")),
            ("signatures", json!({})),
            ("type", json!("x")),
        ];
        for (field, value) in filled_in {
            fields.entry(field).or_insert(value);
        }
        let rules = self.version.rules();
        let is_create = fields.get("type").and_then(Value::as_str) == Some(CREATE);
        if !(is_create && rules.room_id_is_create_event) {
            let room_id = || self.room_id.as_str().into();
            fields.entry("room_id").or_insert_with(room_id);
        }
        if rules.event_ids == EventIds::Chosen {
            let event_id = || chosen_id(self.made).into();
            fields.entry("event_id").or_insert_with(event_id);
        }
        self.made += 1;
        let event = Pdu::from_object(fields, self.version).ok()?;
        if is_create && rules.room_id_is_create_event {
            self.room_id = event.room_id().to_string();
        }
        Some(Arc::new(event))
    }

    /// Names these events as events of this version do.
    fn references(&self, event_ids: &[&str]) -> Value {
        let chosen = self.version.rules().event_ids == EventIds::Chosen;
        let reference = |event_id: &&str| match chosen {
            true => json!([event_id, { "sha256": HASH }]),
            false => json!(event_id),
        };
        event_ids.iter().map(reference).collect()
    }
}

/// The id of the so-manieth event where servers choose ids, which lets events name later ones.
pub fn chosen_id(index: usize) -> String {
    format!("${index}:a.example")
}
