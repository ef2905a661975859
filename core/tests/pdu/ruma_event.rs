//! An event as ruma-state-res sees it.

use std::sync::Arc;

use comity_core::pdu::{Pdu, event_type::CREATE};
use ruma_common::{MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId};
use ruma_events::TimelineEventType;
use ruma_state_res::Event;
use serde_json::value::RawValue;

/// An event, shared as ruma's callers share theirs.
#[derive(Clone)]
pub struct RumaEvent(Arc<Inner>);

struct Inner {
    pdu: Arc<Pdu>,
    event_id: OwnedEventId,
    event_type: TimelineEventType,
    content: Box<RawValue>,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
    rejected: bool,
}

impl RumaEvent {
    pub fn new(pdu: &Arc<Pdu>, rejected: bool) -> Self {
        let content = serde_json::to_string(&pdu.content()).unwrap();
        Self(Arc::new(Inner {
            pdu: pdu.clone(),
            event_id: pdu.event_id().to_owned(),
            event_type: pdu.event_type().into(),
            content: RawValue::from_string(content).unwrap(),
            prev_events: pdu.prev_events().to_vec(),
            auth_events: pdu.auth_events().to_vec(),
            redacts: pdu.redacts().map(ToOwned::to_owned),
            rejected,
        }))
    }
}

impl Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.0.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        let rules = self.0.pdu.room_version().rules();
        let named = !rules.room_id_is_create_event || self.0.pdu.event_type() != CREATE;
        named.then(|| self.0.pdu.room_id())
    }

    fn sender(&self) -> &UserId {
        self.0.pdu.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        serde_json::from_value(self.0.pdu.origin_server_ts().into()).unwrap()
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.0.event_type
    }

    fn content(&self) -> &RawValue {
        &self.0.content
    }

    fn state_key(&self) -> Option<&str> {
        self.0.pdu.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.0.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.0.rejected
    }
}
