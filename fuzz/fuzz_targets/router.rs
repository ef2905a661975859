//! Any bytes as a request's method and target.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::router(bytes));
