//! The `.modinfo` section of a kernel module: NUL-separated `key=value` strings.

use object::{Object, ObjectSection};

/// What a module says about itself. Names are normalised (`_` for `-`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modinfo {
    /// Modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Modules or aliases to load before it if they are there.
    pub soft: Vec<String>,
    /// Patterns of the devices it drives, and its other names.
    pub aliases: Vec<String>,
}

/// Parses a module (ELF).
pub fn parse(module: &[u8]) -> Result<Modinfo, object::Error> {
    let file = object::File::parse(module)?;
    let section = file.section_by_name(".modinfo");
    let data = section.map(|s| s.data()).transpose()?.unwrap_or_default();
    Ok(parse_section(data))
}

fn parse_section(data: &[u8]) -> Modinfo {
    let mut info = Modinfo::default();
    for entry in data.split(|b| *b == 0) {
        let Ok(text) = std::str::from_utf8(entry) else {
            continue;
        };
        match text.split_once('=') {
            Some(("depends", names)) => {
                info.depends.extend(
                    names
                        .split(',')
                        .filter(|n| !n.is_empty())
                        .map(init::modules::normalise),
                );
            }
            Some(("alias", pattern)) => info.aliases.push(pattern.to_owned()),
            Some(("softdep", text)) => info.soft.extend(
                text.split_whitespace()
                    .skip_while(|word| *word != "pre:")
                    .skip(1)
                    .take_while(|word| *word != "post:")
                    .map(str::to_owned),
            ),
            _ => {}
        }
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_section() {
        let info = parse_section(
            b"license=GPL\0alias=fs-ext4\0alias=ext3\0softdep=pre: crc32c post: nothing\0depends=jbd2,mbcache,crc-16\0\0name=ext4\0",
        );
        assert_eq!(info.depends, ["jbd2", "mbcache", "crc_16"]);
        assert_eq!(info.soft, ["crc32c"]);
        assert_eq!(info.aliases, ["fs-ext4", "ext3"]);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse_section(&bytes);
        }
    }
}
