//! Servers hold conversations: what users do on one shows on the others, whatever fails between,
//! and whoever lies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod as_received;
mod by_time;
mod chosen_ids;
mod device_keys;
mod directories;
mod endpoints;
mod ends;
mod ephemeral;
mod explained;
mod forger;
mod forks;
mod gaps;
mod gate;
mod holes;
mod joins_in_part;
mod knocking;
mod lies;
mod media;
mod memberships;
mod of_old;
mod openid;
mod outages;
mod outliers;
mod policy;
mod questions;
mod queues;
mod redactions;
mod resumed_joins;
mod small_print;
mod stage;
mod staged;
mod standing;
mod stream_pulled;
mod stream_served;
mod talking;
mod third_party_invites;
mod to_devices;
mod traps;
mod unlucky_joins;
mod unverified;
mod verdicts;
mod ways_in;
