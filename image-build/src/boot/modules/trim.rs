//! Takes symbols out of a kernel module that nothing needs to load it or to read
//! a backtrace: names of data, of files, and of the padding before functions.
//!
//! For every function that can be traced the kernel walks all symbols of its module:
//! half of what loading ext4 costs. Functions keep their names. The file keeps its
//! layout; what is left over is zero, and next to nothing once compressed. Its
//! signature fits no longer.

const HEADER: usize = 64;
const SECTION: usize = 64;
const SYMBOL: usize = 24;
const RELOCATION: usize = 24;

const RELOCATABLE: u64 = 1;
const SYMTAB: u64 = 2;
const RELA: u64 = 4;
/// Sections that hold numbers of symbols in ways not handled here: REL, GROUP,
/// SYMTAB_SHNDX.
const STRANGE: [u64; 3] = [9, 17, 18];
const LOCAL: u8 = 0;
const FUNCTION: u8 = 2;
const SECTION_SYMBOL: u8 = 3;

/// Fields of a section header that matter here.
struct Section {
    /// Where the header itself is.
    at: usize,
    kind: u64,
    link: usize,
    start: usize,
    size: usize,
}

/// The module (64-bit little-endian ELF) with fewer symbols; none if it is of a
/// form that this does not handle.
pub fn trim(module: &[u8]) -> Option<Vec<u8>> {
    let sections = sections(module)?;
    if sections.iter().any(|s| STRANGE.contains(&s.kind)) {
        return None;
    }
    let (number, table) = sections
        .iter()
        .enumerate()
        .find(|(_, s)| s.kind == SYMTAB)?;
    let strings = sections.get(table.link)?;
    let relocations: Vec<usize> = sections
        .iter()
        .filter(|s| s.kind == RELA && s.link == number)
        .flat_map(|s| (s.start..s.start + s.size / RELOCATION * RELOCATION).step_by(RELOCATION))
        .collect();

    let count = table.size / SYMBOL;
    let mut used = vec![false; count];
    for at in &relocations {
        *used.get_mut(number_of(module, at + 12, 4)? as usize)? = true;
    }
    let mut out = module.to_vec();
    let mut places = vec![0u32; count];
    let mut names = vec![0];
    let (mut kept, mut locals) = (0, 0);
    for at in 0..count {
        let symbol = &module[table.start + at * SYMBOL..][..SYMBOL];
        let name = name(module, strings, number_of(symbol, 0, 4)? as usize)?;
        let (bind, kind) = (symbol[4] >> 4, symbol[4] & 0xf);
        let telling = kind == SECTION_SYMBOL || (kind == FUNCTION && !name.starts_with(b"__pfx_"));
        if at != 0 && bind == LOCAL && !used[at] && !telling {
            continue;
        }
        places[at] = kept;
        let to = &mut out[table.start + kept as usize * SYMBOL..][..SYMBOL];
        to.copy_from_slice(symbol);
        let offset = if name.is_empty() { 0 } else { names.len() };
        put(to, 0, 4, offset as u64);
        if offset != 0 {
            names.extend_from_slice(name);
            names.push(0);
        }
        kept += 1;
        locals += u32::from(bind == LOCAL);
    }
    // Strings that shared their ends may need more room now.
    if names.len() > strings.size {
        return None;
    }
    let size = kept as usize * SYMBOL;
    out[table.start + size..table.start + table.size].fill(0);
    put(&mut out, table.at + 32, 8, size as u64);
    put(&mut out, table.at + 44, 4, locals.into());
    let room = &mut out[strings.start..strings.start + strings.size];
    room.fill(0);
    room[..names.len()].copy_from_slice(&names);
    put(&mut out, strings.at + 32, 8, names.len() as u64);
    for at in relocations {
        let place = places[number_of(module, at + 12, 4)? as usize];
        put(&mut out, at + 12, 4, place.into());
    }
    Some(out)
}

fn sections(module: &[u8]) -> Option<Vec<Section>> {
    // 64 bits, little-endian.
    if module.len() < HEADER
        || module[..6] != *b"\x7fELF\x02\x01"
        || number_of(module, 16, 2)? != RELOCATABLE
        || number_of(module, 58, 2)? != SECTION as u64
    {
        return None;
    }
    let first = usize::try_from(number_of(module, 40, 8)?).ok()?;
    let count = usize::try_from(number_of(module, 60, 2)?).ok()?;
    let names = number_of(module, 62, 2)? as usize;
    let sections: Vec<Section> = (0..count)
        .map(|n| {
            let at = first.checked_add(n * SECTION)?;
            let field = |offset, bytes| number_of(module, at.checked_add(offset)?, bytes);
            let section = Section {
                at,
                kind: field(4, 4)?,
                link: field(40, 4)? as usize,
                start: usize::try_from(field(24, 8)?).ok()?,
                size: usize::try_from(field(32, 8)?).ok()?,
            };
            let has_bytes = [SYMTAB, RELA, 3].contains(&section.kind);
            let end = section.start.checked_add(section.size)?;
            (!has_bytes || end <= module.len()).then_some(section)
        })
        .collect::<Option<_>>()?;
    // Names of sections among those of symbols would be lost.
    let shared = sections.iter().any(|s| s.kind == SYMTAB && s.link == names);
    (!shared).then_some(sections)
}

/// A string of a string table, without its end.
fn name<'a>(module: &'a [u8], strings: &Section, offset: usize) -> Option<&'a [u8]> {
    let all = &module.get(strings.start..strings.start.checked_add(strings.size)?)?;
    let rest = all.get(offset..)?;
    rest.split(|b| *b == 0).next()
}

fn number_of(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..length].copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
    Some(u64::from_le_bytes(number))
}

fn put(bytes: &mut [u8], at: usize, length: usize, number: u64) {
    bytes[at..at + length].copy_from_slice(&number.to_le_bytes()[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
    use proptest::prelude::*;

    /// Name, type and binding of each symbol; the last one is relocated against.
    fn module(symbols: &[(&str, u8, u8)]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut table = vec![0; SYMBOL];
        for (n, (name, kind, bind)) in symbols.iter().enumerate() {
            let mut symbol = [0; SYMBOL];
            put(&mut symbol, 0, 4, strings.len() as u64);
            symbol[4] = bind << 4 | kind;
            put(&mut symbol, 6, 2, 1);
            put(&mut symbol, 8, 8, n as u64 * 16);
            table.extend(symbol);
            strings.extend(name.bytes().chain([0]));
        }
        let mut relocation = [0; RELOCATION];
        put(&mut relocation, 8, 4, 1);
        put(&mut relocation, 12, 4, symbols.len() as u64);
        let section_names = b"\0.text\0.rela.text\0.symtab\0.strtab\0.shstrtab\0";
        let locals = 1 + symbols.iter().filter(|s| s.2 == LOCAL).count();
        // Name, type, link, info, content.
        let parts: [(u64, u64, u64, u64, &[u8]); 5] = [
            (1, 1, 0, 0, &[0x90; 256]),
            (7, RELA, 3, 1, &relocation),
            (18, SYMTAB, 4, locals as u64, &table),
            (26, 3, 0, 0, &strings),
            (34, 3, 0, 0, section_names),
        ];
        let mut out = vec![0; HEADER];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        put(&mut out, 16, 2, RELOCATABLE);
        put(&mut out, 18, 2, 62);
        put(&mut out, 20, 4, 1);
        put(&mut out, 52, 2, HEADER as u64);
        put(&mut out, 58, 2, SECTION as u64);
        put(&mut out, 60, 2, 6);
        put(&mut out, 62, 2, 5);
        let mut headers = vec![0; SECTION];
        for (name, kind, link, info, content) in parts {
            out.resize(out.len().next_multiple_of(8), 0);
            let mut header = [0; SECTION];
            put(&mut header, 0, 4, name);
            put(&mut header, 4, 4, kind);
            put(&mut header, 24, 8, out.len() as u64);
            put(&mut header, 32, 8, content.len() as u64);
            put(&mut header, 40, 4, link);
            put(&mut header, 44, 4, info);
            let entry = if kind == SYMTAB || kind == RELA {
                24
            } else {
                0
            };
            put(&mut header, 56, 8, entry);
            headers.extend(header);
            out.extend_from_slice(content);
        }
        out.resize(out.len().next_multiple_of(8), 0);
        let at = out.len() as u64;
        put(&mut out, 40, 8, at);
        out.extend(headers);
        out
    }

    fn names(module: &[u8]) -> Vec<String> {
        let file = object::File::parse(module).unwrap();
        file.symbols()
            .map(|s| s.name().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn functions_and_what_is_needed_stay() {
        let (object, function) = (1, FUNCTION);
        let module = module(&[
            ("file.c", 4, LOCAL),
            ("__pfx_read", function, LOCAL),
            ("read", function, LOCAL),
            ("table", object, LOCAL),
            ("exported", object, 1),
            ("target", object, 1),
        ]);
        let small = trim(&module).unwrap();
        assert_eq!(small.len(), module.len());
        assert_eq!(names(&small), ["read", "exported", "target"]);
        let file = object::File::parse(&*small).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let (_, relocation) = text.relocations().next().unwrap();
        let RelocationTarget::Symbol(index) = relocation.target() else {
            panic!("{relocation:?}");
        };
        let symbol = file.symbol_by_index(index).unwrap();
        assert_eq!((symbol.name(), symbol.address()), (Ok("target"), 5 * 16));
        assert_eq!(trim(&small).unwrap(), small);
    }

    #[test]
    fn a_local_symbol_that_is_relocated_against_stays() {
        let module = module(&[("unused", 1, LOCAL), ("used", 1, LOCAL)]);
        assert_eq!(names(&trim(&module).unwrap()), ["used"]);
    }

    proptest! {
        #[test]
        fn never_panics(at in 0usize..1200, byte: u8) {
            let mut module = module(&[("a", 1, LOCAL), ("b", FUNCTION, 1)]);
            let at = at % module.len();
            module[at] = byte;
            let _ = trim(&module);
            let _ = trim(&module[..at]);
        }
    }
}
