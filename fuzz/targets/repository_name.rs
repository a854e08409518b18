//! Names that a repository gives its files: none leads out of a folder.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use updater::fetch::{Source, directory::Directory, name};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let top = fuzz::scratch("names");
    let folder = top.join("repository");
    std::fs::create_dir_all(folder.join("a")).expect("a place for files");
    std::fs::write(top.join("secret"), "x").expect("a place for files");
    std::fs::write(folder.join("a/b"), "y").expect("a place for files");
    folder
});

fuzz_target!(|data: &[u8]| {
    let name = String::from_utf8_lossy(data);
    let good = name::check(&name).is_ok();
    let mut source = Directory::open(&FOLDER).expect("it was made");
    if let Ok(Some(bytes)) = source.document(&name, 10) {
        assert!(good && bytes == b"y", "{name:?}");
    }
});
