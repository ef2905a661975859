//! Any states of any graph of events, to be resolved.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzzing::resolve_states(bytes));
