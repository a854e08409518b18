//! Gzip and base64.

use crate::error::{Context as _, Error, Result};
use base64::Engine as _;
use flate2::read::MultiGzDecoder;
use std::io::Read as _;

/// Most that user-data may be, as sent and once more when all is unpacked and fetched, in
/// bytes. While it is read there are five copies at most: it stays within 64 MiB.
pub const MAX: u64 = 10 << 20;

/// Unpacks gzip. `None`: it is more than `max` bytes.
pub fn gunzip_within(bytes: &[u8], max: u64) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(max.saturating_add(1))
        .read_to_end(&mut out)
        .input(|| "gzip data is damaged or cut".to_owned())?;
    Ok(Some(out).filter(|o| o.len() as u64 <= max))
}

/// What is said of more than `max` bytes.
pub fn too_large(max: u64) -> Error {
    let what = match max >> 20 {
        0 => format!("larger than {} KiB when unpacked", max >> 10),
        mib => format!("larger than {mib} MiB when unpacked"),
    };
    Error::input(what).hint("fetch large files from a unit instead")
}

/// Base64 is only taken for such when it decodes to something user-data can
/// start with.
pub(super) fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let allowed =
        |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b) || b.is_ascii_whitespace();
    if bytes.len() as u64 > 2 * MAX
        || !bytes.iter().take(200).all(allowed)
        || !bytes.iter().all(allowed)
    {
        return None;
    }
    let decoded = decode_base64(bytes)?;
    let starts = [
        &b"#"[..],
        b"{",
        b"\xef\xbb\xbf",
        b"\x1f\x8b",
        b"Content-Type:",
        b"MIME-Version:",
        b"From ",
        b"variant:",
    ];
    starts
        .iter()
        .any(|s| decoded.starts_with(s))
        .then_some(decoded)
}

/// Decodes base64 with any white space in it, padded or not.
pub fn decode_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const ANY: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    ANY.decode(compact).ok()
}

/// Bytes in which `mark` and two hexadecimal digits stand for a byte: `%41`, `=41`. What
/// is no such escape stays as it is.
pub fn escapes(bytes: &[u8], mark: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, next)) = rest.split_first() {
        let digit = |i: usize| next.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (*first == mark, digit(0), digit(1)) {
            (true, Some(high), Some(low)) => {
                out.extend(u8::try_from(high * 16 + low));
                rest = &next[2..];
            }
            _ => {
                out.push(*first);
                rest = next;
            }
        }
    }
    out
}
