//! A package's files as real files, for programs that run on the build host.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Package;
use crate::cache::writing;
use crate::error::Result;
use crate::tree::{Kind, canonical};

/// Writes a package's files below `dir`, under their merged-/usr paths, as the
/// current user. Absolute link targets become relative, so that they stay inside.
/// Later packages replace files of earlier ones. Set-id bits, owners and
/// attributes are not kept: nothing there runs as anyone but the caller.
pub fn extract(package: &Package, dir: &Path) -> Result<()> {
    for (path, node) in &package.nodes {
        let path = canonical(path);
        let target = dir.join(&path);
        let fail = |e| writing(e, &target);
        match &node.kind {
            Kind::Dir => {
                // A link that another package has here already leads to the directory.
                if !target.exists() {
                    fs::create_dir_all(&target).map_err(fail)?;
                }
            }
            Kind::File(content) => {
                make_room(&target)?;
                fs::write(&target, content.read()?).map_err(fail)?;
                let mode = if node.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(fail)?;
            }
            Kind::Symlink(link) => {
                if target.is_dir() && canonical(link.trim_start_matches('/')) == path {
                    continue;
                }
                make_room(&target)?;
                std::os::unix::fs::symlink(inside(&path, link), &target).map_err(fail)?;
            }
        }
    }
    Ok(())
}

/// Creates the parent and removes a file or link in the way.
fn make_room(target: &Path) -> Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(|e| writing(e, parent))?;
    }
    match fs::remove_file(target) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(writing(e, target)),
        _ => Ok(()),
    }
}

/// The link's target, relative to the link, never above the root of the tree.
fn inside(path: &str, target: &str) -> String {
    let depth = path.matches('/').count();
    let Some(absolute) = target.strip_prefix('/') else {
        let up = target.split('/').filter(|p| *p == "..").count();
        // More `..` than directories: the kernel stops at `/`, the tree must too.
        return if up > depth {
            inside(path, &format!("/{}", target.trim_start_matches("../")))
        } else {
            target.to_owned()
        };
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in absolute.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(part),
        }
    }
    format!("{}{}", "../".repeat(depth), canonical(&kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::super::test::{Deb, sum};
    use super::*;
    use crate::cache::Cache;

    #[test]
    fn links_stay_inside() {
        assert_eq!(
            inside("usr/bin/awk", "/etc/alternatives/awk"),
            "../../etc/alternatives/awk"
        );
        assert_eq!(inside("usr/lib/x.so", "x.so.1"), "x.so.1");
        assert_eq!(
            inside("usr/lib/x.so", "/lib/x.so.1"),
            "../../usr/lib/x.so.1"
        );
        assert_eq!(inside("usr/x", "../../../etc/passwd"), "../etc/passwd");
        assert_eq!(inside("usr/x", "/../../etc/passwd"), "../etc/passwd");
        assert_eq!(inside("usr/x", "a/../../../etc"), "../etc");
    }

    #[test]
    fn writes_files() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(&dir.path().join("cache"))).unwrap();
        let deb = Deb::new("a", ".xz")
            .dir("./lib64/")
            .file("./bin/x", 0o4755, b"x")
            .hard_link("./usr/lib/y", "./bin/x")
            .symlink("./usr/bin/z", "/bin/x");
        let path = dir.path().join("a.deb");
        fs::write(&path, deb.bytes()).unwrap();
        let package = super::super::unpack(&cache, &path, &sum(&deb.bytes())).unwrap();
        let out = dir.path().join("out");
        for _ in 0..2 {
            extract(&package, &out).unwrap();
        }
        assert_eq!(fs::read(out.join("usr/bin/z")).unwrap(), b"x");
        assert_eq!(
            fs::metadata(out.join("usr/lib/y"))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777,
            0o755
        );
    }
}
