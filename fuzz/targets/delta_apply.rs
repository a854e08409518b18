//! A patch that was signed: whatever its frames and pieces are, what comes out is what
//! was signed, or nothing. Windows one after another: bytes of the frame (2 bytes,
//! little-endian), pieces (1 byte: how many), for each piece its first block and their
//! number (2 bytes), then the frame.
#![no_main]

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use updater::delta::apply::{Applier, Receiver};
use updater::delta::index::{Index, MIN_WINDOW, Piece, Window};
use updater::delta::plan::{Have, Plan, Way};
use updater::fetch::{self, Sink, Source};
use updater::release::{Artefact, Digest, Patch, Stream, Usr};

const BLOCKS: u64 = 32;

/// The older /usr.
struct Old;

impl FileExt for Old {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = (BLOCKS * 4096).saturating_sub(offset);
        let len = buffer.len().min(rest as usize);
        for (byte, at) in buffer[..len].iter_mut().zip(offset..) {
            *byte = (at.wrapping_mul(0x9e37_79b9) >> 13) as u8;
        }
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct Served {
    index: Vec<u8>,
    data: Vec<u8>,
}

impl Source for Served {
    fn document(&mut self, _: &str, _: u64) -> Result<Option<Vec<u8>>, fetch::Error> {
        Ok(Some(self.index.clone()))
    }

    fn range(
        &mut self,
        _: &str,
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), fetch::Error> {
        let bytes = &self.data[range.start as usize..range.end as usize];
        bytes
            .chunks(700)
            .try_for_each(sink)
            .map_err(fetch::Error::Sink)
    }

    fn blame(&mut self, _: &str) -> bool {
        false
    }
}

struct Take(Vec<Digest>);

impl Receiver for Take {
    fn window(&mut self, number: usize, _: u64, plain: &[u8]) -> io::Result<()> {
        assert_eq!(sha256(plain), self.0[number]);
        Ok(())
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn artefact(name: &str, bytes: &[u8]) -> Artefact {
    Artefact {
        name: name.into(),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let (mut windows, mut frames) = (Vec::new(), Vec::new());
    while let Some(([a, b, count], after)) = rest.split_first_chunk() {
        rest = after;
        let mut pieces = Vec::new();
        for _ in 0..*count {
            let Some(([first, count], after)) = rest.split_first_chunk() else {
                break;
            };
            rest = after;
            pieces.push(Piece {
                first: (*first).into(),
                count: (*count).into(),
            });
        }
        let length = usize::from(u16::from_le_bytes([*a, *b])).min(rest.len());
        let (frame, after) = rest.split_at(length);
        rest = after;
        windows.push(Window {
            length: frame.len() as u32,
            frame: sha256(frame),
            // Zeros can be right.
            plain: sha256(&[0; MIN_WINDOW as usize]),
            pieces,
        });
        frames.extend_from_slice(frame);
    }
    let signed = windows.iter().map(|w| w.plain).collect();
    let size = windows.len() as u64 * u64::from(MIN_WINDOW);
    let Ok(index) = Index::new(MIN_WINDOW, size, BLOCKS * 4096, windows) else {
        return;
    };
    let index = index.encode();
    let stream = Stream {
        index: artefact("i", &index),
        data: artefact("d", &frames),
    };
    let usr = Usr {
        size,
        root_hash: Digest([2; 32]),
        salt: String::new(),
        verity_uuid: String::new(),
        full: stream.clone(),
        patches: vec![Patch {
            from_version: "1".into(),
            from_root_hash: Digest([1; 32]),
            stream,
        }],
        leaves: None,
    };
    let have = Have {
        root_hash: Digest([1; 32]),
        size: BLOCKS * 4096,
        stored: None,
    };
    let mut source = Served {
        index,
        data: frames,
    };
    if let Ok(plan) = Plan::prepare(Way::Patch(0), &usr, Some(&have), &mut source) {
        let _ = Applier::new(&plan, Some(&Old), 0).run(&mut source, &mut Take(signed));
    }
});
