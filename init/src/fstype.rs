//! What is on a partition, as far as `init` must know before it mounts or formats it.

/// How many bytes of a partition [`probe`] needs.
pub const PROBE_SIZE: usize = 128 * 1024;
/// A partition whose first this many bytes are zero counts as blank.
pub const BLANK_SIZE: usize = 64 * 1024;

/// What the start of a partition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Zeros.
    Blank,
    /// An ext2, ext3 or ext4 file system.
    Ext4(Ext4),
    /// A file system the kernel may mount; the name as for `mount`.
    Other(&'static str),
    /// Something else.
    Unknown,
}

/// What we need of an ext4 superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4 {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks of the file system.
    pub blocks: u64,
    /// Blocks of one block group.
    pub blocks_per_group: u32,
    /// Volume label.
    pub label: String,
}

impl Ext4 {
    /// The number of blocks to grow to on a partition of `bytes` bytes, if that gains at least one block group.
    pub fn grown(&self, bytes: u64) -> Option<u64> {
        let blocks = bytes / self.block_size;
        (blocks >= self.blocks.saturating_add(self.blocks_per_group.into())).then_some(blocks)
    }
}

/// Looks at the first [`PROBE_SIZE`] bytes of a partition (fewer if it is smaller).
pub fn probe(start: &[u8]) -> Content {
    if let Some(ext4) = ext4(start) {
        return Content::Ext4(ext4);
    }
    const MAGICS: [(usize, &[u8], &str); 7] = [
        (0, b"XFSB", "xfs"),
        (0x1_0040, b"_BHRfS_M", "btrfs"),
        (0x400, &[0x10, 0x20, 0xf5, 0xf2], "f2fs"),
        (0x400, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs"),
        (0, b"hsqs", "squashfs"),
        (0, b"LUKS\xba\xbe", "crypto_LUKS"),
        (0x36, b"FAT", "vfat"),
    ];
    for (offset, magic, name) in MAGICS {
        if start.get(offset..offset + magic.len()) == Some(magic) {
            return Content::Other(name);
        }
    }
    let head = &start[..start.len().min(BLANK_SIZE)];
    if head.iter().all(|byte| *byte == 0) {
        Content::Blank
    } else {
        Content::Unknown
    }
}

fn ext4(start: &[u8]) -> Option<Ext4> {
    let superblock: &[u8; 1024] = start.get(1024..2048)?.try_into().ok()?;
    let u32_at = |at: usize| {
        u32::from_le_bytes([
            superblock[at],
            superblock[at + 1],
            superblock[at + 2],
            superblock[at + 3],
        ])
    };
    if superblock[0x38..0x3a] != [0x53, 0xef] {
        return None;
    }
    let block_size = 1024u64
        .checked_shl(u32_at(0x18))
        .filter(|size| (1024..=65536).contains(size))?;
    const INCOMPAT_64BIT: u32 = 0x80;
    let high = if u32_at(0x60) & INCOMPAT_64BIT != 0 {
        u64::from(u32_at(0x150)) << 32
    } else {
        0
    };
    let label: Vec<u8> = superblock[0x78..0x88]
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    Some(Ext4 {
        block_size,
        blocks: u64::from(u32_at(0x4)) | high,
        blocks_per_group: u32_at(0x20).max(1),
        label: String::from_utf8_lossy(&label).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_contents() {
        let mut start = vec![0; PROBE_SIZE];
        assert_eq!(probe(&start), Content::Blank);
        start[BLANK_SIZE] = 1;
        assert_eq!(probe(&start), Content::Blank);
        start[BLANK_SIZE - 1] = 1;
        assert_eq!(probe(&start), Content::Unknown);
        start[..4].copy_from_slice(b"XFSB");
        assert_eq!(probe(&start), Content::Other("xfs"));
        start[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        start[1024 + 0x18] = 2;
        start[1024 + 4] = 9;
        start[1024 + 0x20..1024 + 0x22].copy_from_slice(&[0, 0x80]);
        start[1024 + 0x78..1024 + 0x7c].copy_from_slice(b"root");
        let ext4 = Ext4 {
            block_size: 4096,
            blocks: 9,
            blocks_per_group: 32768,
            label: "root".into(),
        };
        assert_eq!(probe(&start), Content::Ext4(ext4.clone()));
        assert_eq!(ext4.grown(9 * 4096 + (128 << 20)), Some(9 + 32768));
        assert_eq!(ext4.grown(9 * 4096 + (127 << 20)), None);
    }

    proptest! {
        #[test]
        fn probing_never_panics(mut start in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = probe(&start);
            if start.len() > 1100 {
                start[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
                let _ = probe(&start);
            }
        }
    }
}
