#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mneme_kernel_fuzz::json_path(bytes));
