use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write};

use super::glob;

/// Where the modules are in the initramfs.
pub const DIRECTORY: &str = "/modules";
/// Where the index is in the initramfs.
pub const INDEX: &str = "/modules/index";

const MAGIC: &str = "holdfast-modules 1";

/// One module of the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// Modules that must be loaded before it.
    pub needs: Vec<String>,
    /// Modules to load before it if the initramfs has them.
    pub wants: Vec<String>,
}

/// The modules of an initramfs, what they need, and which devices need them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    modules: BTreeMap<String, Module>,
    /// Paths of whole modules, see [`Self::whole`].
    whole: BTreeMap<String, String>,
    /// Lines of pattern, space, module, by the part of the pattern before the first `:` (the bus), in order of the file.
    /// Taken apart only when a device of that bus asks: most machines have few buses.
    aliases: BTreeMap<String, String>,
}

/// Why a text is not an index, or depmod's files do not give one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The first line is not the one of this format.
    Magic,
    /// A line (number from 1) that is none of the known ones.
    Line(usize, String),
    /// A module that is needed (second) by one that is listed (first) but is not listed itself.
    Missing(String, String),
    /// A module that was asked for is not in modules.dep.
    Unknown(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(f, "module index does not start with {MAGIC:?}"),
            Self::Line(number, line) => {
                write!(f, "module index line {number}: cannot read {line:?}")
            }
            Self::Missing(module, needs) => {
                write!(f, "module {module} needs {needs}, which is not listed")
            }
            Self::Unknown(module) => write!(f, "no module {module} in modules.dep"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "check the name; modules built into the kernel need not be listed",
            _ => "build the image again: initrd and init must come from one version",
        }
    }
}

/// The kernel's name of a module for a file name or an alias target: `_` for `-`, no directory, no `.ko*`.
pub fn normalise(name: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

fn bus(alias: &str) -> &str {
    alias.split(':').next().unwrap_or(alias)
}

impl Index {
    /// Makes the index of the modules `wanted` and all they need, out of the texts of depmod's `modules.dep`,
    /// `modules.alias` and `modules.softdep`.
    ///
    /// Soft dependencies that are not in `wanted` are not pulled in.
    pub fn from_depmod(
        dep: &str,
        alias: &str,
        softdep: &str,
        wanted: &[&str],
    ) -> Result<Self, Error> {
        let graph: HashMap<String, Vec<String>> = dep
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| {
                (
                    normalise(file),
                    needs.split_whitespace().map(normalise).collect(),
                )
            })
            .collect();
        let mut index = Self::default();
        let mut queue: Vec<String> = wanted.iter().map(|name| normalise(name)).collect();
        while let Some(name) = queue.pop() {
            if index.modules.contains_key(&name) {
                continue;
            }
            let needs = graph
                .get(&name)
                .ok_or_else(|| Error::Unknown(name.clone()))?
                .clone();
            queue.extend(needs.iter().cloned());
            index.modules.insert(
                name,
                Module {
                    needs,
                    wants: Vec::new(),
                },
            );
        }
        for line in softdep
            .lines()
            .filter_map(|line| line.strip_prefix("softdep "))
        {
            let mut words = line.split_whitespace();
            let name = words.next().map(normalise).unwrap_or_default();
            let before: Vec<String> = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:")
                .map(normalise)
                .collect();
            let present: Vec<String> = before
                .into_iter()
                .filter(|want| index.modules.contains_key(want))
                .collect();
            if let Some(module) = index.modules.get_mut(&name) {
                module.wants.extend(present);
            }
        }
        for line in alias.lines().filter_map(|line| line.strip_prefix("alias ")) {
            if let Some((pattern, module)) = line.rsplit_once(' ')
                && !pattern.contains(char::is_whitespace)
                && index.modules.contains_key(&normalise(module))
            {
                index.add_alias(pattern, &normalise(module));
            }
        }
        Ok(index)
    }

    fn add_alias(&mut self, pattern: &str, module: &str) {
        let bus = bus(pattern);
        let line = [pattern, " ", module, "\n"];
        match self.aliases.get_mut(bus) {
            Some(lines) => lines.extend(line),
            None => {
                self.aliases.insert(bus.into(), line.concat());
            }
        }
    }

    /// Says where the whole module is when the initramfs has it changed: a path below `/usr/lib/modules/RELEASE`.
    pub fn set_whole(&mut self, name: &str, path: &str) {
        self.whole.insert(name.into(), path.into());
    }

    /// Where the module is as it was signed, if that is not in the initramfs.
    pub fn whole(&self, name: &str) -> Option<&str> {
        self.whole.get(name).map(String::as_str)
    }

    /// The text of the index file; the same index always gives the same text.
    pub fn encode(&self) -> String {
        let mut text = format!("{MAGIC}\n");
        for (name, module) in &self.modules {
            for (key, list) in [('m', &module.needs), ('s', &module.wants)] {
                if key == 'm' || !list.is_empty() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{key} {name}");
                    list.iter().for_each(|item| text.extend([" ", item]));
                    text.push('\n');
                }
            }
        }
        for (name, path) in &self.whole {
            text.extend(["w ", name, " ", path, "\n"]);
        }
        for line in self.aliases.values().flat_map(|lines| lines.lines()) {
            text.extend(["a ", line, "\n"]);
        }
        text
    }

    /// Reads the text of the index file.
    pub fn decode(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(MAGIC) {
            return Err(Error::Magic);
        }
        let mut index = Self::default();
        for (number, line) in lines {
            let wrong = || Error::Line(number + 1, line.into());
            let mut words = line.split(' ');
            let (Some(key), Some(name)) =
                (words.next(), words.next().filter(|name| !name.is_empty()))
            else {
                return Err(wrong());
            };
            match key {
                "m" => {
                    index.modules.entry(name.into()).or_default().needs =
                        words.map(String::from).collect()
                }
                "s" => {
                    index.modules.entry(name.into()).or_default().wants =
                        words.map(String::from).collect()
                }
                "a" | "w" => {
                    let second = words
                        .next()
                        .filter(|_| words.next().is_none())
                        .ok_or_else(wrong)?;
                    if key == "a" {
                        index.add_alias(name, second);
                    } else {
                        index.set_whole(name, second);
                    }
                }
                _ => return Err(wrong()),
            }
        }
        for (name, module) in &index.modules {
            if let Some(missing) = module
                .needs
                .iter()
                .find(|needs| !index.modules.contains_key(*needs))
            {
                return Err(Error::Missing(name.clone(), missing.clone()));
            }
        }
        Ok(index)
    }

    /// Names of all modules, sorted: the files the initramfs must hold.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    /// Whether the initramfs has the module.
    pub fn has(&self, name: &str) -> bool {
        self.modules.contains_key(name)
    }

    /// The modules a device with this modalias asks for. A plain module name matches itself, as with modprobe.
    pub fn find(&self, modalias: &str) -> BTreeSet<&str> {
        let listed = |key: &str| {
            let lines = self.aliases.get(key).map(|lines| lines.lines());
            lines
                .into_iter()
                .flatten()
                .filter_map(|line| line.split_once(' '))
        };
        let mut found: BTreeSet<&str> = listed(bus(modalias))
            .chain(listed("*"))
            .filter(|(pattern, _)| glob::matches(pattern, modalias))
            .map(|(_, module)| module)
            .collect();
        let name = normalise(modalias);
        if let Some((name, _)) = self.modules.get_key_value(&name) {
            found.insert(name);
        }
        found
    }

    /// The modules to load for `name`, in order, itself last; none if it is not listed.
    pub fn load_order(&self, name: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.visit(name, &mut BTreeSet::new(), &mut order);
        order
    }

    fn visit<'a>(&'a self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
        let Some((name, module)) = self.modules.get_key_value(name) else {
            return;
        };
        // Seen before its own dependencies: a circle ends here.
        if seen.insert(name) {
            module
                .wants
                .iter()
                .chain(&module.needs)
                .for_each(|before| self.visit(before, seen, order));
            order.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEP: &str = "\
kernel/drivers/md/dm-verity.ko.xz: kernel/drivers/md/dm-bufio.ko.xz kernel/drivers/md/dm-mod.ko.xz
kernel/drivers/md/dm-bufio.ko.xz: kernel/drivers/md/dm-mod.ko.xz
kernel/drivers/md/dm-mod.ko.xz:
kernel/drivers/block/virtio_blk.ko:
kernel/drivers/net/e1000.ko.xz:
kernel/crypto/crc32c_generic.ko:
";
    const ALIAS: &str = "\
# comment
alias virtio:d00000002v* virtio_blk
alias pci:v00008086d* e1000
alias crypto-crc32c crc32c-generic
alias dm-target-verity dm-verity
";

    fn index() -> Index {
        let soft = "softdep dm_verity pre: crc32c-generic nothing post: e1000\nsoftdep e1000 pre: virtio_blk\n";
        Index::from_depmod(
            DEP,
            ALIAS,
            soft,
            &["dm-verity", "virtio_blk", "crc32c_generic"],
        )
        .unwrap()
    }

    #[test]
    fn built_from_depmod() {
        let mut index = index();
        index.set_whole("virtio_blk", "kernel/drivers/block/virtio_blk.ko");
        assert_eq!(index.whole("dm_mod"), None);
        insta::assert_snapshot!(index.encode(), @r"
        holdfast-modules 1
        m crc32c_generic
        m dm_bufio dm_mod
        m dm_mod
        m dm_verity dm_bufio dm_mod
        s dm_verity crc32c_generic
        m virtio_blk
        w virtio_blk kernel/drivers/block/virtio_blk.ko
        a crypto-crc32c crc32c_generic
        a dm-target-verity dm_verity
        a virtio:d00000002v* virtio_blk
        ");
        let unknown = Index::from_depmod(DEP, "", "", &["nvme"]);
        assert_eq!(unknown, Err(Error::Unknown("nvme".into())));
    }

    #[test]
    fn finds_and_orders() {
        let index = index();
        assert_eq!(
            index.find("virtio:d00000002v00001AF4"),
            ["virtio_blk"].into()
        );
        assert_eq!(index.find("pci:v00008086d0000100E"), [].into());
        assert_eq!(index.find("crypto-crc32c"), ["crc32c_generic"].into());
        assert_eq!(index.find("dm-verity"), ["dm_verity"].into());
        assert_eq!(
            index.load_order("dm_verity"),
            ["crc32c_generic", "dm_mod", "dm_bufio", "dm_verity"]
        );
        assert!(index.load_order("e1000").is_empty());
    }

    #[test]
    fn circles_end() {
        let index = Index::decode("holdfast-modules 1\nm a b\nm b a\n").unwrap();
        assert_eq!(index.load_order("a"), ["b", "a"]);
    }

    #[test]
    fn wrong_texts_are_refused() {
        assert_eq!(Index::decode(""), Err(Error::Magic));
        for line in ["x y", "m", "a only", "a p m extra", ""] {
            let text = format!("{MAGIC}\n{line}\n");
            assert_eq!(
                Index::decode(&text),
                Err(Error::Line(2, line.into())),
                "{line}"
            );
        }
        assert_eq!(
            Index::decode("holdfast-modules 1\nm a b\n"),
            Err(Error::Missing("a".into(), "b".into()))
        );
    }

    proptest! {
        #[test]
        fn decoding_never_panics(text in ".{0,200}", lines in "([msaw] [a-c:*]{0,3}( [a-c]){0,3}\n){0,8}") {
            let _ = Index::decode(&text);
            if let Ok(index) = Index::decode(&format!("{MAGIC}\n{lines}")) {
                let _ = index.load_order("a");
                let _ = index.find("a:b");
                prop_assert_eq!(Index::decode(&index.encode()).unwrap(), index);
            }
        }
    }
}
