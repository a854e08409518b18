//! Makes small .deb files for tests.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::ar;

pub struct Deb {
    compression: &'static str,
    control: tar::Builder<Vec<u8>>,
    data: tar::Builder<Vec<u8>>,
}

pub fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn header(name: &str, kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut h = tar::Header::new_gnu();
    // Past the checks of `set_path`: bad names are what some tests are about.
    h.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    h.set_entry_type(kind);
    h.set_mode(mode);
    h.set_uid(0);
    h.set_gid(0);
    h.set_size(size as u64);
    h.set_cksum();
    h
}

impl Deb {
    pub fn new(name: &str, compression: &'static str) -> Self {
        let control = format!("Package: {name}\nVersion: 1.0\nArchitecture: amd64\n");
        Deb {
            compression,
            control: tar::Builder::new(Vec::new()),
            data: tar::Builder::new(Vec::new()),
        }
        .script("control", &control)
    }
    pub fn script(mut self, name: &str, text: &str) -> Self {
        let h = header(
            &format!("./{name}"),
            tar::EntryType::Regular,
            0o755,
            text.len(),
        );
        self.control.append(&h, text.as_bytes()).unwrap();
        self
    }
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.data
            .append(
                &header(path, tar::EntryType::Regular, mode, bytes.len()),
                bytes,
            )
            .unwrap();
        self
    }
    pub fn dir(mut self, path: &str) -> Self {
        self.data
            .append(&header(path, tar::EntryType::Directory, 0o755, 0), &[][..])
            .unwrap();
        self
    }
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.link(path, target, tar::EntryType::Symlink)
    }
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(path, target, tar::EntryType::Link)
    }
    fn link(mut self, path: &str, target: &str, kind: tar::EntryType) -> Self {
        let mut h = header(path, kind, 0o777, 0);
        h.set_link_name(target).unwrap();
        h.set_cksum();
        self.data.append(&h, &[][..]).unwrap();
        self
    }
    pub fn device(mut self, path: &str) -> Self {
        self.data
            .append(&header(path, tar::EntryType::Char, 0o666, 0), &[][..])
            .unwrap();
        self
    }
    pub fn xattr(mut self, path: &str, name: &str, value: &[u8]) -> Self {
        self.data
            .append_pax_extensions([(format!("SCHILY.xattr.{name}").as_str(), value)])
            .unwrap();
        self.file(path, 0o755, b"")
    }
    pub fn bytes(&self) -> Vec<u8> {
        let pack = |tar: &tar::Builder<Vec<u8>>| {
            // Two empty blocks end an archive.
            let mut plain = tar.get_ref().clone();
            plain.extend([0; 1024]);
            let mut out = Vec::new();
            match self.compression {
                ".xz" => drop(
                    liblzma::read::XzEncoder::new(&plain[..], 1)
                        .read_to_end(&mut out)
                        .unwrap(),
                ),
                ".gz" => drop(
                    flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast())
                        .read_to_end(&mut out)
                        .unwrap(),
                ),
                ".zst" => out = zstd::encode_all(&plain[..], 1).unwrap(),
                _ => out = plain,
            }
            out
        };
        let (control, data) = (pack(&self.control), pack(&self.data));
        let name = |n: &str| format!("{n}.tar{}", self.compression);
        ar::write(&[
            ("debian-binary", b"2.0\n"),
            (&name("control"), &control),
            (&name("data"), &data),
        ])
    }
}
