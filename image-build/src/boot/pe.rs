//! Where things are in a PE32+ file, as far as signing must know.

use std::ops::Range;

use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageDosHeader, ImageNtHeaders64};
use object::read::pe::ImageNtHeaders;

/// Offsets in the optional header of a PE32+ file.
const CHECKSUM: usize = 64;
const DIRECTORIES: usize = 112;
/// Bytes of the signature `PE\0\0` and of the COFF header behind it.
const COFF: usize = 24;
const DIRECTORY: usize = 8;

/// Why a file cannot be signed, or its signature not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an EFI program: {0}")]
pub struct BadPe(pub &'static str);

/// Parts of a file; every range lies within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The checksum's four bytes.
    pub checksum: Range<usize>,
    /// The entry of the data directories that tells where the certificate table is.
    pub entry: Range<usize>,
    /// Length of all headers.
    pub headers: usize,
    /// What the sections have in the file, by their place in it.
    pub sections: Vec<Range<usize>>,
    /// The certificate table: the end of the file; empty if there is none.
    pub certificates: Range<usize>,
}

impl Layout {
    /// Reads the headers.
    pub fn parse(file: &[u8]) -> Result<Self, BadPe> {
        let dos = ImageDosHeader::parse(file).map_err(|_| BadPe("no DOS header"))?;
        let optional = dos.nt_headers_offset() as usize + COFF;
        let mut at = u64::from(dos.nt_headers_offset());
        let (nt, directories) =
            ImageNtHeaders64::parse(file, &mut at).map_err(|_| BadPe("no PE32+ header"))?;
        let entry = DIRECTORIES + IMAGE_DIRECTORY_ENTRY_SECURITY * DIRECTORY;
        let entry = optional + entry..optional + entry + DIRECTORY;
        let table = directories
            .iter()
            .nth(IMAGE_DIRECTORY_ENTRY_SECURITY)
            .ok_or(BadPe("its headers have no room for signatures"))?;
        let headers = nt.optional_header.size_of_headers.get(LE) as usize;
        if headers < entry.end || headers > file.len() {
            return Err(BadPe("the headers' length is wrong"));
        }
        let certificates = match (table.virtual_address.get(LE), table.size.get(LE)) {
            (_, 0) => file.len()..file.len(),
            (start, size) => start as usize..start as usize + size as usize,
        };
        if certificates.start < headers || certificates.end != file.len() {
            return Err(BadPe("its signatures are not at the end"));
        }
        let mut sections = Vec::new();
        let table = nt
            .sections(file, at)
            .map_err(|_| BadPe("no section table"))?;
        for section in table.iter() {
            let start = section.pointer_to_raw_data.get(LE) as usize;
            let end = start + section.size_of_raw_data.get(LE) as usize;
            if end > certificates.start {
                return Err(BadPe("a section ends behind the end of the file"));
            }
            if end > start {
                sections.push(start..end);
            }
        }
        sections.sort_by_key(|range| range.start);
        Ok(Layout {
            checksum: optional + CHECKSUM..optional + CHECKSUM + 4,
            entry,
            headers,
            sections,
            certificates,
        })
    }
}

/// The PE checksum: the 16-bit words with carries added back, plus the length. The
/// field itself counts as zero.
pub fn checksum(file: &[u8]) -> u32 {
    let mut sum = 0u64;
    for word in file.chunks(2) {
        let word = word.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        sum += word;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u32 + file.len() as u32
}
