//! The `/usr` image: an EROFS of the tree's `usr/`.
//!
//! The tree is streamed as a tar archive into `mkfs.erofs --tar=f`, so nothing is
//! ever unpacked on the host and nobody needs to be root. Files are stored in the
//! order of their paths, every time stamp is the build's epoch, and the file
//! system's UUID comes from the caller: the same tree gives the same bytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use crate::cache::writing;
use crate::error::{Context, Error, Result};
use crate::tools::{Tool, Tools};
use crate::tree::{Content, Kind, Node, Tree};

/// How file content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As it is: quickest to make and to boot, and the smallest updates.
    #[default]
    None,
    /// LZ4 (high compression): about half the size.
    Lz4,
    /// Zstandard: smaller still, slower to read.
    Zstd,
}

/// How to make the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How file content is stored.
    pub compression: Compression,
    /// UUID of the file system.
    pub uuid: [u8; 16],
    /// Time of all files, seconds since 1970.
    pub epoch: i64,
    /// Size of the slot in bytes; an image that is larger is refused.
    pub slot: u64,
}

/// Bytes written to the pipe at once.
const CHUNK: usize = 1 << 20;

/// Writes the image to `out` and returns its length, a multiple of 4 KiB.
pub fn write(tree: &Tree, tools: &Tools, options: &Options, out: &Path) -> Result<u64> {
    let mut command = tools.command(Tool::MkfsErofs)?;
    command
        .arg("--quiet")
        .arg("--tar=f")
        .arg("--sort=none")
        .arg(format!("-T{}", options.epoch))
        .arg("--all-time");
    command.arg(format!("-U{}", init::gpt::Guid::from_bytes(options.uuid)));
    match options.compression {
        Compression::None => {}
        // 64 KiB pieces; the result must not depend on the number of CPUs.
        Compression::Lz4 => drop(command.args(["-zlz4hc,level=12", "-C65536", "--workers=1"])),
        Compression::Zstd => drop(command.args(["-zzstd,level=15", "-C65536", "--workers=1"])),
    }
    let need = match options.compression {
        Compression::None => tree.file_bytes(),
        _ => 0,
    };
    check_room(out, need)?;
    // With no source given it reads standard input.
    command
        .arg(out)
        .stdio(Stdio::piped(), Stdio::null(), Stdio::piped());
    let mut child = command.spawn()?;
    let streamed = match child.stdin.take() {
        Some(pipe) => stream(tree, options.epoch, pipe),
        None => Err(Error::environment("mkfs.erofs has no standard input")),
    };
    // When it failed, its own words say more than our broken pipe.
    command.finish(child)?;
    streamed?;

    let what = || format!("opening {}", out.display());
    let file = File::options().write(true).open(out).environment(what)?;
    let len = file.metadata().environment(what)?.len();
    let padded = len.next_multiple_of(crate::verity::BLOCK as u64);
    file.set_len(padded)
        .environment(|| format!("enlarging {}", out.display()))?;
    if padded > options.slot {
        return Err(Error::refused(format!(
            "/usr has {} MiB and the slot only {} MiB",
            padded.div_ceil(1 << 20),
            options.slot >> 20
        ))
        .hint("remove packages, set `compression: zstd`, or enlarge `sizes.usr` in the recipe"));
    }
    Ok(padded)
}

/// Makes sure that `need` bytes fit where `out` will be, and that nothing is there:
/// what mkfs.erofs says when the disk is full does not mention the disk.
fn check_room(out: &Path, need: u64) -> Result<()> {
    let file = File::create(out).map_err(|e| writing(e, out))?;
    let room = match i64::try_from(need) {
        Ok(need) if need > 0 => fallocate(&file, FallocateFlags::empty(), 0, need),
        _ => Ok(()),
    };
    std::fs::remove_file(out).map_err(|e| writing(e, out))?;
    match room {
        // Some file systems cannot tell.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(e) => Err(writing(e.into(), out)),
    }
}

/// Writes the tree's `usr/` as a tar archive whose root is `usr` itself.
fn stream(tree: &Tree, epoch: i64, pipe: std::process::ChildStdin) -> Result<()> {
    // A larger pipe lets both sides work at once; it is no error if that is refused.
    let _ = nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(CHUNK as i32));
    let mut tar = Builder::new(BufWriter::with_capacity(CHUNK, pipe));
    let mut reader = Reader::default();
    for (path, node) in tree.iter() {
        let path = match path.strip_prefix("usr") {
            Some("") => "./",
            Some(below) if below.starts_with('/') => &below[1..],
            _ => continue,
        };
        append(&mut tar, &mut reader, path, node, epoch).map_err(|e| {
            Error::environment(format!("writing usr/{path} into the image")).because(e)
        })?;
    }
    let what = || "writing the image".to_owned();
    let mut pipe = tar.into_inner().environment(what)?;
    pipe.flush().environment(what)
}

fn append(
    tar: &mut Builder<impl Write>,
    reader: &mut Reader,
    path: &str,
    node: &Node,
    epoch: i64,
) -> io::Result<()> {
    let attributes = node
        .xattrs
        .iter()
        .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice()));
    let attributes: Vec<_> = attributes.collect();
    if !attributes.is_empty() {
        tar.append_pax_extensions(
            attributes
                .iter()
                .map(|(name, value)| (name.as_str(), *value)),
        )?;
    }
    let mut header = Header::new_ustar();
    header.set_mode(node.mode);
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    header.set_mtime(epoch.try_into().unwrap_or(0));
    header.set_size(0);
    match &node.kind {
        Kind::Dir => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, path, io::empty())
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            // `append_link` rewrites nothing but long names; the target is data.
            tar.append_link(&mut header, path, target)
        }
        Kind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len());
            match content {
                Content::Bytes(bytes) => tar.append_data(&mut header, path, &**bytes),
                Content::Stored { file, offset, len } => {
                    let range = Range {
                        file: reader.open(file)?,
                        at: *offset,
                        left: *len,
                    };
                    let capacity = usize::try_from(*len).unwrap_or(CHUNK).clamp(1, CHUNK);
                    tar.append_data(&mut header, path, BufReader::with_capacity(capacity, range))
                }
            }
        }
    }
}

/// Keeps the last file open: neighbours in the tree come from the same package.
#[derive(Default)]
struct Reader {
    last: Option<(Arc<Path>, Arc<File>)>,
}

impl Reader {
    fn open(&mut self, path: &Arc<Path>) -> io::Result<Arc<File>> {
        if let Some((_, file)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(path)?);
        self.last = Some((path.clone(), file.clone()));
        Ok(file)
    }
}

/// A range of a file. Ends with an error if the file is shorter.
struct Range {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let got = self.file.read_at(&mut buffer[..want], self.at)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}
