//! What is new for the user's device: messages to it, whose devices changed, and how many of its
//! own keys are left.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{
    pdu::event_type::MEMBER, persistence::tables::LocalMembership,
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use super::{
    super::{Handled, errors, room_reads::membership_of, session::Session, token::Marks},
    Answer, SyncToken, Window,
};

/// How many messages to a device one answer holds.
const MESSAGES_MAX: u32 = 100;

/// How many members of a room that the user left are looked at.
const LEFT_MAX: usize = 2_000;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct News {
    pub(super) messages: Vec<Value>,
    pub(super) changed: BTreeSet<OwnedUserId>,
    pub(super) left: BTreeSet<OwnedUserId>,
    pub(super) one_time_keys: BTreeMap<String, i64>,
    pub(super) fallback_keys: Vec<String>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.changed.is_empty() && self.left.is_empty()
    }
}

impl Session<'_> {
    /// How much has happened by now. It is read before all else, so that nothing is missed.
    pub(super) fn marks(&self) -> Result<Marks, MatrixError> {
        let accounts = &self.api.accounts;
        Ok(Marks {
            devices: accounts
                .last_device_change()
                .map_err(errors::from_accounts)?,
            messages: accounts
                .last_device_message()
                .map_err(errors::from_accounts)?,
            receipts: accounts.last_receipt().map_err(errors::from_accounts)?,
            moments: self.api.moments.last(),
            account_data: accounts
                .last_account_data()
                .map_err(errors::from_accounts)?,
        })
    }

    pub(super) fn add_device_news(
        &self,
        answer: &mut Answer,
        window: &Window,
        memberships: &[LocalMembership],
    ) -> Result<(), MatrixError> {
        let accounts = &self.api.accounts;
        self.add_messages(answer, window)?;
        if window.since.is_some() {
            let (changed, left) = self.device_lists(answer, window, memberships)?;
            (answer.devices.changed, answer.devices.left) = (changed, left);
        }
        let counts = accounts.one_time_key_counts(&self.caller);
        let mut counts = counts.map_err(errors::from_accounts)?;
        counts.entry("signed_curve25519".to_owned()).or_default();
        answer.devices.one_time_keys = counts;
        let unused = accounts.unused_fallback_algorithms(&self.caller);
        answer.devices.fallback_keys = unused.map_err(errors::from_accounts)?;
        Ok(())
    }

    /// What the client has is forgotten when it asks for more. If there is more than one answer
    /// holds, the token stands behind the last message that is in it.
    fn add_messages(&self, answer: &mut Answer, window: &Window) -> Result<(), MatrixError> {
        let (accounts, known) = (&self.api.accounts, window.known.messages);
        let forgotten = accounts.forget_device_messages(&self.caller, known);
        forgotten.map_err(errors::from_accounts)?;
        let through = window.marks.messages;
        let messages = accounts.device_messages(&self.caller, known, through, MESSAGES_MAX);
        let messages = messages.map_err(errors::from_accounts)?;
        if messages.len() >= MESSAGES_MAX as usize
            && let Some((last, _)) = messages.last()
        {
            answer.next_batch.marks.messages = *last;
        }
        answer.devices.messages = messages.into_iter().map(|(_, event)| event).collect();
        Ok(())
    }

    /// Whose devices changed or came into sight, and who went out of sight.
    fn device_lists(
        &self,
        answer: &Answer,
        window: &Window,
        memberships: &[LocalMembership],
    ) -> Result<(BTreeSet<OwnedUserId>, BTreeSet<OwnedUserId>), MatrixError> {
        let mut changed =
            self.changed_devices(window.known.devices, window.marks.devices, memberships)?;
        let (came, mut gone) = movements(answer);
        for room_id in answer.leave.keys() {
            gone.extend(self.members_left_behind(room_id)?);
        }
        changed.extend(came.into_iter().filter(|user_id| *user_id != self.user_id));
        let mut left = BTreeSet::new();
        for user_id in gone {
            if user_id != self.user_id && !self.shares_a_room(&user_id, memberships)? {
                changed.remove(&user_id);
                left.insert(user_id);
            }
        }
        Ok((changed, left))
    }

    /// Who was in a room when the user left it.
    fn members_left_behind(&self, room_id: &str) -> Result<Vec<OwnedUserId>, MatrixError> {
        let Ok(room_id) = <&RoomId>::try_from(room_id) else {
            return Ok(Vec::new());
        };
        let left = self.memberships()?.into_iter();
        let mut left = left.filter(|entry| entry.room_id == *room_id);
        let Some(departure) = left
            .next()
            .map(|entry| self.departure(&entry))
            .transpose()?
        else {
            return Ok(Vec::new());
        };
        let state = match departure {
            Some(departure) => self.snapshot_events(departure.state)?,
            None => return Ok(Vec::new()),
        };
        let joined = state.iter().filter(|event| {
            event.pdu.event_type() == MEMBER && membership_of(Some(event)) == "join"
        });
        let users = joined
            .filter_map(|event| event.pdu.state_key())
            .take(LEFT_MAX);
        Ok(users.filter_map(|user| user.try_into().ok()).collect())
    }

    fn changed_devices(
        &self,
        after: i64,
        through: i64,
        memberships: &[LocalMembership],
    ) -> Result<BTreeSet<OwnedUserId>, MatrixError> {
        let mut seen = BTreeSet::new();
        let changes = self.api.accounts.device_changes(after, through);
        for user_id in changes.map_err(errors::from_accounts)? {
            if user_id == self.user_id || self.shares_a_room(&user_id, memberships)? {
                seen.insert(user_id);
            }
        }
        Ok(seen)
    }

    /// The answer of `keys/changes`: as `sync` would have told it, but for who came and went.
    pub(in super::super) fn device_list_changes(
        &self,
        from: &SyncToken,
        to: &SyncToken,
    ) -> Handled {
        let memberships = self.memberships()?;
        let (after, through) = (from.marks.devices, to.marks.devices);
        let changed = self.changed_devices(after, through, &memberships)?;
        Ok(json!({ "changed": changed, "left": [] }))
    }

    /// Whether somebody is in a room that the user is in.
    pub(in super::super) fn shares_a_room(
        &self,
        other: &UserId,
        memberships: &[LocalMembership],
    ) -> Result<bool, MatrixError> {
        for entry in memberships
            .iter()
            .filter(|entry| entry.membership == "join")
        {
            let key = comity_core::pdu::StateKey::new(MEMBER, other.as_str());
            let member = self.current_state_event(&entry.room_id, key)?;
            if membership_of(member.as_deref()) == "join" {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The users that an answer shows as joining a room of the user's, and as leaving one.
fn movements(answer: &Answer) -> (BTreeSet<OwnedUserId>, BTreeSet<OwnedUserId>) {
    let (mut came, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for room in answer.join.values().chain(answer.leave.values()) {
        let lists = ["state", "state_after", "timeline"]
            .map(|list| room.pointer(&format!("/{list}/events")));
        let events = lists
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten();
        for event in events.filter(|event| event["type"] == MEMBER) {
            let Some(Ok(user_id)) = event["state_key"].as_str().map(OwnedUserId::try_from) else {
                continue;
            };
            match event.pointer("/content/membership").and_then(Value::as_str) {
                Some("join") => drop(came.insert(user_id)),
                Some("leave" | "ban") => drop(gone.insert(user_id)),
                _ => {}
            }
        }
    }
    (came, gone)
}
