//! Reader for the `ar` format that .deb files use (deb(5): the common format with
//! 16-byte names, no symbol or long-name tables).

use crate::error::{Error, Result};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// One member: its name and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name without padding and without the optional trailing slash.
    pub name: &'a str,
    /// Content.
    pub data: &'a [u8],
}

/// All members of an archive held in memory, in order.
pub fn members(bytes: &[u8]) -> Result<Vec<Member<'_>>> {
    let bad =
        |at: usize, why: &str| Error::refused(format!("not a Debian package: {why} at byte {at}"));
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Err(bad(0, "no ar magic"));
    };
    let mut out = Vec::new();
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (header, body) = rest
            .split_at_checked(HEADER)
            .ok_or_else(|| bad(at, "cut-off member header"))?;
        let field = |from: usize, to: usize| {
            header
                .get(from..to)
                .and_then(|f| std::str::from_utf8(f).ok())
                .map(|f| f.trim_end_matches(' '))
        };
        if header.get(58..60) != Some(b"`\n") {
            return Err(bad(at, "member header without its end mark"));
        }
        let name = field(0, 16).ok_or_else(|| bad(at, "member name is not text"))?;
        let size = field(48, 58)
            .filter(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|s| s.parse::<usize>().ok())
            .ok_or_else(|| bad(at, "member size is not a number"))?;
        let (data, after) = body
            .split_at_checked(size)
            .ok_or_else(|| bad(at, "cut-off member"))?;
        out.push(Member {
            name: name.strip_suffix('/').unwrap_or(name),
            data,
        });
        // Members start at even offsets; the last one may lack its padding.
        rest = if size % 2 == 1 {
            after.get(1..).unwrap_or_default()
        } else {
            after
        };
    }
    Ok(out)
}

#[cfg(test)]
pub(super) fn write(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for (name, data) in members {
        out.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                "100644",
                data.len()
            )
            .bytes(),
        );
        out.extend_from_slice(data);
        if data.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_members() {
        let bytes = write(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", b"odd"),
            ("data.tar/", b""),
        ]);
        let got = members(&bytes).unwrap();
        assert_eq!(
            got.iter().map(|m| m.name).collect::<Vec<_>>(),
            ["debian-binary", "control.tar", "data.tar"]
        );
        assert_eq!(got[1].data, b"odd");
    }

    #[test]
    fn refuses_cut_and_crooked_files() {
        let bytes = write(&[("debian-binary", b"2.0\n"), ("data.tar", b"content!")]);
        for cut in [0, 7, 30, 70, bytes.len() - 1] {
            assert!(members(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut huge = bytes.clone();
        huge[8 + 48..8 + 58].copy_from_slice(b"9999999999");
        assert!(
            members(&huge)
                .unwrap_err()
                .to_string()
                .contains("cut-off member")
        );
        huge[8 + 48..8 + 58].copy_from_slice(b"-1        ");
        assert!(
            members(&huge)
                .unwrap_err()
                .to_string()
                .contains("not a number")
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = members(&bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend(bytes);
            let _ = members(&with_magic);
        }
    }
}
