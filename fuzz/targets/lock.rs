//! Locks.
#![no_main]

use image_build::archive::lock::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(lock) = Lock::decode(data) {
        let again = Lock::decode(&lock.encode().expect("it was decoded"));
        assert_eq!(again.expect("what we write, we read"), lock);
    }
});
