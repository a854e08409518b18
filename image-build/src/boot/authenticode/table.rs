//! The certificate table: where a PE file has its signatures.
//!
//! Entries (`WIN_CERTIFICATE`) follow each other, aligned to 8 bytes: length with
//! header (32-bit), revision, type, content.

use crate::boot::pe::{BadPe, Layout, checksum};

/// `WIN_CERT_REVISION_2_0`.
const REVISION: u16 = 0x0200;
/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const PKCS7: u16 = 0x0002;
const HEADER: usize = 8;
const ALIGN: usize = 8;

/// The file as it must be before it is hashed: ending where the table may begin.
pub fn padded(file: &[u8]) -> Vec<u8> {
    let mut out = file.to_vec();
    out.resize(file.len().next_multiple_of(ALIGN), 0);
    out
}

/// Appends a table with one signature to a padded file that has none.
pub fn append(mut file: Vec<u8>, layout: &Layout, pkcs7: &[u8]) -> Result<Vec<u8>, BadPe> {
    let too_large = || BadPe("it is too large");
    let start = u32::try_from(file.len()).map_err(|_| too_large())?;
    let len = u32::try_from(HEADER + pkcs7.len()).map_err(|_| too_large())?;
    file.extend(len.to_le_bytes());
    file.extend(REVISION.to_le_bytes());
    file.extend(PKCS7.to_le_bytes());
    file.extend(pkcs7);
    file.resize(file.len().next_multiple_of(ALIGN), 0);
    let end = u32::try_from(file.len()).map_err(|_| too_large())?;
    let entry = [start.to_le_bytes(), (end - start).to_le_bytes()].concat();
    file[layout.entry.clone()].copy_from_slice(&entry);
    file[layout.checksum.clone()].fill(0);
    let sum = checksum(&file);
    file[layout.checksum.clone()].copy_from_slice(&sum.to_le_bytes());
    Ok(file)
}

/// The PKCS#7 signatures of a file; zeros may follow each.
pub fn read<'a>(file: &'a [u8], layout: &Layout) -> Result<Vec<&'a [u8]>, BadPe> {
    let mut table = &file[layout.certificates.clone()];
    let mut found = Vec::new();
    while let Some((header, _)) = table.split_first_chunk::<HEADER>() {
        let [a, b, c, d, revision @ .., e, f] = *header;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let content = table
            .get(HEADER..len)
            .ok_or(BadPe("a signature ends behind the end of the file"))?;
        if u16::from_le_bytes(revision) == REVISION && u16::from_le_bytes([e, f]) == PKCS7 {
            found.push(content);
        }
        table = table.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(found)
}
