//! Who types, who has read what, and who is there.

use std::collections::BTreeMap;

use comity_core::{persistence::tables::LocalMembership, transport::matrix_error::MatrixError};
use ruma_common::RoomId;
use serde_json::{Value, json};

use super::{
    super::{errors, event_format::object, session::Session},
    Window,
};
use crate::accounts::Receipt;

impl Session<'_> {
    /// What is new in a room that is no event.
    pub(super) fn ephemeral(
        &self,
        room_id: &RoomId,
        window: &Window,
    ) -> Result<Vec<Value>, MatrixError> {
        let typing = self.api.moments.typing(room_id, window.known.moments);
        let typing = typing
            .filter(|users| window.since.is_some() || !users.is_empty())
            .map(|users| json!({ "type": "m.typing", "content": { "user_ids": users } }));
        let (known, marks) = (window.known.receipts, window.marks.receipts);
        let receipts = self.api.accounts.receipts(room_id.as_str(), known, marks);
        let receipts = receipts.map_err(errors::from_accounts)?;
        Ok(typing
            .into_iter()
            .chain(self.receipt_event(&receipts))
            .collect())
    }

    /// Private receipts are for their own user only.
    fn receipt_event(&self, receipts: &[Receipt]) -> Option<Value> {
        let mut content: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, Value>>> = BTreeMap::new();
        for receipt in receipts {
            if receipt.receipt_type != "m.read" && receipt.user_id != self.user_id.as_str() {
                continue;
            }
            let mut data = object(json!({ "ts": receipt.ts }));
            if let Some(thread_id) = &receipt.thread_id {
                data.insert("thread_id".to_owned(), thread_id.as_str().into());
            }
            let types = content.entry(&receipt.event_id).or_default();
            let users = types.entry(&receipt.receipt_type).or_default();
            users.insert(&receipt.user_id, Value::Object(data));
        }
        (!content.is_empty()).then(|| json!({ "type": "m.receipt", "content": content }))
    }

    /// Whose presence changed, of the user and those who share a room with them.
    pub(super) fn presence_news(
        &self,
        window: &Window,
        memberships: &[LocalMembership],
    ) -> Result<Vec<Value>, MatrixError> {
        let mut news = Vec::new();
        for (user_id, content) in self.api.moments.presence_changes(window.known.moments) {
            if user_id == self.user_id || self.shares_a_room(&user_id, memberships)? {
                let sender = user_id.as_str();
                news.push(json!({ "type": "m.presence", "sender": sender, "content": content }));
            }
        }
        Ok(news)
    }
}
