//! Any bytes as an `Authorization` header.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::x_matrix(bytes));
