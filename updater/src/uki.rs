//! Reading unified kernel images: PE files whose sections are the parts.

/// One section of a UKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `.linux`, `.initrd`, `.cmdline`...
    pub name: String,
    /// First byte in the file.
    pub offset: u64,
    /// Length in bytes, without padding.
    pub len: u64,
}

/// Why bytes are not a PE file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a unified kernel image: {0}")]
pub struct BadUki(&'static str);

/// The section table. Every section returned lies within `file`.
pub fn sections(file: &[u8]) -> Result<Vec<Section>, BadUki> {
    let bytes = |at: usize, len: usize| {
        at.checked_add(len)
            .and_then(|end| file.get(at..end))
            .ok_or(BadUki("cut short"))
    };
    let u16_at = |at: usize| {
        Ok(bytes(at, 2)?
            .iter()
            .rev()
            .fold(0u16, |n, b| n << 8 | u16::from(*b)))
    };
    let u32_at = |at: usize| {
        Ok(bytes(at, 4)?
            .iter()
            .rev()
            .fold(0u32, |n, b| n << 8 | u32::from(*b)))
    };
    if bytes(0, 2)? != b"MZ" {
        return Err(BadUki("no DOS header"));
    }
    let pe = u32_at(0x3c)? as usize;
    if bytes(pe, 4)? != b"PE\0\0" {
        return Err(BadUki("no PE header"));
    }
    let count = usize::from(u16_at(pe + 6)?);
    let table = pe + 24 + usize::from(u16_at(pe + 20)?);
    let mut found = Vec::with_capacity(count);
    for at in (0..count).map(|i| table + 40 * i) {
        let name = bytes(at, 8)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        let name = String::from_utf8_lossy(name.get(..end).unwrap_or(name)).into_owned();
        let (in_memory, in_file) = (u32_at(at + 8)?, u32_at(at + 16)?);
        let (offset, len) = (u32_at(at + 20)?, in_memory.min(in_file));
        bytes(offset as usize, len as usize)
            .map_err(|_| BadUki("a section ends behind the end of the file"))?;
        found.push(Section {
            name,
            offset: offset.into(),
            len: len.into(),
        });
    }
    Ok(found)
}

/// The bytes of a section, or nothing if there is none of that name.
pub fn section<'a>(file: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, BadUki> {
    let all = sections(file)?;
    Ok(all.iter().find(|s| s.name == name).and_then(|s| {
        let start = usize::try_from(s.offset).ok()?;
        file.get(start..start + usize::try_from(s.len).ok()?)
    }))
}

/// A section as text, without trailing newlines and NULs.
pub fn text(file: &[u8], name: &str) -> Result<Option<String>, BadUki> {
    let Some(bytes) = section(file, name)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes).map_err(|_| BadUki("a text section is not UTF-8"))?;
    Ok(Some(text.trim_end_matches(['\0', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panics(mut file in proptest::collection::vec(any::<u8>(), 0..600), pe in 0u32..80) {
            if file.len() > 0x44 + pe as usize {
                file[..2].copy_from_slice(b"MZ");
                file[0x3c..0x40].copy_from_slice(&pe.to_le_bytes());
                let at = pe as usize;
                if at > 0x40 {
                    file[at..at + 4].copy_from_slice(b"PE\0\0");
                }
            }
            let _ = text(&file, ".cmdline");
        }
    }
}
