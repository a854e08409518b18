//! An archive's lists: `InRelease` before and after its signature was checked, and
//! `Packages` up to the solver.
#![no_main]

use image_build::archive::release::Release;
use image_build::archive::trust::Trust;
use image_build::archive::try_packages;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static DEBIAN: LazyLock<Trust> = LazyLock::new(|| Trust::debian().expect("built-in keys"));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if text.starts_with("Package") {
        let _ = try_packages(&text);
    } else if DEBIAN.verify("InRelease", &text, 1_795_300_000).is_err()
        && let Ok(release) = Release::parse("Release", &text)
    {
        let _ = release.check("Release", "trixie", 1_795_300_000);
        let _ = release.index("main/binary-amd64/Packages.xz");
    }
});
