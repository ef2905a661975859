//! Any bytes as what other servers answer a whole server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::responses(bytes));
