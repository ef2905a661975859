//! Any bytes as a name server's answer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::dns(bytes));
