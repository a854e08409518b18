//! .deb file -> cache entry.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::store::{self, Entry, Index, What};
use super::{Package, ar, compressed, control};
use crate::cache::{Cache, writing};
use crate::error::{Context, Error, Result};
use crate::tree::clean;

/// Cache space of unpacked packages; keys are SHA-256 sums of .deb files.
const SPACE: &str = "unpacked";

/// No control member is larger (scripts, file lists).
const MAX_CONTROL_FILE: u64 = 16 << 20;

/// Modules decompressed at once: enough to keep all processors busy, little memory.
const MODULE_BATCH: usize = 64;

/// Unpacks a package into the cache, unless it is there already. `sha256` is the
/// expected sum of the file; nothing of a file with another sum is looked at.
///
/// Kernel modules are stored decompressed, under their name without `.xz`.
/// May run for many packages at once, also in several processes.
pub fn unpack(cache: &Cache, deb: &Path, sha256: &str) -> Result<Package> {
    if let Some(package) = cached(cache, sha256)? {
        return Ok(package);
    }
    let _guard = cache.lock(SPACE, sha256)?;
    if let Some(package) = cached(cache, sha256)? {
        return Ok(package);
    }
    let bytes = std::fs::read(deb).environment(|| format!("reading {}", deb.display()))?;
    verify(&bytes, deb, sha256)?;
    let path = cache.put(SPACE, sha256, |file| {
        convert(&bytes, file, &cache.path(SPACE, sha256))
            .map_err(|e| Error::refused(format!("unpacking {}", deb.display())).because(e))
    })?;
    store::load(&path)?
        .ok_or_else(|| Error::environment(format!("{} cannot be read back", path.display())))
}

fn cached(cache: &Cache, sha256: &str) -> Result<Option<Package>> {
    cache
        .get(SPACE, sha256)
        .map_or(Ok(None), |path| store::load(&path))
}

fn verify(bytes: &[u8], deb: &Path, want: &str) -> Result<()> {
    let got: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    if got == want.to_ascii_lowercase() {
        return Ok(());
    }
    Err(
        Error::refused(format!("{} has SHA-256 {got}, not {want}", deb.display())).hint(
            "remove the file and build again; if it happens twice, the mirror serves a wrong file",
        ),
    )
}

/// Unpacks a package without keeping anything, for `fuzz/`.
#[cfg(fuzzing)]
pub fn try_unpack(deb: &[u8]) -> Result<()> {
    let mut file = tempfile::tempfile().environment(|| "making a file".into())?;
    convert(deb, &mut file, Path::new("fuzz"))
}

fn convert(deb: &[u8], out: &mut File, name: &Path) -> Result<()> {
    let members = ar::members(deb)?;
    let mut members = members.iter();
    let version = members
        .next()
        .filter(|m| m.name == "debian-binary")
        .map(|m| m.data);
    if !version.is_some_and(|v| v.starts_with(b"2.")) {
        return Err(Error::refused("not a Debian package of format 2"));
    }
    let mut index = Index::default();
    let (mut have_control, mut have_data) = (false, false);
    let mut sink = Sink {
        out: BufWriter::with_capacity(1 << 20, out),
        at: 0,
        name,
    };
    sink.write(store::MAGIC)?;
    for member in members {
        if member.name.starts_with("control.tar") && !have_control {
            have_control = true;
            read_control(member, &mut index)?;
        } else if member.name.starts_with("data.tar") && have_control && !have_data {
            have_data = true;
            read_data(member, &mut index, &mut sink)?;
        } else if !member.name.starts_with('_') {
            // deb(5): only members whose name starts with `_` may be skipped.
            return Err(Error::refused(format!(
                "unexpected member {:?} in the package",
                member.name
            )));
        }
    }
    if !have_data {
        return Err(Error::refused("the package has no data member"));
    }
    store::finish(&mut sink.out, &index).map_err(|e| writing(e, name))
}

fn read_control(member: &ar::Member<'_>, index: &mut Index) -> Result<()> {
    let broken = |e| compressed::broken(member.name, e);
    let mut archive = Archive::new(compressed::reader(member.name, member.data)?);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let path = text(&entry.path_bytes(), "control member name")?;
        let path = path.trim_start_matches("./").to_owned();
        if entry.size() > MAX_CONTROL_FILE {
            return Err(Error::refused(format!(
                "control file {path} is larger than 16 MiB"
            )));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        let lines = |bytes: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(bytes);
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with('#'))
                .map(str::to_owned)
                .collect()
        };
        match path.as_str() {
            "control" => index.control = control::fields(&text(&bytes, "control file")?)?,
            "conffiles" => index.conffiles = lines(&bytes),
            "triggers" => index.triggers = lines(&bytes),
            "preinst" | "postinst" | "prerm" | "postrm" | "config" => {
                index
                    .scripts
                    .insert(path, String::from_utf8_lossy(&bytes).into_owned());
            }
            _ => {}
        }
    }
    if index.control.contains_key("Package") {
        Ok(())
    } else {
        Err(Error::refused(
            "the package's control file names no package",
        ))
    }
}

fn read_data(member: &ar::Member<'_>, index: &mut Index, sink: &mut Sink<'_>) -> Result<()> {
    let broken = |e| compressed::broken(member.name, e);
    let mut archive = Archive::new(compressed::reader(member.name, member.data)?);
    let mut files: HashMap<String, usize> = HashMap::new();
    let mut modules: Vec<(usize, Vec<u8>)> = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let raw = text(&entry.path_bytes(), "file name")?;
        if raw.split('/').all(|p| matches!(p, "" | ".")) {
            continue;
        }
        let mut path = clean(&raw)?;
        let mut xattrs = std::collections::BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions().map_err(broken)? {
            for ext in extensions {
                let ext = ext.map_err(broken)?;
                if let Some(name) = ext.key().ok().and_then(|k| k.strip_prefix("SCHILY.xattr.")) {
                    xattrs.insert(name.to_owned(), ext.value_bytes().to_vec());
                }
            }
        }
        let header = entry.header();
        let number = |n: std::io::Result<u64>| {
            n.map_err(broken)
                .and_then(|n| u32::try_from(n).refused(|| format!("owner of /{path}")))
        };
        let (mode, uid, gid) = (
            header.mode().map_err(broken)? & 0o7777,
            number(header.uid())?,
            number(header.gid())?,
        );
        let link = entry
            .link_name_bytes()
            .map(|l| text(&l, "link target"))
            .transpose()?;
        let missing = || Error::refused(format!("link /{path} without a target"));
        let (mut mode, mut uid, mut gid) = (mode, uid, gid);
        let what = match entry.header().entry_type() {
            EntryType::Directory => What::Dir,
            EntryType::Symlink => {
                mode = 0o777;
                What::Link(link.ok_or_else(missing)?)
            }
            EntryType::Link => {
                let target = clean(&link.ok_or_else(missing)?)?;
                let first = files.get(&target).and_then(|i| index.entries.get(*i));
                let first = first.ok_or_else(|| {
                    Error::refused(format!(
                        "/{path} is a hard link to /{target}, which is not in the package"
                    ))
                })?;
                (mode, uid, gid) = (first.mode, first.uid, first.gid);
                xattrs = first.xattrs.clone();
                first.what.clone()
            }
            EntryType::Regular | EntryType::Continuous => {
                if let Some(plain) = module_name(&path) {
                    path = plain.to_owned();
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(broken)?;
                    modules.push((index.entries.len(), bytes));
                    What::File(0, 0)
                } else {
                    let len = entry.size();
                    let offset = sink.at;
                    sink.copy(&mut entry, len, member.name)?;
                    What::File(offset, len)
                }
            }
            other => {
                index.warnings.push(format!(
                    "/{path}: left out, {other:?} nodes do not belong into an image"
                ));
                continue;
            }
        };
        files.insert(path.clone(), index.entries.len());
        index.entries.push(Entry {
            path,
            what,
            mode,
            uid,
            gid,
            xattrs,
        });
        if modules.len() == MODULE_BATCH {
            store_modules(&mut modules, index, sink)?;
        }
    }
    store_modules(&mut modules, index, sink)
}

/// `x.ko` for a compressed kernel module.
fn module_name(path: &str) -> Option<&str> {
    let inside = path.starts_with("usr/lib/modules/") || path.starts_with("lib/modules/");
    path.strip_suffix(".xz")
        .filter(|plain| inside && plain.ends_with(".ko"))
}

fn store_modules(
    modules: &mut Vec<(usize, Vec<u8>)>,
    index: &mut Index,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let plain: Vec<Result<(usize, Vec<u8>)>> = std::mem::take(modules)
        .into_par_iter()
        .map(|(at, bytes)| {
            let mut out = Vec::with_capacity(bytes.len() * 4);
            compressed::xz(&bytes)?
                .read_to_end(&mut out)
                .map_err(|e| compressed::broken("a kernel module", e))?;
            Ok((at, out))
        })
        .collect();
    for one in plain {
        let (at, bytes) = one?;
        let offset = sink.at;
        sink.write(&bytes)?;
        if let Some(entry) = index.entries.get_mut(at) {
            entry.what = What::File(offset, bytes.len() as u64);
        }
    }
    Ok(())
}

fn text(bytes: &[u8], what: &str) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Error::refused(format!(
            "{what} {:?} is not UTF-8",
            String::from_utf8_lossy(bytes)
        ))),
    }
}

/// Where contents go, with the position in it.
struct Sink<'a> {
    out: BufWriter<&'a mut File>,
    at: u64,
    name: &'a Path,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out
            .write_all(bytes)
            .map_err(|e| writing(e, self.name))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Copies exactly `len` bytes; tells a bad input from a full disk.
    fn copy(&mut self, from: &mut impl Read, len: u64, member: &str) -> Result<()> {
        let mut left = len;
        let mut buf = vec![0; 128 << 10];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
            let n = from
                .read(buf.get_mut(..want).unwrap_or_default())
                .map_err(|e| compressed::broken(member, e))?;
            if n == 0 {
                return Err(Error::refused(format!(
                    "{member} ends in the middle of a file"
                )));
            }
            self.write(buf.get(..n).unwrap_or_default())?;
            left -= n as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{Deb, sum};
    use super::*;
    use crate::tree::{Content, Kind};

    fn unpacked(deb: &Deb) -> (tempfile::TempDir, Result<Package>) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(&dir.path().join("cache"))).unwrap();
        let path = dir.path().join("x.deb");
        std::fs::write(&path, deb.bytes()).unwrap();
        let package = unpack(&cache, &path, &sum(&deb.bytes()));
        if let Ok(first) = &package {
            std::fs::remove_file(&path).unwrap();
            assert_eq!(
                &unpack(&cache, &path, &sum(&deb.bytes())).unwrap(),
                first,
                "second unpack reads the cache only"
            );
        }
        (dir, package)
    }

    #[test]
    fn reads_everything_once() {
        for compression in ["", ".xz", ".zst", ".gz"] {
            let deb = Deb::new("demo", compression)
                .script("postinst", "#!/bin/sh\necho hi\n")
                .dir("./usr/")
                .file("./usr/bin/su", 0o4755, b"elf")
                .hard_link("./usr/bin/su2", "./usr/bin/su")
                .symlink("./usr/bin/sh", "/usr/bin/su")
                .xattr("./usr/bin/ping", "security.capability", b"\x01\x00")
                .device("./dev/null");
            let (_dir, package) = unpacked(&deb);
            let package = package.unwrap();
            assert_eq!(
                (package.name.as_str(), package.version.as_str()),
                ("demo", "1.0")
            );
            assert_eq!(package.scripts["postinst"], "#!/bin/sh\necho hi\n");
            let node = |p: &str| &package.nodes.iter().find(|n| n.0 == p).unwrap().1;
            assert_eq!(node("usr/bin/su").mode, 0o4755);
            assert_eq!(node("usr/bin/su").kind, node("usr/bin/su2").kind);
            assert_eq!(node("usr/bin/su2").mode, 0o4755);
            assert_eq!(node("usr/bin/sh").kind, Kind::Symlink("/usr/bin/su".into()));
            assert_eq!(
                node("usr/bin/ping").xattrs["security.capability"],
                b"\x01\x00"
            );
            let Kind::File(Content::Stored { .. }) = node("usr/bin/su").kind else {
                panic!("stored")
            };
            let Kind::File(content) = &node("usr/bin/su").kind else {
                panic!("file")
            };
            assert_eq!(&*content.read().unwrap(), b"elf");
            assert_eq!(package.warnings.len(), 1, "{:?}", package.warnings);
        }
    }

    #[test]
    fn modules_are_stored_plain() {
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&b"module"[..], 1)
            .read_to_end(&mut xz)
            .unwrap();
        let deb = Deb::new("linux", ".xz")
            .file("./usr/lib/modules/6/kernel/a.ko.xz", 0o644, &xz)
            .file("./usr/x.xz", 0o644, &xz);
        let (_dir, package) = unpacked(&deb);
        let package = package.unwrap();
        assert_eq!(package.nodes[0].0, "usr/lib/modules/6/kernel/a.ko");
        let Kind::File(content) = &package.nodes[0].1.kind else {
            panic!("file")
        };
        assert_eq!(&*content.read().unwrap(), b"module");
        assert_eq!(package.nodes[1].0, "usr/x.xz");
    }

    #[test]
    fn refuses_bad_packages() {
        for (deb, want) in [
            (
                Deb::new("a", ".xz").file("./usr/../../etc/passwd", 0o644, b""),
                "leads out",
            ),
            (
                Deb::new("a", ".xz").hard_link("./usr/x", "./usr/y"),
                "not in the package",
            ),
            (
                Deb::new("a", ".bz2").file("./usr/x", 0o644, b""),
                "compression",
            ),
        ] {
            let e = unpacked(&deb).1.unwrap_err();
            assert!(e.chain().contains(want), "{}", e.chain());
        }
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path())).unwrap();
        let path = dir.path().join("x.deb");
        let bytes = Deb::new("a", ".xz")
            .file("./usr/x", 0o644, &[7; 5000])
            .bytes();
        std::fs::write(&path, &bytes).unwrap();
        let e = unpack(&cache, &path, &"0".repeat(64)).unwrap_err();
        assert_eq!(e.kind(), crate::error::Kind::Refused);
        assert!(e.hint_text().is_some());
        for cut in [bytes.len() - 20, bytes.len() / 2, 10] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(unpack(&cache, &path, &sum(&bytes[..cut])).is_err(), "{cut}");
        }
    }
}
