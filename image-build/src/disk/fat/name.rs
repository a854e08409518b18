//! Names: the 8.3 form every entry has, and the long form beside it.

use std::collections::BTreeSet;

/// An 8.3 name, padded with spaces.
pub(super) type Short = [u8; 11];

/// The short name for `name`, different from those in `taken`, and whether a long
/// one is needed beside it. Nothing if there is none.
pub(super) fn short(name: &str, taken: &BTreeSet<Short>) -> Option<(Short, bool)> {
    let (base, extension) = match name.rsplit_once('.') {
        Some((base, extension)) if !base.is_empty() => (base, extension),
        _ => (name, ""),
    };
    let clean = |text: &str| -> Vec<u8> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "$%'-_@~`!(){}^#&".contains(c);
        text.chars()
            .filter(|c| allowed(*c))
            .map(|c| c.to_ascii_uppercase() as u8)
            .collect()
    };
    let (short_base, short_extension) = (clean(base), clean(extension));
    let whole = short_base.len() == base.len() && short_extension.len() == extension.len();
    if whole && (1..=8).contains(&base.len()) && extension.len() <= 3 {
        let made = join(&short_base, b"", &short_extension);
        if !taken.contains(&made) {
            return Some((made, name != name.to_ascii_uppercase()));
        }
    }
    (1..1000).find_map(|n| {
        let tail = format!("~{n}");
        let kept = short_base.len().min(8 - tail.len());
        let made = join(&short_base[..kept], tail.as_bytes(), &short_extension);
        (!taken.contains(&made)).then_some((made, true))
    })
}

fn join(base: &[u8], tail: &[u8], extension: &[u8]) -> Short {
    let mut made = [b' '; 11];
    for (to, from) in made[..8].iter_mut().zip(base.iter().chain(tail)) {
        *to = *from;
    }
    for (to, from) in made[8..].iter_mut().zip(extension) {
        *to = *from;
    }
    made
}

/// The entries that hold a long name, in the order on the disk.
pub(super) fn long_entries(name: &str, short: &Short) -> Vec<[u8; 32]> {
    let sum = short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(13);
    let part = |index: usize| {
        let mut entry = [0u8; 32];
        let last = index + 1 == count;
        entry[0] = (index + 1) as u8 | if last { 0x40 } else { 0 };
        entry[11] = 0x0f;
        entry[13] = sum;
        // One NUL behind the name, then all ones.
        let mut text = units
            .iter()
            .skip(13 * index)
            .copied()
            .chain([0])
            .chain(std::iter::repeat(0xffff));
        let places = (1..11)
            .step_by(2)
            .chain((14..26).step_by(2))
            .chain((28..32).step_by(2));
        for place in places {
            let unit = text.next().unwrap_or(0xffff);
            entry[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entry
    };
    (0..count).rev().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let mut taken = BTreeSet::new();
        let mut one = |name: &str| {
            let (made, long) = short(name, &taken).unwrap();
            taken.insert(made);
            (String::from_utf8(made.to_vec()).unwrap(), long)
        };
        assert_eq!(one("BOOTX64.EFI"), ("BOOTX64 EFI".into(), false));
        assert_eq!(one("grub"), ("GRUB       ".into(), true));
        assert_eq!(one("holdfast_1.2.efi"), ("HOLDFA~1EFI".into(), true));
        assert_eq!(one("holdfast_1.3.efi"), ("HOLDFA~2EFI".into(), true));
        assert_eq!(one("loader.conf"), ("LOADER~1CON".into(), true));
        assert_eq!(one(".hidden"), ("HIDDEN~1   ".into(), true));
        assert_eq!(one("ключ.pub"), ("~1      PUB".into(), true));
    }

    #[test]
    fn long_names() {
        let entries = long_entries("cloud-config.yml", b"CLOUD-~1YML");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0][0], entries[1][0]), (0x42, 1));
        assert_eq!(entries[1][1..11], *b"c\0l\0o\0u\0d\0");
        assert_eq!(entries[0][1..11], *b"y\0m\0l\0\0\0\xff\xff");
    }
}
