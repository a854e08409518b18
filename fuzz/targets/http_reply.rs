//! Heads of answers: status (2 bytes), bytes asked for (2 and 2), then lines.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(([a, b, c, d, e, f], head)) = data.split_first_chunk() {
        let pair = |low: &u8, high: &u8| u16::from_le_bytes([*low, *high]);
        let (from, len) = (u64::from(pair(c, d)), u64::from(pair(e, f)));
        let text = String::from_utf8_lossy(head);
        updater::fetch::http::try_reply(pair(a, b) % 600, &text, from..from + len + 1);
    }
});
