//! Images of disks: changes to a qcow2 file with clusters of all kinds, read whole
//! and inspected.
#![no_main]

use fuzz::Patched;
use image_build::format::Format;
use image_build::inspect;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (raw, made) = (fuzz::scratch("raw"), fuzz::scratch("qcow2"));
    let noise = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    let mut disk: Vec<u8> = (0..70_000).map(noise).collect();
    disk.resize(1 << 20, 0);
    disk[300_000..310_000].fill(7);
    std::fs::write(&raw, disk).expect("a place for files");
    Format::Qcow2.write(&raw, &made).expect("a small image");
    let bytes = std::fs::read(&made).expect("it was written");
    for path in [raw, made] {
        let _ = std::fs::remove_file(path);
    }
    bytes
});

fuzz_target!(|data: &[u8]| {
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| fuzz::scratch("input"));
    std::fs::write(&*PATH, Patched::new(&IMAGE, data).bytes()).expect("a place for files");
    if let Ok(disk) = inspect::open(&PATH) {
        let mut buffer = vec![0; 4096];
        for at in (0..disk.len().min(1 << 20)).step_by(60_000) {
            let _ = disk.read_at(&mut buffer, at);
        }
    }
    let _ = inspect::read(&PATH, false);
    let _ = std::fs::remove_file(&*PATH);
});
