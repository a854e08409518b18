//! `Release` files: which indexes a suite has, with their hashes, and how long
//! that is true. Only text that [`Trust`](super::trust::Trust) verified gets here.

use std::collections::HashMap;

use super::date;
use super::lock::Pocket;
use crate::error::{Error, Result};

/// Fields of a `Release` file that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, for example `stable-security`.
    pub suite: String,
    /// `Codename`, for example `trixie-security`.
    pub codename: String,
    /// `Date`, seconds since the epoch.
    pub date: i64,
    /// `Valid-Until`, seconds since the epoch.
    pub valid_until: Option<i64>,
    /// `Acquire-By-Hash`.
    pub by_hash: bool,
    /// `SHA256`: path below the suite's directory -> index.
    files: HashMap<String, Index>,
}

/// Size and hash of an index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// `trixie`, `trixie-updates`, `trixie-security`.
pub(crate) fn suite_name(suite: &str, pocket: Pocket) -> String {
    match pocket {
        Pocket::Main => suite.to_string(),
        Pocket::Updates => format!("{suite}-updates"),
        Pocket::Security => format!("{suite}-security"),
    }
}

/// 64 lower-case hexadecimal digits: safe as a file name and in a URL.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Release {
    /// Reads the verified text. `name` is for messages.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::refused(format!("{name} {what}"))
                .hint("this does not look like a Debian mirror; try another one")
        };
        let (mut suite, mut codename, mut made, mut until) =
            (String::new(), String::new(), None, None);
        let mut by_hash = false;
        let mut files = HashMap::new();
        let mut section = "";
        for line in text.lines() {
            if line.starts_with(' ') {
                if section == "SHA256" {
                    let mut words = line.split_whitespace();
                    let (Some(sha256), Some(size), Some(path)) =
                        (words.next(), words.next(), words.next())
                    else {
                        return Err(wrong("has a broken SHA256 line"));
                    };
                    let size = size.parse().ok().filter(|_| is_sha256(sha256));
                    let size = size.ok_or_else(|| wrong("has a broken SHA256 line"))?;
                    files.insert(
                        path.to_string(),
                        Index {
                            size,
                            sha256: sha256.to_string(),
                        },
                    );
                }
                continue;
            }
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            section = key;
            let time = || {
                date::parse(value)
                    .ok_or_else(|| wrong(&format!("has an unreadable {key} (`{value}`)")))
            };
            match key {
                "Suite" => suite = value.to_string(),
                "Codename" => codename = value.to_string(),
                "Date" => made = Some(time()?),
                "Valid-Until" => until = Some(time()?),
                "Acquire-By-Hash" => by_hash = value == "yes",
                _ => {}
            }
        }
        let date = made.ok_or_else(|| wrong("has no Date"))?;
        Ok(Release {
            suite,
            codename,
            date,
            valid_until: until,
            by_hash,
            files,
        })
    }

    /// Refuses a file of another suite, from the future or past `Valid-Until`.
    pub fn check(&self, name: &str, expected: &str, now: i64) -> Result<()> {
        if self.codename != expected && self.suite != expected {
            return Err(Error::refused(format!(
                "{name} is for suite `{}` (`{}`), not `{expected}`",
                self.codename, self.suite
            ))
            .hint("the mirror serves the wrong files for this suite; try another mirror"));
        }
        if self.date > now + 3600 {
            return Err(Error::refused(format!(
                "{name} was made in the future ({})",
                date::format(self.date)
            ))
            .hint("check this machine's clock"));
        }
        if let Some(until) = self.valid_until.filter(|until| now > *until) {
            return Err(Error::refused(format!("{name} expired on {}", date::format(until)))
                .hint("the mirror is out of date (or this machine's clock is wrong); try another mirror"));
        }
        Ok(())
    }

    /// An index file by its path below the suite's directory.
    pub fn index(&self, path: &str) -> Option<&Index> {
        self.files.get(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text() -> String {
        format!(
            "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nValid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 00 1 main/binary-amd64/Packages.xz\nSHA256:\n {H}  12 main/binary-amd64/Packages.xz\n"
        )
    }

    #[test]
    fn parses_and_checks() {
        let r = Release::parse("x", &text()).unwrap();
        assert!(r.by_hash);
        assert_eq!(r.index("main/binary-amd64/Packages.xz").unwrap().size, 12);
        assert_eq!(r.index("main/binary-amd64/Packages.xz").unwrap().sha256, H);
        r.check("x", "trixie", r.date + 10).unwrap();
        r.check("x", "stable", r.date + 10).unwrap();
        assert!(
            r.check("x", "forky", r.date)
                .unwrap_err()
                .to_string()
                .contains("forky")
        );
        assert!(
            r.check("x", "trixie", r.date + 8 * 86400)
                .unwrap_err()
                .to_string()
                .contains("expired")
        );
        assert!(
            r.check("x", "trixie", r.date - 86400)
                .unwrap_err()
                .to_string()
                .contains("future")
        );
    }

    #[test]
    fn refuses_broken() {
        assert!(Release::parse("x", "").is_err());
        assert!(Release::parse("x", &text().replace("Sep", "Sop")).is_err());
        assert!(Release::parse("x", &text().replace(H, "../../etc/passwd")).is_err());
        assert!(Release::parse("x", &text().replace("  12 ", " -1 ")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(.{0,40}\n){0,8}") {
            let _ = Release::parse("x", &text);
        }
    }
}
