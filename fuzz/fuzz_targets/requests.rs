//! Any bytes as a signed request to a whole server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::requests(bytes));
