//! Turns a finished /usr into the files of a release: full stream, patches, leaves.
//!
//! Windows are compressed on all CPUs and written in order; the bytes depend on
//! nothing but the images.

use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use updater::delta::encode::{self, FULL_WINDOW, PATCH_WINDOW, Patcher};
use updater::delta::index::{Index, Window};
use updater::release::{Artefact, Digest, Patch, Stream, Usr};

use crate::error::{Context, Error, Result};
use crate::inspect::{self, Disk};
use crate::progress::Progress;
use crate::report;
use crate::verity::{self, BLOCK, DIGEST, HashTree};

/// A finished /usr: a file of its own, or a partition in the file of a disk.
pub struct Image {
    part: Part,
    size: u64,
    salt: Vec<u8>,
    tree: HashTree,
}

/// Some bytes of a disk.
struct Part {
    disk: Box<dyn Disk>,
    start: u64,
}

impl FileExt for Part {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(buffer, self.start + offset)?;
        Ok(buffer.len())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Image {
    /// Opens bytes `range` of a disk image, or of a plain file, and makes their hash
    /// tree.
    pub fn open(path: &Path, range: Range<u64>, salt: &[u8]) -> Result<Self> {
        let part = Part {
            disk: inspect::open(path)?,
            start: range.start,
        };
        let size = range.end.saturating_sub(range.start);
        let tree = verity::build_from(size, salt, |buffer, at| part.read_exact_at(buffer, at))
            .map_err(|e| {
                Error::input(format!("making the hash tree of {}", path.display())).because(e)
            })?;
        Ok(Self {
            part,
            size,
            salt: salt.to_vec(),
            tree,
        })
    }

    /// Its hash tree; the root hash names it.
    pub fn tree(&self) -> &HashTree {
        &self.tree
    }

    /// Bytes of the file system.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Calls `make` with each window's bytes and leaves, on all CPUs, and `done` with
    /// the results in order.
    fn windows<T: Send>(
        &self,
        window: u32,
        make: impl Fn(&[u8], &[u8]) -> io::Result<T> + Sync,
        mut done: impl FnMut(T) -> io::Result<()>,
    ) -> io::Result<()> {
        let window = u64::from(window);
        let leaves = self.tree.leaves();
        let count = self.size.div_ceil(window);
        let per_window = window as usize / BLOCK * DIGEST;
        // Enough for all CPUs to stay busy, little enough for memory.
        let batch = 4 * rayon::current_num_threads() as u64;
        for first in (0..count).step_by(batch as usize) {
            let made = (first..count.min(first + batch))
                .into_par_iter()
                .map(|number| {
                    let offset = number * window;
                    let mut plain = vec![0; window.min(self.size - offset) as usize];
                    self.part.read_exact_at(&mut plain, offset)?;
                    let from = number as usize * per_window;
                    make(&plain, &leaves[from..leaves.len().min(from + per_window)])
                })
                .collect::<io::Result<Vec<T>>>()?;
            made.into_iter().try_for_each(&mut done)?;
        }
        Ok(())
    }
}

/// Where the files of one release go.
pub struct Folder {
    repository: PathBuf,
    name: String,
}

impl Folder {
    /// `repository` is the folder that has `targets/`; `name` is what the logical
    /// names of all files start with, without a slash at the end:
    /// `docker/amd64/20261121.0210`.
    pub fn new(repository: &Path, name: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Writes a file; it appears under its name when all of it is on disk.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<Artefact> {
        let mut file = self.create(name)?;
        file.write(bytes).map_err(|e| self.writing(name, e))?;
        self.finish(file)
    }

    fn create(&self, name: &str) -> Result<Writing> {
        let logical = format!("{}/{name}", self.name);
        let path = self.repository.join("targets").join(&logical);
        let folder = path.parent().unwrap_or(&self.repository);
        std::fs::create_dir_all(folder).map_err(|e| self.writing(name, e))?;
        let file = NamedTempFile::new_in(folder).map_err(|e| self.writing(name, e))?;
        Ok(Writing {
            name: logical,
            file: BufWriter::with_capacity(1 << 20, file),
            hasher: Sha256::new(),
            length: 0,
        })
    }

    fn finish(&self, writing: Writing) -> Result<Artefact> {
        use std::os::unix::fs::PermissionsExt;
        let artefact = Artefact {
            name: writing.name,
            length: writing.length,
            sha256: Digest(writing.hasher.finalize().into()),
        };
        let path = self.repository.join(artefact.path());
        let done = writing
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        done.and_then(|file| {
            // Web servers run as somebody else.
            let mode = std::fs::Permissions::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(io::Error::from)
        })
        .map_err(|e| self.writing(&artefact.name, e))?;
        Ok(artefact)
    }

    fn writing(&self, name: &str, source: io::Error) -> Error {
        let place = self.repository.display();
        Error::environment(format!("writing {name} into the repository {place}")).because(source)
    }

    fn stream(
        &self,
        name: &str,
        image: &Image,
        window: u32,
        old_size: u64,
        make: impl Fn(&[u8], &[u8]) -> io::Result<(Window, Vec<u8>)> + Sync,
    ) -> Result<Stream> {
        let data_name = format!("{name}.zst");
        let mut data = self.create(&data_name)?;
        let mut windows = Vec::new();
        image
            .windows(window, make, |(window, frame)| {
                windows.push(window);
                data.write(&frame)
            })
            .map_err(|e| self.writing(&data_name, e))?;
        let index = Index::new(window, image.size, old_size, windows)
            .environment(|| format!("making the index of {name}"))?;
        Ok(Stream {
            index: self.put(&format!("{name}.index"), &index.encode())?,
            data: self.finish(data)?,
        })
    }
}

/// A file on its way.
struct Writing {
    name: String,
    file: BufWriter<NamedTempFile>,
    hasher: Sha256,
    length: u64,
}

impl Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// Writes the full stream, the leaves, and a patch from each of the older releases
/// (version and image) for which that saves a tenth at least.
pub fn write(
    image: &Image,
    older: &[(String, Image)],
    folder: &Folder,
    progress: &Progress,
) -> Result<Usr> {
    let step = progress.step("full stream", 0);
    let full = full(image, folder)?;
    step.done(&report::size(full.data.length));
    let mut patches = Vec::new();
    for (version, old) in older {
        let step = progress.step("patch", 0);
        let patch = patch(image, version, old, folder)?;
        let size = report::size(patch.stream.data.length);
        if patch.stream.data.length < full.data.length / 10 * 9 {
            step.done(&format!("from {version}: {size}"));
            patches.push(patch);
        } else {
            step.done(&format!("from {version}: {size}, too large to be of use"));
            for artefact in [&patch.stream.index, &patch.stream.data] {
                let path = folder.repository.join(artefact.path());
                std::fs::remove_file(&path)
                    .environment(|| format!("removing {}", path.display()))?;
            }
        }
    }
    Ok(Usr {
        size: image.size,
        root_hash: Digest(image.tree.root_hash),
        salt: init::verity::hex(&image.salt),
        verity_uuid: verity::partition_guids(&image.tree.root_hash).0.to_string(),
        full,
        patches,
        leaves: Some(leaves(image, folder)?),
    })
}

/// Writes `usr.zst` and `usr.index`.
pub fn full(image: &Image, folder: &Folder) -> Result<Stream> {
    folder.stream("usr", image, FULL_WINDOW, 0, |plain, _| encode::full(plain))
}

/// Writes `usr.leaves`.
pub fn leaves(image: &Image, folder: &Folder) -> Result<Artefact> {
    folder.put("usr.leaves", image.tree.leaves())
}

/// Writes `from-VERSION.zst` and `from-VERSION.index`.
pub fn patch(image: &Image, version: &str, old: &Image, folder: &Folder) -> Result<Patch> {
    let patcher = Patcher::new(&old.part, old.size, old.tree.leaves().to_vec())
        .input(|| format!("reading /usr of {version}"))?;
    let name = format!("from-{version}");
    let stream = folder.stream(&name, image, PATCH_WINDOW, old.size, |plain, leaves| {
        patcher.window(plain, leaves)
    })?;
    Ok(Patch {
        from_version: version.to_owned(),
        from_root_hash: Digest(old.tree.root_hash),
        stream,
    })
}

#[cfg(test)]
mod tests {
    use updater::delta::apply::{Applier, Receiver};
    use updater::delta::plan::{Have, Plan, choices};
    use updater::fetch::{self, Sink, Source};
    use updater::verity::Stored;

    use super::*;

    const SALT: [u8; 32] = [0xaa; 32];

    /// The repository's folder as it is.
    struct Local<'a>(&'a Path);

    impl Source for Local<'_> {
        fn document(
            &mut self,
            name: &str,
            _: u64,
        ) -> std::result::Result<Option<Vec<u8>>, fetch::Error> {
            Ok(Some(std::fs::read(self.0.join(name)).unwrap()))
        }

        fn range(
            &mut self,
            name: &str,
            range: Range<u64>,
            sink: &mut Sink<'_>,
        ) -> std::result::Result<(), fetch::Error> {
            let bytes = std::fs::read(self.0.join(name)).unwrap();
            sink(&bytes[range.start as usize..range.end as usize]).map_err(fetch::Error::Sink)
        }

        fn blame(&mut self, _: &str) -> bool {
            false
        }
    }

    struct Collected(Vec<u8>);

    impl Receiver for Collected {
        fn window(&mut self, _: usize, offset: u64, plain: &[u8]) -> io::Result<()> {
            assert_eq!(offset, self.0.len() as u64);
            self.0.extend_from_slice(plain);
            Ok(())
        }
    }

    fn image(folder: &Path, name: &str, bytes: &[u8]) -> Image {
        let path = folder.join(name);
        // As in a disk: something before it and after it.
        let mut file = vec![7; 512];
        file.extend_from_slice(bytes);
        file.extend_from_slice(&[9; 100]);
        std::fs::write(&path, file).unwrap();
        Image::open(&path, 512..512 + bytes.len() as u64, &SALT).unwrap()
    }

    #[test]
    fn an_updater_makes_the_image_out_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let noise = |seed: u64, len: usize| -> Vec<u8> {
            (0..len as u64)
                .flat_map(|i| Sha256::digest((seed + i).to_le_bytes()))
                .take(len)
                .collect()
        };
        let old = noise(1, 9 << 20);
        let mut new = noise(2_000_000, 40_000);
        new.extend_from_slice(&old);
        new.truncate(9 << 20);
        let (old_image, new_image) = (
            image(folder.path(), "old", &old),
            image(folder.path(), "new", &new),
        );
        let stored = Stored {
            salt: SALT.to_vec(),
            leaves: old_image.tree().leaves().to_vec(),
            root_hash: old_image.tree().root_hash,
        };
        let have = Have {
            root_hash: Digest(old_image.tree().root_hash),
            size: old.len() as u64,
            stored: Some(&stored),
        };
        let unlike = image(folder.path(), "unlike", &noise(9_000_000, 4096));
        let older = [("1".to_owned(), old_image), ("0".to_owned(), unlike)];
        let repository = folder.path().join("repository");
        let release = Folder::new(&repository, "docker/amd64/2");
        let quiet = Progress::quiet();
        let usr = write(&new_image, &older, &release, &quiet).unwrap();
        assert_eq!(usr, write(&new_image, &older, &release, &quiet).unwrap());

        assert_eq!(usr.patches.len(), 1);
        let ways = choices(&usr, Some(&have));
        assert_eq!(ways.len(), 3, "{ways:?}");
        assert!(ways[0].bytes < 60_000, "{ways:?}");
        for choice in ways {
            let mut source = Local(&repository);
            let plan = Plan::prepare(choice.way, &usr, Some(&have), &mut source).unwrap();
            let mut out = Collected(Vec::new());
            Applier::new(&plan, Some(&older[0].1.part), 0)
                .run(&mut source, &mut out)
                .unwrap();
            assert!(out.0 == new, "{choice:?}");
        }
        assert!(
            !repository
                .join("targets/docker/amd64/2")
                .read_dir()
                .unwrap()
                .any(|entry| {
                    entry
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .starts_with(".tmp")
                })
        );
    }
}
