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

/// The bytes of a PE file, and where its headers are.
struct Pe<'a> {
    file: &'a [u8],
    /// Of the header that says how many sections there are.
    header: usize,
}

impl<'a> Pe<'a> {
    fn open(file: &'a [u8]) -> Result<Self, BadUki> {
        let mut pe = Pe { file, header: 0 };
        if pe.bytes(0, 2)? != b"MZ" {
            return Err(BadUki("no DOS header"));
        }
        let header = pe.number(0x3c, 4)?;
        if pe.bytes(header, 4)? != b"PE\0\0" {
            return Err(BadUki("no PE header"));
        }
        pe.header = header;
        Ok(pe)
    }

    fn bytes(&self, at: usize, len: usize) -> Result<&'a [u8], BadUki> {
        at.checked_add(len)
            .and_then(|end| self.file.get(at..end))
            .ok_or(BadUki("cut short"))
    }

    /// Of at most 4 bytes.
    fn number(&self, at: usize, len: usize) -> Result<usize, BadUki> {
        let bytes = self.bytes(at, len)?.iter().rev();
        Ok(bytes.fold(0, |n, b| n << 8 | usize::from(*b)))
    }

    /// The second header and its length.
    fn optional(&self) -> Result<(usize, usize), BadUki> {
        Ok((self.header + 24, self.number(self.header + 20, 2)?))
    }
}

/// The section table. Every section returned lies within `file`.
pub fn sections(file: &[u8]) -> Result<Vec<Section>, BadUki> {
    let pe = Pe::open(file)?;
    let count = pe.number(pe.header + 6, 2)?;
    let (optional, len) = pe.optional()?;
    let table = optional + len;
    let mut found = Vec::with_capacity(count);
    for at in (0..count).map(|i| table + 40 * i) {
        let name = pe.bytes(at, 8)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        let name = String::from_utf8_lossy(name.get(..end).unwrap_or(name)).into_owned();
        let (in_memory, in_file) = (pe.number(at + 8, 4)?, pe.number(at + 16, 4)?);
        let (offset, len) = (pe.number(at + 20, 4)?, in_memory.min(in_file));
        pe.bytes(offset, len)
            .map_err(|_| BadUki("a section ends behind the end of the file"))?;
        found.push(Section {
            name,
            offset: offset as u64,
            len: len as u64,
        });
    }
    Ok(found)
}

/// The certificate table, where signatures for Secure Boot are; empty if there is none.
pub fn certificates(file: &[u8]) -> Result<&[u8], BadUki> {
    let pe = Pe::open(file)?;
    let (optional, len) = pe.optional()?;
    if len < 2 {
        return Ok(&[]);
    }
    // Where the directory of tables begins; before it is how many it has.
    let directory = match pe.number(optional, 2)? {
        0x10b => 96,
        0x20b => 112,
        _ => return Err(BadUki("an unknown kind of PE")),
    };
    let entry = directory + 4 * 8;
    if len < entry + 8 || pe.number(optional + directory - 4, 4)? <= 4 {
        return Ok(&[]);
    }
    let (at, len) = (
        pe.number(optional + entry, 4)?,
        pe.number(optional + entry + 4, 4)?,
    );
    pe.bytes(at, len)
        .map_err(|_| BadUki("its signatures end behind the end of the file"))
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
            let _ = certificates(&file);
        }
    }
}
