//! Decompression of package members by the extension of their name.

use std::io::Read;

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;

use crate::error::{Error, Result};

/// What one xz decoder may use (`xz -9` needs 65 MiB).
const XZ_MEMORY: u64 = 256 << 20;

/// A reader of the plain bytes of `name` (`data.tar.xz`, `.zst`, `.gz` or plain).
pub fn reader<'a>(name: &str, data: &'a [u8]) -> Result<Box<dyn Read + 'a>> {
    Ok(match name.rsplit_once('.').map(|(_, ext)| ext) {
        Some("tar") => Box::new(data),
        Some("xz") => Box::new(xz(data)?),
        Some("zst") => Box::new(zstd::Decoder::with_buffer(data).map_err(|e| broken(name, e))?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(data)),
        _ => {
            return Err(Error::refused(format!(
                "{name} uses a compression that Debian packages do not use"
            )));
        }
    })
}

/// A reader of plain bytes of xz data.
pub fn xz(data: &[u8]) -> Result<XzDecoder<&[u8]>> {
    let stream = Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
        .map_err(|e| Error::environment("starting an xz decoder").because(e))?;
    Ok(XzDecoder::new_stream(data, stream))
}

/// The error for a member that does not decompress.
pub fn broken(name: &str, e: std::io::Error) -> Error {
    Error::refused(format!("{name} is damaged")).because(e)
}
