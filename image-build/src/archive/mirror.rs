//! Where the archive is. Never a built-in host: a flag, the environment, or the
//! host's own apt configuration (`sources.list(5)`, both formats).

use std::fs;
use std::path::{Path, PathBuf};

use deb822_fast::Deb822;

use super::lock::Pocket;
use crate::error::{Error, Result};

/// Base URLs of the two trees of a Debian archive, without a trailing slash:
/// `http://`, `https://`, or `file://` and plain absolute paths for a copy on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// Tree of the suite and `SUITE-updates`.
    pub main: String,
    /// Tree of `SUITE-security`.
    pub security: String,
    /// OpenPGP certificates that may sign lists, beside Debian's: those of a private
    /// mirror that signs its own.
    pub keyring: Option<PathBuf>,
}

impl Mirrors {
    /// `--mirror`, `--security-mirror` and `--keyring`, else `HOLDFAST_MIRROR`,
    /// `HOLDFAST_SECURITY_MIRROR` and `HOLDFAST_KEYRING`, else the host's apt
    /// configuration and Debian's keys alone.
    pub fn discover(
        main: Option<&str>,
        security: Option<&str>,
        keyring: Option<&Path>,
    ) -> Result<Self> {
        let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let mut mirrors = Self::discover_in(
            main.map(String::from).or_else(|| env("HOLDFAST_MIRROR")),
            security
                .map(String::from)
                .or_else(|| env("HOLDFAST_SECURITY_MIRROR")),
            Path::new("/"),
        )?;
        mirrors.keyring = keyring
            .map(Path::to_path_buf)
            .or_else(|| env("HOLDFAST_KEYRING").map(PathBuf::from));
        Ok(mirrors)
    }

    /// The trees alone, with the apt configuration below `root`.
    pub fn discover_in(
        main: Option<String>,
        security: Option<String>,
        root: &Path,
    ) -> Result<Self> {
        if let Some(main) = main {
            let main = checked(&main)?;
            let security = match security {
                Some(security) => checked(&security)?,
                None => sibling(&main).ok_or_else(|| {
                    Error::usage(format!(
                        "{} does not end in /debian, so its security tree is unknown",
                        redact(&main)
                    ))
                    .hint("give it with --security-mirror URL or HOLDFAST_SECURITY_MIRROR")
                })?,
            };
            return Ok(Mirrors {
                main,
                security,
                keyring: None,
            });
        }
        let found = apt_sources(root);
        let Some(main) = best(&found, false) else {
            return Err(Error::usage("no Debian mirror is known")
                .hint("give one with --mirror URL or HOLDFAST_MIRROR (on Debian the apt configuration is used)"));
        };
        let security = match security {
            Some(security) => checked(&security)?,
            None => best(&found, true)
                .or_else(|| sibling(&main))
                .ok_or_else(|| {
                    Error::usage(format!(
                        "the apt configuration names {} but no security tree",
                        redact(&main)
                    ))
                    .hint("give it with --security-mirror URL or HOLDFAST_SECURITY_MIRROR")
                })?,
        };
        Ok(Mirrors {
            main,
            security,
            keyring: None,
        })
    }

    /// Base URL of a pocket.
    pub fn base(&self, pocket: Pocket) -> &str {
        match pocket {
            Pocket::Main | Pocket::Updates => &self.main,
            Pocket::Security => &self.security,
        }
    }

    /// URL of a file below a pocket's base.
    pub(crate) fn url(&self, pocket: Pocket, path: &str) -> String {
        format!("{}/{path}", self.base(pocket))
    }
}

/// One usable entry of the apt configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    url: String,
    security: bool,
    /// Lower is more surely Debian itself and not a third party's archive.
    rank: u8,
}

/// The URL without user name and password, for messages.
pub(crate) fn redact(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            match host.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}/{path}"),
                None => url.to_string(),
            }
        }
        None => url.to_string(),
    }
}

fn checked(url: &str) -> Result<String> {
    let url = url.trim().trim_end_matches('/');
    let known = ["http://", "https://", "file://"]
        .iter()
        .any(|s| url.len() > s.len() && url.starts_with(s));
    if known || url.starts_with('/') {
        return Ok(url.to_string());
    }
    if let Some(path) = url.strip_prefix("file:") {
        return Ok(path.to_string());
    }
    Err(Error::usage(format!("`{}` is not a mirror", redact(url)))
        .hint("use http://, https://, file:// or an absolute path, for example the URL in /etc/apt/sources.list"))
}

fn sibling(main: &str) -> Option<String> {
    main.strip_suffix("/debian")
        .map(|base| format!("{base}/debian-security"))
}

fn best(found: &[Source], security: bool) -> Option<String> {
    found
        .iter()
        .filter(|s| s.security == security)
        .min_by_key(|s| s.rank)
        .map(|s| s.url.clone())
}

/// All Debian entries of the apt configuration below `root`. Files that cannot
/// be read or parsed are skipped: apt's own complaints are not ours to repeat.
fn apt_sources(root: &Path) -> Vec<Source> {
    let apt = root.join("etc/apt");
    let mut files = vec![apt.join("sources.list")];
    if let Ok(dir) = fs::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = dir.flatten().map(|e| e.path()).collect();
        more.sort();
        files.extend(more);
    }
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|e| e.to_str()) {
            Some("list") => one_line(&text, root, &mut found),
            Some("sources") => deb822(&text, root, &mut found),
            _ => {}
        }
    }
    found
}

/// `deb [option=value ...] uri suite component...`
fn one_line(text: &str, root: &Path, found: &mut Vec<Source>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some(rest) = line
            .strip_prefix("deb")
            .filter(|r| r.starts_with([' ', '\t', '[']))
        else {
            continue;
        };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
            continue;
        };
        let components: Vec<&str> = words.collect();
        add(&[uri], &[suite], &components, options, root, found);
    }
}

/// Stanzas of `Types`, `URIs`, `Suites`, `Components`.
fn deb822(text: &str, root: &Path, found: &mut Vec<Source>) {
    let Ok(document) = text.parse::<Deb822>() else {
        return;
    };
    for stanza in document.iter() {
        let words = |name: &str| -> Vec<&str> {
            stanza.get(name).unwrap_or("").split_whitespace().collect()
        };
        let enabled = stanza
            .get("Enabled")
            .unwrap_or("yes")
            .trim()
            .to_ascii_lowercase();
        if matches!(
            enabled.as_str(),
            "no" | "false" | "0" | "off" | "without" | "disable"
        ) {
            continue;
        }
        if words("Types").contains(&"deb") {
            let signed_by = stanza.get("Signed-By").unwrap_or("");
            add(
                &words("URIs"),
                &words("Suites"),
                &words("Components"),
                signed_by,
                root,
                found,
            );
        }
    }
}

fn add(
    uris: &[&str],
    suites: &[&str],
    components: &[&str],
    options: &str,
    root: &Path,
    found: &mut Vec<Source>,
) {
    if !components.contains(&"main") {
        return;
    }
    for uri in uris {
        let Some(url) = resolve_uri(uri, root) else {
            continue;
        };
        for suite in suites {
            let Some(security) = debian_suite(suite) else {
                continue;
            };
            let ours = url.ends_with("/debian")
                || url.ends_with("/debian-security")
                || options.contains("debian-archive");
            found.push(Source {
                url: url.clone(),
                security,
                rank: u8::from(!ours),
            });
        }
    }
}

/// `mirror+file:` points at a list of URLs (Debian's cloud images use it). Other
/// methods (cdrom, tor, ftp) cannot be used here.
fn resolve_uri(uri: &str, root: &Path) -> Option<String> {
    if let Some(path) = uri.strip_prefix("mirror+file:") {
        let path = path.trim_start_matches('/');
        let list = fs::read_to_string(root.join(path)).ok()?;
        let first = list
            .lines()
            .map(|l| l.split('#').next().unwrap_or("").trim())
            .find(|l| !l.is_empty())?;
        return checked(first.split_whitespace().next()?).ok();
    }
    checked(uri).ok()
}

/// `Some(is_security)` for suite names that Debian uses.
fn debian_suite(suite: &str) -> Option<bool> {
    const NAMES: [&str; 12] = [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "unstable",
        "testing",
        "stable",
        "oldstable",
        "oldoldstable",
        "buster",
    ];
    let suite = suite.trim_end_matches('/');
    let (name, pocket) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
    if !NAMES.contains(&name) {
        return None;
    }
    match pocket {
        "" | "updates" if suite.contains('/') => Some(true),
        "" | "updates" | "backports" | "proposed-updates" => Some(false),
        "security" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn found(files: &[(&str, &str)]) -> Result<Mirrors> {
        Mirrors::discover_in(None, None, host(files).path())
    }

    #[test]
    fn flag_gives_the_sibling_security_tree() {
        let m = Mirrors::discover_in(
            Some("http://m.example/debian/".into()),
            None,
            Path::new("/nonexistent"),
        )
        .unwrap();
        assert_eq!(m.main, "http://m.example/debian");
        assert_eq!(m.security, "http://m.example/debian-security");
        let e = Mirrors::discover_in(
            Some("http://m.example/x".into()),
            None,
            Path::new("/nonexistent"),
        )
        .unwrap_err();
        assert!(e.hint_text().unwrap().contains("HOLDFAST_SECURITY_MIRROR"));
        let e = Mirrors::discover_in(Some("m.example".into()), None, Path::new("/nonexistent"))
            .unwrap_err();
        assert!(e.to_string().contains("not a mirror"));
    }

    #[test]
    fn one_line_format() {
        let m = found(&[(
            "etc/apt/sources.list",
            "# deb http://old.example/debian trixie main\n\
             deb cdrom:[Debian 13]/ trixie main\n\
             deb-src http://src.example/debian trixie main\n\
             deb [arch=amd64 signed-by=/x.gpg] https://third.example/php trixie main\n\
             deb [ arch=amd64 ] https://m.example/debian/ trixie main contrib # note\n\
             deb http://m.example/debian-security trixie-security main\n",
        )])
        .unwrap();
        assert_eq!(m.main, "https://m.example/debian");
        assert_eq!(m.security, "http://m.example/debian-security");
    }

    #[test]
    fn deb822_format_with_comments_and_disabled() {
        let m = found(&[
            ("etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: http://no.example/debian\nSuites: trixie\nComponents: main\nEnabled: no\n"),
            ("etc/apt/sources.list.d/b.sources.disabled", "Types: deb\nURIs: http://no.example/debian\nSuites: trixie\nComponents: main\n"),
            ("etc/apt/sources.list.d/debian.sources",
             "# header\nTypes: deb deb-src\n# a comment\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\nComponents: main\n"),
        ])
        .unwrap();
        assert_eq!(m.main, "http://m.example/debian");
        assert_eq!(m.security, "http://s.example/debian-security");
    }

    #[test]
    fn mirror_list_and_third_parties() {
        let m = found(&[
            ("etc/apt/mirrors/debian.list", "# comment\nhttps://cloud.example/debian\tpriority:1\n"),
            ("etc/apt/mirrors/debian-security.list", "https://cloud.example/debian-security\n"),
            ("etc/apt/sources.list.d/a.list", "deb https://tools.example bookworm main\ndeb https://d.example/linux/debian bookworm stable\n"),
            ("etc/apt/sources.list.d/debian.sources",
             "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie trixie-updates\nComponents: main\n\nTypes: deb\nURIs: mirror+file:///etc/apt/mirrors/debian-security.list\nSuites: trixie-security\nComponents: main\n"),
        ])
        .unwrap();
        assert_eq!(m.main, "https://cloud.example/debian");
        assert_eq!(m.security, "https://cloud.example/debian-security");
    }

    #[test]
    fn other_hosts_get_a_hint() {
        let e = found(&[(
            "etc/apt/sources.list",
            "deb http://u.example/ubuntu noble main\n",
        )])
        .unwrap_err();
        assert!(e.hint_text().unwrap().contains("--mirror"));
        assert!(found(&[]).is_err());
    }

    #[test]
    fn passwords_stay_out_of_messages() {
        assert_eq!(
            redact("https://u:p@h.example/debian"),
            "https://***@h.example/debian"
        );
        assert_eq!(redact("/srv/debian"), "/srv/debian");
    }
}
