//! Any event in any state of a room, before the authorisation rules.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::authorise(bytes));
