//! Any bytes as a client's requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::http_server(bytes));
