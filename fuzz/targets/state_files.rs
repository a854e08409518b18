//! The updater's own files, as a disk may give them back: one after another, zero bytes
//! between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::health::reports;
use updater::install::Journal;
use updater::state::Store;

const FILES: [&str; 4] = [
    "refused.json",
    "hold.json",
    "journal.json",
    "reports/1.json",
];

fuzz_target!(|data: &[u8]| {
    let folder = fuzz::scratch("state");
    std::fs::create_dir_all(folder.join("reports")).expect("a place for files");
    let mut pieces = data.splitn(FILES.len(), |byte| *byte == 0);
    for name in FILES {
        let piece = pieces.next().unwrap_or_default();
        // An empty piece: no such file.
        let _ = std::fs::remove_file(folder.join(name));
        if !piece.is_empty() {
            std::fs::write(folder.join(name), piece).expect("a place for files");
        }
    }
    if let Ok((store, memory)) = Store::open(&folder) {
        memory.refuses("2");
        store.save(&memory).expect("a place for files");
        let (_, again) = Store::open(&folder).expect("what we write, we read");
        assert_eq!(again, memory);
    }
    let journal = Journal::new(&folder.join("journal.json"));
    if let Some(progress) = journal.read() {
        journal.write(&progress).expect("a place for files");
        assert_eq!(journal.read(), Some(progress));
    }
    for report in reports(&folder) {
        let _ = report.summary();
    }
});
