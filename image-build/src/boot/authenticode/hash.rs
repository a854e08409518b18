//! The hash that a signature is over (Windows Authenticode Portable Executable
//! Signature Format, "Calculating the PE Image Hash").

use sha2::{Digest, Sha256};

use crate::boot::pe::Layout;

/// SHA-256 of everything that signing does not change: not the checksum, not the
/// certificate table and not the entry that says where that is.
pub fn hash(file: &[u8], layout: &Layout) -> [u8; 32] {
    let Layout {
        checksum, entry, ..
    } = layout;
    let headers = [
        0..checksum.start,
        checksum.end..entry.start,
        entry.end..layout.headers,
    ];
    // What no section has comes last, from where the sections would end if they
    // followed each other: firmware counts like that, too.
    let sections: usize = layout.sections.iter().map(ExactSizeIterator::len).sum();
    let end = layout.certificates.start;
    let rest = (layout.headers + sections).min(end)..end;
    let mut hash = Sha256::new();
    for range in headers.iter().chain(&layout.sections).chain([&rest]) {
        hash.update(file.get(range.clone()).unwrap_or_default());
    }
    hash.finalize().into()
}
