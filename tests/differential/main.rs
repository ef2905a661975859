//! Comity beside ruma and Synapse: the same events received, authorised and resolved by all three,
//! in rooms made up by `comity_tests::rooms`.
//!
//! Where they differ, `known` must name the entry of `../DIFFERENCES.md` that says why. That page
//! also says how to run more cases, and how to repeat one room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod answers;
mod comity;
mod deeds;
mod known;
mod panel;
mod play;
mod ruma;
mod synapse;

use comity_core::pdu::RoomVersion;
use comity_tests::homeservers::installation;

macro_rules! versions {
    ($($test:ident $version:ident)*) => {$(
        #[test]
        fn $test() {
            play::compare(RoomVersion::$version);
        }
    )*};
}

versions! {
    version_1 V1
    version_2 V2
    version_3 V3
    version_4 V4
    version_5 V5
    version_6 V6
    version_7 V7
    version_8 V8
    version_9 V9
    version_10 V10
    version_11 V11
    version_12 V12
}
