//! Any bytes as the pages that discovery comes by.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::well_known(bytes));
