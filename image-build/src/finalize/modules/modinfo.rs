//! What a kernel module says about itself: the `.modinfo` section of its ELF file
//! (strings `key=value`, each ended by a NUL byte).

/// The fields of one module that loading needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Modules that must be loaded before, by name.
    pub depends: Vec<String>,
    /// Patterns of hardware and names it serves.
    pub aliases: Vec<String>,
    /// `softdep` lines (`pre: a b post: c`).
    pub softdeps: Vec<String>,
}

/// Reads a module; `None` if it is not a 64-bit little-endian ELF file.
pub fn read(elf: &[u8]) -> Option<ModInfo> {
    Some(parse(section(elf, b".modinfo")?))
}

/// Parses the section's bytes.
fn parse(section: &[u8]) -> ModInfo {
    let mut out = ModInfo::default();
    for field in section.split(|b| *b == 0) {
        let Some((key, value)) = std::str::from_utf8(field)
            .ok()
            .and_then(|f| f.split_once('='))
        else {
            continue;
        };
        match key {
            "depends" => {
                out.depends = value
                    .split(',')
                    .filter(|d| !d.is_empty())
                    .map(str::to_owned)
                    .collect()
            }
            "alias" => out.aliases.push(value.to_owned()),
            "softdep" => out.softdeps.push(value.to_owned()),
            _ => {}
        }
    }
    out
}

/// The bytes of a section, found through the section header table.
fn section<'a>(elf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const ELF64_LE: &[u8] = b"\x7fELF\x02\x01";
    if !elf.starts_with(ELF64_LE) {
        return None;
    }
    let word = |at: usize, len: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes
            .get_mut(..len)?
            .copy_from_slice(elf.get(at..at.checked_add(len)?)?);
        Some(u64::from_le_bytes(bytes))
    };
    let at = |v: u64| usize::try_from(v).ok();
    let (table, size, count, names) = (
        at(word(0x28, 8)?)?,
        at(word(0x3a, 2)?)?,
        at(word(0x3c, 2)?)?,
        at(word(0x3e, 2)?)?,
    );
    let header = |i: usize| table.checked_add(i.checked_mul(size)?);
    let body = |h: usize| -> Option<&'a [u8]> {
        let (offset, len) = (
            at(word(h.checked_add(0x18)?, 8)?)?,
            at(word(h.checked_add(0x20)?, 8)?)?,
        );
        elf.get(offset..offset.checked_add(len)?)
    };
    let strings = body(header(names)?)?;
    (0..count).find_map(|i| {
        let h = header(i)?;
        let this = strings.get(at(word(h, 4)?)?..)?.split(|b| *b == 0).next()?;
        (this == name).then(|| body(h)).flatten()
    })
}

#[cfg(test)]
pub(super) mod test {
    /// A minimal ELF file with a `.modinfo` section.
    pub fn elf(info: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let (info_at, names_at) = (64, 64 + info.len());
        let table = names_at + names.len();
        let mut out = b"\x7fELF\x02\x01".to_vec();
        out.resize(64, 0);
        out[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        out[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        out.extend_from_slice(info);
        out.extend_from_slice(names);
        for (name, at, len) in [
            (0_u32, 0, 0),
            (1, info_at, info.len()),
            (10, names_at, names.len()),
        ] {
            let mut h = [0; 64];
            h[..4].copy_from_slice(&name.to_le_bytes());
            h[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            h[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
            out.extend(h);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::test::elf;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_modinfo() {
        let info = read(&elf(
            b"license=GPL\0alias=pci:v*\0alias=b\0depends=x,y\0softdep=pre: z\0",
        ))
        .unwrap();
        assert_eq!(info.depends, ["x", "y"]);
        assert_eq!(info.aliases, ["pci:v*", "b"]);
        assert_eq!(info.softdeps, ["pre: z"]);
        assert_eq!(read(b"no elf"), None);
    }

    proptest! {
        #[test]
        fn never_panics(at in 0usize..300, value: u64, info in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = elf(&info);
            let at = at.min(bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let _ = read(&bytes);
        }
    }
}
