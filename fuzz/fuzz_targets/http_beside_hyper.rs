//! Any bytes as either side of a connection, which another implementation reads too.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::http_beside_hyper(bytes));
