//! One zstd frame, with or without a prefix.

use std::io;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, get_error_name};

/// Decompresses `frame` into all of `out`. Takes no memory that the frame asks
/// for: zstd writes into `out` and nowhere else, and fails when it is full.
pub fn decompress(frame: &[u8], prefix: &[u8], out: &mut [u8]) -> io::Result<()> {
    let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix).map_err(failed)?;
    }
    let len = context.decompress(out, frame).map_err(failed)?;
    if len != out.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{len} bytes came out where {} belong", out.len()),
        ));
    }
    Ok(())
}

/// Compresses `plain`. The result depends on nothing but the arguments.
pub fn compress(plain: &[u8], prefix: &[u8], parameters: &[CParameter]) -> io::Result<Vec<u8>> {
    let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    for parameter in parameters {
        context.set_parameter(*parameter).map_err(failed)?;
    }
    if !prefix.is_empty() {
        context.ref_prefix(prefix).map_err(failed)?;
    }
    let mut out = Vec::with_capacity(zstd::compress_bound(plain.len()));
    context.compress2(&mut out, plain).map_err(failed)?;
    Ok(out)
}

fn failed(code: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("zstd: {}", get_error_name(code)),
    )
}
