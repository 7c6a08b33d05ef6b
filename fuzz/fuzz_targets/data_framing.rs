#![no_main]

#[path = "../bodies/data_framing.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| body::run(octets));
