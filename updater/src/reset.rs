//! Factory reset: asks `init` to make `/` anew at the next boot. [`init::reset`] says how
//! it is asked, and why a power cut leaves the old state or a whole reset.
//!
//! Until the machine is booted nothing is lost, and [`cancel`] takes it back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use init::reset::{BadList, LIST, NAME, NEW, PRUNE};
use serde::Serialize;

use crate::slots::{self, Disk};
use crate::state::replace;

/// Where changes to /etc are, below the root.
const ETC: &str = "var/lib/holdfast/etc/upper";

/// What the next boot does to `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// It is formatted.
    Format,
    /// All but what is kept is removed.
    Prune,
}

/// Why there will be no reset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk.
    #[error(transparent)]
    Slots(#[from] slots::Error),
    /// A path that is no path of the root partition.
    #[error("{}: {}", .0.display(), .1)]
    Path(PathBuf, &'static str),
    /// A path, or a file of the state, that cannot be read or written.
    #[error("{}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// A name that cannot be in the list.
    #[error(transparent)]
    List(#[from] BadList),
    /// `root=PARTLABEL=`.
    #[error(
        "the kernel's command line finds the root partition by its name, which a reset changes"
    )]
    ByName,
    /// A name that `init` does not give.
    #[error("the root partition is called {0:?}; a reset needs one that is called \"root\"")]
    Name(String),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::Slots(e) => e.hint(),
            Error::Path(..) | Error::List(_) => {
                "name files and folders of the root partition, with their whole paths"
            }
            Error::Io(..) => "run this as root, and look at the file system of /",
            Error::ByName => "use root=PARTUUID=, or no root= at all",
            Error::Name(_) => "give the partition that name, if it was made for this system",
        }
    }
}

/// The paths as `init` takes them. A path in /etc that is as the image ships it needs no
/// keeping and is left out.
pub fn kept(root: &Path, paths: &[PathBuf]) -> Result<Vec<String>, Error> {
    let io = |path: &Path, e| Error::Io(path.to_owned(), e);
    let device = fs::metadata(root).map_err(|e| io(root, e))?.dev();
    let mut list = Vec::new();
    for path in paths {
        let wrong = |why| Error::Path(path.clone(), why);
        let below = path
            .strip_prefix("/")
            .map_err(|_| wrong("is not a whole path"))?;
        let (Some(folder), Some(name)) = (below.parent(), below.file_name()) else {
            return Err(wrong("is everything, or ends in `..`"));
        };
        // Folders may be links, such as /var/run; where they lead is what is kept.
        let top = fs::canonicalize(root).map_err(|e| io(root, e))?;
        let folder = fs::canonicalize(top.join(folder)).map_err(|e| io(path, e))?;
        let meta = fs::symlink_metadata(folder.join(name)).map_err(|e| io(path, e))?;
        if meta.is_symlink() {
            return Err(wrong("is a link; name what it leads to"));
        }
        let real = folder.join(name);
        let below = real
            .strip_prefix(&top)
            .map_err(|_| wrong("leads out of the root"))?;
        let below = match below.strip_prefix("etc") {
            Ok(inside) => {
                let upper = Path::new(ETC).join(inside);
                match fs::symlink_metadata(top.join(&upper)) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(io(path, e)),
                    Ok(_) => upper.components().as_path().to_owned(),
                }
            }
            Err(_) if meta.dev() != device => {
                return Err(wrong(
                    "is not on the root partition; a reset leaves it alone",
                ));
            }
            Err(_) => below.to_owned(),
        };
        let text = below.to_str().ok_or_else(|| wrong("is not UTF-8"))?;
        init::reset::encode(&[text])?;
        list.push(text.to_owned());
    }
    list.sort();
    list.dedup();
    Ok(list)
}

/// What is asked for.
pub fn pending(disk: &Disk) -> Result<Pending, Error> {
    let name = &disk.root()?.name;
    match name.as_str() {
        NAME => Ok(Pending::Nothing),
        NEW => Ok(Pending::Format),
        PRUNE => Ok(Pending::Prune),
        other => Err(Error::Name(other.to_owned())),
    }
}

/// Asks for a reset that keeps `list`, of [`kept`]. On return the disk has it.
pub fn request(root: &Path, disk: &mut Disk, list: &[String]) -> Result<Pending, Error> {
    pending(disk)?;
    let path = root.join("proc/cmdline");
    let cmdline = fs::read_to_string(&path).map_err(|e| Error::Io(path, e))?;
    let mut words = cmdline.split_ascii_whitespace();
    if words.any(|word| word.starts_with("root=PARTLABEL=")) {
        return Err(Error::ByName);
    }
    if list.is_empty() {
        disk.name_root(NEW)?;
        return Ok(Pending::Format);
    }
    let paths: Vec<&str> = list.iter().map(String::as_str).collect();
    let text = init::reset::encode(&paths)?;
    let path = root.join(LIST);
    replace(&path, text.as_bytes()).map_err(|e| Error::Io(path, e))?;
    disk.name_root(PRUNE)?;
    Ok(Pending::Prune)
}

/// Takes it back.
pub fn cancel(root: &Path, disk: &mut Disk) -> Result<(), Error> {
    pending(disk)?;
    disk.name_root(NAME)?;
    let path = root.join(LIST);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::Io(path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use init::cmdline::RootHash;
    use init::reset::Keep;

    use super::*;
    use crate::slots::testing::{Log, Op, Ram, image, open};

    const HASH: RootHash = RootHash(*b"0123456789abcdefghijklmnopqrstuv");

    fn ram() -> std::sync::Arc<Ram> {
        Ram::new(image(512, &"1".parse().unwrap(), HASH), Log::default())
    }

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        for folder in ["proc", "home/core/data", "run", "etc", ETC] {
            fs::create_dir_all(at.join(folder)).unwrap();
        }
        fs::create_dir_all(at.join("var")).unwrap();
        symlink("../run", at.join("var/run")).unwrap();
        fs::write(at.join("proc/cmdline"), "quiet usrhash=00").unwrap();
        for file in ["run/x", "etc/machine-id", "etc/shipped", "home/core/file"] {
            fs::write(at.join(file), "x").unwrap();
        }
        fs::write(at.join(ETC).join("machine-id"), "x").unwrap();
        root
    }

    #[test]
    fn paths_are_those_of_the_partition() {
        let root = root();
        let at = root.path();
        let all = [
            "/home/core/data",
            "/etc/machine-id",
            "/etc/shipped",
            "/var/run/x",
            "/run/x",
        ];
        let list = kept(at, &all.map(PathBuf::from)).unwrap();
        assert_eq!(
            list,
            [
                "home/core/data",
                "run/x",
                "var/lib/holdfast/etc/upper/machine-id"
            ]
        );
        assert_eq!(kept(at, &[PathBuf::from("/etc")]).unwrap(), [ETC]);
        for wrong in [
            "/",
            "home",
            "/home/..",
            "/nowhere",
            "/var/run",
            "/proc/../..",
        ] {
            assert!(kept(at, &[PathBuf::from(wrong)]).is_err(), "{wrong}");
        }
        let error = kept(Path::new("/"), &[PathBuf::from("/proc/version")]).unwrap_err();
        assert!(
            error.to_string().contains("not on the root partition"),
            "{error}"
        );
    }

    #[test]
    fn is_asked_for_and_taken_back() {
        let (root, ram) = (root(), ram());
        let before = ram.bytes();
        let mut disk = open(&ram, 512, HASH).unwrap();
        assert_eq!(pending(&disk).unwrap(), Pending::Nothing);
        let list = ["home/core/data".to_owned()];
        for (list, asked) in [(&list[..], Pending::Prune), (&[], Pending::Format)] {
            assert_eq!(request(root.path(), &mut disk, list).unwrap(), asked);
            let again = open(&ram, 512, HASH).unwrap();
            assert_eq!(pending(&again).unwrap(), asked);
            assert_eq!(again.running_release(), disk.running_release());
        }
        let text = fs::read_to_string(root.path().join(LIST)).unwrap();
        Keep::decode(&text).unwrap();
        cancel(root.path(), &mut disk).unwrap();
        assert_eq!(pending(&disk).unwrap(), Pending::Nothing);
        assert!(ram.bytes() == before);
        assert!(!root.path().join(LIST).exists());
        fs::write(root.path().join("proc/cmdline"), "root=PARTLABEL=root").unwrap();
        assert!(matches!(
            request(root.path(), &mut disk, &[]),
            Err(Error::ByName)
        ));
    }

    /// F1: the table says the one or the other wherever the write of it ends.
    #[test]
    fn f1_a_cut_leaves_the_old_state_or_a_whole_request() {
        let (root, log) = (root(), Log::default());
        let before = image(512, &"1".parse().unwrap(), HASH);
        let ram = Ram::new(before.clone(), log.clone());
        let mut disk = open(&ram, 512, HASH).unwrap();
        let list = ["home/core/data".to_owned()];
        request(root.path(), &mut disk, &list).unwrap();
        let ops = log.lock().unwrap().clone();
        let mut seen = Vec::new();
        let mut bytes = before;
        for op in ops {
            let Op::Write { at, bytes: new } = op else {
                continue;
            };
            // Torn at each sector.
            for end in (0..=new.len()).step_by(512) {
                let mut torn = bytes.clone();
                torn[at as usize..at as usize + end].copy_from_slice(&new[..end]);
                let disk = open(&Ram::new(torn, Log::default()), 512, HASH).unwrap();
                seen.push(pending(&disk).unwrap());
            }
            bytes[at as usize..at as usize + new.len()].copy_from_slice(&new);
        }
        assert_eq!(seen.first(), Some(&Pending::Nothing));
        assert_eq!(seen.last(), Some(&Pending::Prune));
        assert!(seen.is_sorted_by_key(|p| *p == Pending::Prune), "{seen:?}");
        assert!(root.path().join(LIST).exists());
    }
}
