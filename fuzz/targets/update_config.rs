//! Configuration: up to the first zero byte a drop-in, then CoreOS's file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::config::load;

fuzz_target!(|data: &[u8]| {
    let root = fuzz::scratch("config");
    let mut pieces = data.splitn(2, |byte| *byte == 0);
    for path in ["etc/holdfast/update.d/10-x.yaml", "etc/coreos/update.conf"] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a place for files");
        std::fs::write(path, pieces.next().unwrap_or_default()).expect("a place for files");
    }
    for problem in load(&root).problems {
        assert!(!problem.to_string().is_empty());
    }
});
