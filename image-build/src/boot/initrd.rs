//! The initrd: our PID 1, the modules it may need, and their index.
//!
//! Two cpio archives, each compressed by itself; the kernel unpacks one after the
//! other. Modules change with the kernel, PID 1 with us: what did not change comes
//! out of the cache.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use super::cpio::Archive;
use super::modules::Selection;
use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::hex;

/// Name of the cache's folder for initrds.
const SPACE: &str = "initrd";
/// The strongest level. Takes seconds, once: the result is cached.
const LEVEL: i32 = 22;
/// log2 of the window: all modules see each other, and the kernel (which takes up
/// to 2^27) needs no more memory to unpack them than they have themselves.
const WINDOW: u32 = 25;

/// Makes the initrd: cpio, zstd. `init` is the static binary for `/init`.
///
/// The same input gives the same bytes; they are kept in `cache`.
pub fn build(init: &[u8], modules: &Selection, cache: &Cache) -> Result<Vec<u8>> {
    let (pid1, drivers) = rayon::join(
        || {
            let mut archive = Archive::default();
            archive.file("init", 0o755, init);
            packed(&archive.finish(), cache)
        },
        || packed(&drivers(modules), cache),
    );
    let mut bytes = pid1?;
    bytes.extend(drivers?);
    Ok(bytes)
}

fn drivers(modules: &Selection) -> Vec<u8> {
    let mut archive = Archive::default();
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
    archive.finish()
}

/// The archive, compressed: out of the cache if it was there before.
fn packed(plain: &[u8], cache: &Cache) -> Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let version = zstd::zstd_safe::version_number();
    hash.update(format!("zstd {version} {LEVEL} {WINDOW}\n"));
    hash.update(plain);
    let key = hex::encode(&hash.finalize());
    let path = match cache.get(SPACE, &key) {
        Some(path) => path,
        None => cache.put(SPACE, &key, |file| {
            let bytes = compress(plain)?;
            file.write_all(&bytes)
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
    use zstd::zstd_safe::CParameter;
    let what = || "compressing the initrd".to_owned();
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).environment(what)?;
    encoder
        .set_parameter(CParameter::WindowLog(WINDOW))
        .environment(what)?;
    // With the length known, the window is no larger than that.
    encoder
        .set_pledged_src_size(Some(plain.len() as u64))
        .environment(what)?;
    // The kernel checks it, so damage on the ESP is seen before anything runs.
    encoder.include_checksum(true).environment(what)?;
    encoder.write_all(plain).environment(what)?;
    encoder.finish().environment(what)
}
