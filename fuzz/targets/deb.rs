//! Packages: raw, or with the bytes as the members of a well-formed one. Tar's
//! checksums are made right, or nothing behind them would be tried.
#![no_main]

use image_build::package::try_unpack;
use libfuzzer_sys::fuzz_target;

fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let len = bytes.len();
    out.extend(
        format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n",
            0, 0, 0, 100644
        )
        .bytes(),
    );
    out.extend_from_slice(bytes);
    out.extend(std::iter::repeat_n(b'\n', len % 2));
}

fn seal(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    tar
}

fuzz_target!(|data: &[u8]| {
    let _ = try_unpack(data);
    let half = data.len() / 1024 * 512;
    let (control, content) = data.split_at(half);
    let mut deb = b"!<arch>\n".to_vec();
    member(&mut deb, "debian-binary", b"2.0\n");
    member(&mut deb, "control.tar", &seal(control));
    member(&mut deb, "data.tar", &seal(content));
    let _ = try_unpack(&deb);
});
