//! Any bytes as an event of each room version.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::pdu_from_bytes(bytes));
