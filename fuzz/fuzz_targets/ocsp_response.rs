#![no_main]

#[path = "../bodies/ocsp_response.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| body::run(octets));
