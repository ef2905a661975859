//! Any bytes as canonical JSON.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::canonical_json(bytes));
