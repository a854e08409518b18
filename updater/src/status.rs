//! What is booted: read from the kernel command line and os-release.

use std::io;
use std::path::Path;

use serde::Serialize;

/// The booted release, as far as a machine can tell without its ESP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booted {
    /// `IMAGE_VERSION` of `/usr/lib/os-release`.
    pub version: Option<String>,
    /// Root hash of the verified /usr (`usrhash=` of the kernel command line).
    pub usr_hash: Option<String>,
}

impl Booted {
    /// Reads the state below `root` (`/` on a running machine).
    pub fn read(root: &Path) -> io::Result<Self> {
        let cmdline = std::fs::read_to_string(root.join("proc/cmdline"))?;
        let release = std::fs::read_to_string(root.join("usr/lib/os-release"))?;
        Ok(Self::parse(&cmdline, &release))
    }

    fn parse(cmdline: &str, os_release: &str) -> Self {
        Booted {
            version: os_release
                .lines()
                .find_map(|l| l.strip_prefix("IMAGE_VERSION="))
                .map(|v| v.trim_matches(['"', '\'']).to_owned()),
            usr_hash: usr_hash(cmdline),
        }
    }
}

/// The last `usrhash=` of a kernel command line: the one `init` takes.
pub fn usr_hash(cmdline: &str) -> Option<String> {
    let words = cmdline.split_ascii_whitespace();
    let mut hashes = words.filter_map(|w| w.strip_prefix("usrhash="));
    hashes.next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_version_and_hash() {
        let booted = Booted::parse(
            "quiet usrhash=aa usrhash=bb x",
            "ID=holdfast\nIMAGE_VERSION=\"7\"\n",
        );
        assert_eq!(
            booted,
            Booted {
                version: Some("7".into()),
                usr_hash: Some("bb".into())
            }
        );
        assert_eq!(
            Booted::parse("", ""),
            Booted {
                version: None,
                usr_hash: None
            }
        );
    }
}
