//! libFuzzer's entry to [`fuzz::answer::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::answer::check(input));
