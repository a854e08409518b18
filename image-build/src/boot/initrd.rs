//! The initrd: our PID 1, the modules it may need, and their index.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use super::cpio::Archive;
use super::modules::Selection;
use crate::cache::Cache;
use crate::error::{Context, Result};

/// Name of the cache's folder for initrds.
const SPACE: &str = "initrd";
/// The slowest level that does not need more memory than the kernel has when it
/// unpacks. A second or two, once: the result is cached.
const LEVEL: i32 = 19;

/// Makes the initrd: cpio, zstd. `init` is the static binary for `/init`.
///
/// The same input gives the same bytes; they are kept in `cache`.
pub fn build(init: &[u8], modules: &Selection, cache: &Cache) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("init", 0o755, init);
    archive.dir("modules");
    for module in &modules.modules {
        // Checking signatures takes longer than all the rest `init` does; it joins them where the kernel insists.
        let (code, signature) = init::modules::split_signature(&module.bytes);
        archive.file(&format!("modules/{}.ko", module.name), 0o644, code);
        if !signature.is_empty() {
            archive.file(&format!("modules/{}.ko.sig", module.name), 0o644, signature);
        }
    }
    archive.file("modules/index", 0o644, &modules.index);
    let plain = archive.finish();

    let mut hash = Sha256::new();
    hash.update(format!(
        "zstd {LEVEL} {}\n",
        zstd::zstd_safe::version_number()
    ));
    hash.update(&plain);
    let key = hex(&hash.finalize());
    let path = match cache.get(SPACE, &key) {
        Some(path) => path,
        None => cache.put(SPACE, &key, |file| {
            let packed = compress(&plain)?;
            file.write_all(&packed)
                .environment(|| "writing the initrd to the cache".to_owned())
        })?,
    };
    std::fs::read(&path).environment(|| format!("reading {}", path.display()))
}

/// Unpacked bytes of an initrd, for inspection.
pub fn decompress(packed: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    zstd::Decoder::new(packed)
        .and_then(|decoder| decoder.take(limit).read_to_end(&mut plain))
        .input(|| "unpacking the initrd".to_owned())?;
    Ok(plain)
}

fn compress(plain: &[u8]) -> Result<Vec<u8>> {
    let what = || "compressing the initrd".to_owned();
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).environment(what)?;
    // The kernel checks it, so damage on the ESP is seen before anything runs.
    encoder.include_checksum(true).environment(what)?;
    encoder.write_all(plain).environment(what)?;
    encoder.finish().environment(what)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
