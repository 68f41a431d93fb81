//! libFuzzer's entry to [`fuzz::snapshot::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::snapshot::check(input));
