//! The kernel modules of the initrd: those of [`WANTED`] with all they need, and
//! the index by which `init` finds the module for a device.

mod modinfo;
mod table;
mod trim;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;

use init::modules::{AFTER_USR, ALWAYS, Index, normalise};

pub use modinfo::{Modinfo, parse};
pub use table::WANTED;

use crate::error::{Context, Error, Result};
use crate::tree::{Content, Kind, Tree};

/// A module of the initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Normalised name.
    pub name: String,
    /// ELF file, not compressed.
    pub bytes: Arc<[u8]>,
}

/// The modules of an initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The modules, by name.
    pub modules: Vec<Module>,
    /// The index, as `init` reads it.
    pub index: Vec<u8>,
}

/// A module that was read.
struct Loaded {
    bytes: Arc<[u8]>,
    info: Modinfo,
}

/// Selects the modules of a kernel (its release, as in `usr/lib/modules/RELEASE`)
/// out of the tree. Compressed modules are unpacked.
pub fn select(tree: &Tree, release: &str) -> Result<Selection> {
    let prefix = format!("usr/lib/modules/{release}/");
    let mut files = BTreeMap::new();
    for (path, node) in tree.iter().filter(|(path, _)| path.starts_with(&prefix)) {
        let Kind::File(content) = &node.kind else {
            continue;
        };
        if [".ko", ".ko.xz", ".ko.zst"]
            .iter()
            .any(|end| path.ends_with(end))
        {
            files.insert(normalise(path), (path, content));
        }
    }
    if files.is_empty() {
        return Err(Error::input(format!("no kernel modules in {prefix}"))
            .hint("the recipe needs a kernel package, such as linux-image-amd64"));
    }
    let loaded = closure(&files)?;
    let mut index = index(&loaded)?;
    let lacks = |name: &&&str| files.contains_key(**name) && !index.has(name);
    if let Some(name) = ALWAYS.iter().find(lacks) {
        return Err(Error::input(format!(
            "module {name} is loaded on every boot but is not in the initrd's list"
        )));
    }
    let mut modules = Vec::new();
    for (name, module) in loaded {
        let below = files
            .get(&name)
            .and_then(|(path, _)| path.strip_prefix(&prefix))
            // What is compressed there the kernel would have to unpack.
            .filter(|path| path.ends_with(".ko") && AFTER_USR.contains(&name.as_str()));
        let trimmed = below.and_then(|path| Some((path, trim::trim(&module.bytes)?)));
        let bytes = match trimmed {
            Some((path, bytes)) => {
                index.set_whole(&name, path);
                init::modules::split_signature(&bytes).0.into()
            }
            None => module.bytes,
        };
        modules.push(Module { name, bytes });
    }
    Ok(Selection {
        modules,
        index: index.encode().into_bytes(),
    })
}

/// Reads the wanted modules, then what they need, until nothing is missing.
fn closure(files: &BTreeMap<String, (&str, &Content)>) -> Result<BTreeMap<String, Loaded>> {
    let mut queue: Vec<String> = WANTED
        .iter()
        .flat_map(|(_, names)| *names)
        .map(|n| (*n).to_owned())
        .collect();
    let mut loaded = BTreeMap::new();
    while let Some(name) = queue.pop() {
        // What is not there is built in, or this kernel does without.
        let Some((path, content)) = files.get(&name).filter(|_| !loaded.contains_key(&name)) else {
            continue;
        };
        let bytes = unpack(path, content.read()?)?;
        let info = parse(&bytes).input(|| format!("reading the kernel module {path}"))?;
        queue.extend(info.depends.iter().cloned());
        queue.extend(info.soft.iter().map(|name| normalise(name)));
        loaded.insert(name, Loaded { bytes, info });
    }
    Ok(loaded)
}

/// The index, by way of the texts that depmod would write for these modules.
fn index(loaded: &BTreeMap<String, Loaded>) -> Result<Index> {
    let (mut dep, mut alias, mut soft) = (String::new(), String::new(), String::new());
    for (name, module) in loaded {
        let needs = module
            .info
            .depends
            .iter()
            .filter(|n| loaded.contains_key(*n));
        let needs = needs.map(|n| format!(" {n}.ko")).collect::<String>();
        let _ = writeln!(dep, "{name}.ko:{needs}");
        for pattern in &module.info.aliases {
            let _ = writeln!(alias, "alias {pattern} {name}");
        }
        // A soft dependency may be an alias (`crc32c`): nobody resolves those
        // before the root file system is there, so it is done here.
        // One for any processor is left to the kernel, which asks for it when it has
        // found no better one.
        let before: BTreeSet<&str> = module
            .info
            .soft
            .iter()
            .flat_map(|wish| {
                let all = providers(loaded, wish);
                let better = all.iter().any(|provider| !is_generic(provider));
                all.into_iter()
                    .filter(move |provider| !better || !is_generic(provider))
            })
            .filter(|provider| provider != name)
            .collect();
        if !before.is_empty() {
            let names = before.into_iter().collect::<Vec<_>>().join(" ");
            let _ = writeln!(soft, "softdep {name} pre: {names}");
        }
    }
    let names: Vec<&str> = loaded.keys().map(String::as_str).collect();
    Index::from_depmod(&dep, &alias, &soft, &names)
        .input(|| "indexing the kernel modules".to_owned())
}

fn is_generic(name: &str) -> bool {
    name.ends_with("_generic")
}

fn providers<'a>(loaded: &'a BTreeMap<String, Loaded>, wish: &str) -> Vec<&'a str> {
    let named = |name: &str, module: &Loaded| {
        name == normalise(wish) || module.info.aliases.iter().any(|a| a == wish)
    };
    loaded
        .iter()
        .filter(|(name, module)| named(name, module))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn unpack(path: &str, packed: Arc<[u8]>) -> Result<Arc<[u8]>> {
    let mut plain = Vec::new();
    let read = if path.ends_with(".xz") {
        liblzma::read::XzDecoder::new(&*packed).read_to_end(&mut plain)
    } else if path.ends_with(".zst") {
        zstd::Decoder::new(&*packed).and_then(|mut decoder| decoder.read_to_end(&mut plain))
    } else {
        return Ok(packed);
    };
    read.input(|| format!("unpacking {path}"))?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(name: &str, depends: &[&str], soft: &[&str], aliases: &[&str]) -> (String, Loaded) {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let info = Modinfo {
            depends: own(depends),
            soft: own(soft),
            aliases: own(aliases),
        };
        (
            name.to_owned(),
            Loaded {
                bytes: Arc::from([]),
                info,
            },
        )
    }

    #[test]
    fn soft_dependencies_on_aliases_are_resolved() {
        let modules = BTreeMap::from([
            loaded("ext4", &["jbd2"], &["crc32c"], &["fs-ext4"]),
            loaded("jbd2", &["built_in"], &[], &[]),
            loaded("crc32c_generic", &[], &[], &["crc32c", "crypto-crc32c"]),
        ]);
        let index = index(&modules).unwrap();
        assert_eq!(index.load_order("ext4"), ["crc32c_generic", "jbd2", "ext4"]);
        assert!(index.find("fs-ext4").contains("ext4"));
    }

    #[test]
    fn the_generic_provider_is_only_wanted_where_there_is_no_other() {
        let aliases = ["crc32c", "crypto-crc32c"];
        let modules = BTreeMap::from([
            loaded("libcrc32c", &[], &["crc32c"], &[]),
            loaded("crc32c_generic", &[], &[], &aliases),
            loaded("crc32c_intel", &[], &[], &aliases),
        ]);
        let index = index(&modules).unwrap();
        assert_eq!(index.load_order("libcrc32c"), ["crc32c_intel", "libcrc32c"]);
        assert!(index.find("crypto-crc32c").contains("crc32c_generic"));
    }

    #[test]
    fn every_module_that_is_always_loaded_is_wanted() {
        for name in ALWAYS {
            assert!(
                WANTED.iter().any(|(_, names)| names.contains(name)),
                "{name}"
            );
        }
    }
}
