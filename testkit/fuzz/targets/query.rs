//! libFuzzer's entry to [`fuzz::query::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::query::check(input));
