//! The rules of events, by behaviour: each test names the checklist item it proves where there is
//! one, and whatever ruma also judges is compared with its verdict.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod against_ruma;
mod ed25519;
mod event_alone;
mod events;
mod explain;
mod format;
mod judge;
mod membership;
mod power_levels;
mod properties;
mod redaction;
mod resolution;
mod room;
mod ruma;
mod ruma_event;
mod sending;
mod signing;
mod third_party_invite;
mod user_ids;

use comity_core::pdu::RoomVersion;

const VERSIONS: [RoomVersion; 3] = [RoomVersion::V10, RoomVersion::V11, RoomVersion::V12];

const EVERY_VERSION: [RoomVersion; RoomVersion::SUPPORTED.len()] =
    *RoomVersion::SUPPORTED.first_chunk().unwrap();
