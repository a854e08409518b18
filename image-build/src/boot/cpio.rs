//! cpio archives in the "newc" format, as the kernel unpacks them.
//!
//! Deterministic: entries in the order given, inode numbers counted from 1, all
//! times 0, all owners root.

/// A cpio archive being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a directory, 0755.
    pub fn dir(&mut self, path: &str) {
        self.entry(path, 0o040_755, &[]);
    }

    /// Adds a regular file.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, 0o100_000 | mode, content);
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.inode += u32::from(mode != 0);
        let inode = self.inode;
        let (size, name) = (content.len(), path.len() + 1);
        let header = format!(
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name:08x}{:08x}",
            0, 0, 1, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newc() {
        let mut archive = Archive::default();
        archive.dir("modules");
        archive.file("init", 0o755, b"hello");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("07070100000001000041ed0000000000000000000000010000000000000000"));
        // 110 bytes of header, the name, then data on multiples of four.
        assert_eq!(&bytes[110..118], b"modules\0");
        assert_eq!(&bytes[120..126], b"070701");
        assert_eq!(&bytes[230..235], b"init\0");
        assert_eq!(&bytes[236..241], b"hello");
        assert_eq!(&bytes[244..250], b"070701");
        assert!(bytes.len().is_multiple_of(4));
    }
}
