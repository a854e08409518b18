//! The kernel command line.
//!
//! Words are separated by white space; double quotes around a value or a whole word keep spaces, as in the kernel's own
//! parser. Where a key is given twice the last one counts. Keys treat `-` and `_` alike, as the kernel does.

use crate::gpt::Guid;

/// A parsed command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline {
    items: Vec<(String, Option<String>)>,
}

/// A command line value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    key: &'static str,
    value: String,
    want: &'static str,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "kernel command line: {}={:?} is not {}",
            self.key, self.value, self.want
        )
    }
}

impl std::error::Error for Error {}

/// The root hash of `/usr`: 64 hexadecimal digits, SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootHash(pub [u8; 32]);

impl RootHash {
    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// PARTUUIDs of the data and of the hash partition: the two ends of the hash (Discoverable Partitions Specification).
    pub fn partition_guids(&self) -> (Guid, Guid) {
        let half = |from: usize| Guid::from_bytes(std::array::from_fn(|at| self.0[from + at]));
        (half(0), half(16))
    }
}

impl std::fmt::Display for RootHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::verity::hex(&self.0))
    }
}

fn same_key(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .all(|(a, b)| a == b || matches!((a, b), (b'-', b'_') | (b'_', b'-')))
}

impl Cmdline {
    /// Splits a command line. Never fails: an open quote ends with the text.
    pub fn parse(text: &str) -> Self {
        let mut items = Vec::new();
        let mut word = String::new();
        let (mut quoted, mut started) = (false, false);
        let mut finish = |word: &mut String, started: &mut bool| {
            if std::mem::take(started) {
                let word = std::mem::take(word);
                items.push(match word.split_once('=') {
                    Some((key, value)) => (key.to_string(), Some(value.to_string())),
                    None => (word, None),
                });
            }
        };
        for c in text.chars() {
            match c {
                '"' => {
                    quoted = !quoted;
                    started = true;
                }
                c if c.is_whitespace() && !quoted => finish(&mut word, &mut started),
                c => {
                    word.push(c);
                    started = true;
                }
            }
        }
        finish(&mut word, &mut started);
        Self { items }
    }

    /// All items in order: key, and value if there was a `=`.
    pub fn items(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.items
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// All values of a key, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.items()
            .filter(move |(item, _)| same_key(item, key))
            .filter_map(|(_, value)| value)
    }

    /// The last value of a key.
    pub fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).last()
    }

    /// Whether the word is there, with or without a value.
    pub fn has(&self, key: &str) -> bool {
        self.items().any(|(item, _)| same_key(item, key))
    }

    /// A number of seconds.
    pub fn seconds(&self, key: &'static str) -> Result<Option<u64>, Error> {
        let parse = |value: &str| {
            let digits = value.strip_suffix('s').unwrap_or(value);
            digits.parse().map_err(|_| Error {
                key,
                value: value.into(),
                want: "a number of seconds",
            })
        };
        self.get(key).map(parse).transpose()
    }

    /// `panic=`: what the kernel would do, seconds until the reboot; negative: at once, 0: never.
    pub fn panic_timeout(&self) -> Option<i64> {
        self.get("panic")?.parse().ok()
    }

    /// The root hash: `usrhash=`.
    pub fn usrhash(&self) -> Result<Option<RootHash>, Error> {
        let parse = |value: &str| {
            RootHash::parse(value).ok_or_else(|| Error {
                key: "usrhash",
                value: value.into(),
                want: "64 hexadecimal digits",
            })
        };
        self.get("usrhash").map(parse).transpose()
    }

    /// Verity options to pass on, out of those `systemd.verity_usr_options=` takes: a known subset, one error per other.
    pub fn verity_options(&self) -> Result<Vec<&'static str>, Error> {
        const KNOWN: [(&str, &str); 5] = [
            ("restart-on-corruption", "restart_on_corruption"),
            ("panic-on-corruption", "panic_on_corruption"),
            ("ignore-zero-blocks", "ignore_zero_blocks"),
            ("check-at-most-once", "check_at_most_once"),
            ("root-hash-signature=auto", ""),
        ];
        let words = self.get("systemd.verity_usr_options").unwrap_or_default();
        let mut options = Vec::new();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let (_, option) = KNOWN.iter().find(|(name, _)| *name == word).ok_or_else(|| Error {
                key: "systemd.verity_usr_options",
                value: word.into(),
                want: "restart-on-corruption, panic-on-corruption, ignore-zero-blocks or check-at-most-once",
            })?;
            if !option.is_empty() {
                options.push(*option);
            }
        }
        Ok(options)
    }

    /// Modules that must not be loaded: `modprobe.blacklist=`, `rd.driver.blacklist=`, `module_blacklist=`.
    pub fn blacklist(&self) -> impl Iterator<Item = String> {
        [
            "modprobe.blacklist",
            "rd.driver.blacklist",
            "module_blacklist",
        ]
        .into_iter()
        .flat_map(|key| self.all(key))
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(crate::modules::normalise)
    }

    /// Modules to load whether a device asks for them or not: `rd.driver.pre=`, `rd.modules_force_load=`.
    pub fn forced_modules(&self) -> impl Iterator<Item = String> {
        ["rd.driver.pre", "rd.modules_force_load"]
            .into_iter()
            .flat_map(|key| self.all(key))
            .flat_map(|list| list.split(','))
            .filter(|name| !name.is_empty())
            .map(crate::modules::normalise)
    }

    /// Parameters for one module: every `MODULE.PARAMETER[=VALUE]`, as the kernel wants them in `finit_module`.
    pub fn module_parameters(&self, module: &str) -> String {
        let mut words = Vec::new();
        for (key, value) in self.items() {
            if let Some((name, parameter)) = key.split_once('.')
                && same_key(name, module)
                && !parameter.is_empty()
            {
                words.push(match value {
                    Some(value) if value.contains(char::is_whitespace) => {
                        format!("{parameter}=\"{value}\"")
                    }
                    Some(value) => format!("{parameter}={value}"),
                    None => parameter.to_string(),
                });
            }
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_and_last_value() {
        let line = Cmdline::parse("a=1 quiet \"b=x y\" c=\"p q\"z a=2\n d= \"\"");
        assert_eq!(line.get("a"), Some("2"));
        assert_eq!(line.get("b"), Some("x y"));
        assert_eq!(line.get("c"), Some("p qz"));
        assert_eq!(line.get("d"), Some(""));
        assert_eq!(line.get("quiet"), None);
        assert!(line.has("quiet") && !line.has("loud"));
        assert_eq!(Cmdline::parse("x=\"open end").get("x"), Some("open end"));
    }

    #[test]
    fn usrhash_and_its_partitions() {
        let hash = format!(
            "{}{}",
            "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
        );
        let found = Cmdline::parse(&format!("usrhash={hash}"))
            .usrhash()
            .unwrap()
            .unwrap();
        let (data, verity) = found.partition_guids();
        assert_eq!(data.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(verity.to_string(), "ffeeddcc-bbaa-9988-7766-554433221100");
        assert_eq!(found.to_string(), hash);
        assert_eq!(Cmdline::parse("x").usrhash(), Ok(None));
        assert!(
            Cmdline::parse("usrhash=12")
                .usrhash()
                .unwrap_err()
                .to_string()
                .contains("64 hexadecimal")
        );
    }

    #[test]
    fn modules() {
        let line = Cmdline::parse(
            "nvme_core.io_timeout=240 nvme-core.x libata.force=\"1:a 2:b\" .y=1 modprobe.blacklist=a-b,c",
        );
        assert_eq!(line.module_parameters("nvme_core"), "io_timeout=240 x");
        assert_eq!(line.module_parameters("libata"), "force=\"1:a 2:b\"");
        assert_eq!(line.module_parameters("nvme"), "");
        assert_eq!(line.blacklist().collect::<Vec<_>>(), ["a_b", "c"]);
    }

    #[test]
    fn numbers_and_options() {
        assert_eq!(
            Cmdline::parse("rd.timeout=5s").seconds("rd.timeout"),
            Ok(Some(5))
        );
        assert!(
            Cmdline::parse("rd.timeout=soon")
                .seconds("rd.timeout")
                .is_err()
        );
        assert_eq!(Cmdline::parse("panic=-1").panic_timeout(), Some(-1));
        let line =
            Cmdline::parse("systemd.verity_usr_options=panic-on-corruption,ignore-zero-blocks");
        assert_eq!(
            line.verity_options().unwrap(),
            ["panic_on_corruption", "ignore_zero_blocks"]
        );
        assert!(
            Cmdline::parse("systemd.verity_usr_options=ignore-corruption")
                .verity_options()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,200}") {
            let line = Cmdline::parse(&text);
            let _ = (line.usrhash(), line.seconds("a"), line.verity_options(), line.module_parameters("a"));
        }

        #[test]
        fn plain_words_come_back(words in prop::collection::vec(("[a-z.]{1,8}", "[a-z0-9=,]{0,8}"), 0..8)) {
            let text: Vec<String> = words.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let line = Cmdline::parse(&text.join(" "));
            let back: Vec<(String, String)> = line.items().map(|(k, v)| (k.to_string(), v.unwrap_or_default().to_string())).collect();
            prop_assert_eq!(back, words);
        }
    }
}
