//! Configuration: `raw` (what one file says) -> `merged` (which file wins, key by
//! key) -> [`Config`] (checked).
//!
//! Files: every `*.yaml` of `/usr/lib/holdfast/update.d`, `/etc/holdfast/update.d`
//! and `/run/holdfast/update.d`. They are read in the order of their names; for each
//! key the last file that has it wins. Of files with the same name only one counts:
//! that below /run before that below /etc before that below /usr/lib. An empty file
//! or a link to /dev/null therefore masks. CoreOS's `/etc/coreos/update.conf` and
//! Flatcar's `/etc/flatcar/update.conf` are read as if they were drop-ins named
//! `50-update.conf`.
//!
//! | key | value | default |
//! |---|---|---|
//! | `enabled` | `true`, `false`: look for releases and install them | `true` |
//! | `servers` | list of repositories, tried in order: `https://`, `http://`, `file://` | none |
//! | `channel` | `stable` | `stable` |
//! | `pin` | the only version to run, whatever the channel offers; `none` | `none` |
//! | `group` | who shares a rollout and a reboot lock | `default` |
//! | `poll-interval` | `45m`; 1 min to 7 days | `45m` |
//! | `stale-after` | how long no repository may answer before status and metrics tell; 1 h to 365 days; `none` | `7d` |
//! | `rate-limit` | bytes per second: `512KiB`, `10MiB`; `none` | `none` |
//! | `proxy` | URL; `none` | `none` |
//! | `health-timeout` | longest wait for a healthy boot; 10 s to 1 day | `10m` |
//! | `health-check-timeout` | the same for one check | `1m` |
//! | `reboot-strategy` | `reboot`, `best-effort`, `etcd-lock`, `fleet-lock`, `off` | `reboot` |
//! | `reboot-windows` | list of windows; none: any time | none |
//! | `reboot-warning` | how long before a reboot users who are logged in are told; up to 1 day | `5m` |
//!
//! A window has `days` (list of `mon`..`sun`, or `daily`; default `daily`), `start`
//! (`HH:MM`), `length` (`1m` to `7d`) and `zone` (IANA name; default `UTC`). See
//! [`Window`] for what daylight saving time does to it.
//!
//! **What is wrong is refused and told, with file, line and column, and nothing is
//! done that a right file might have forbidden:** with any problem no reboot is made
//! without an operator, updates stay staged. When a file cannot be read at all, or
//! its `enabled` or `pin` is wrong, nothing is fetched either, for it might have said so.

mod files;
mod legacy;
mod merged;
mod problem;
mod raw;
mod text;
mod valid;
mod window;

use std::path::Path;

pub use merged::{Key, Merged};
pub use problem::{Problem, Spot};
pub use raw::{Entry, Raw, Value};
pub(crate) use text::{duration, in_words, size_in_words};
pub use valid::{Config, NAME_RULE, Strategy, is_name};
pub(crate) use window::opening;
pub use window::{Opening, Window};

/// A configuration as it is to be used, and everything that was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// To be used; already made harmless where something was wrong.
    pub config: Config,
    /// What was wrong. Not empty: no reboot without an operator.
    pub problems: Vec<Problem>,
}

/// Reads the configuration of the system below `root` (`/` on a running machine).
pub fn load(root: &Path) -> Loaded {
    let (files, mut problems) = files::collect(root);
    // What cannot be read might have said `enabled: false`.
    let mut whole = problems.is_empty();
    let mut raws = Vec::new();
    for file in files {
        let parsed = match file.kind {
            files::Kind::Yaml => raw::parse(&file.path, &file.text),
            files::Kind::Legacy => legacy::parse(&file.path, &file.text, &mut problems),
        };
        match parsed {
            Ok(raw) => raws.push(raw),
            Err(problem) => {
                whole = false;
                problems.push(problem);
            }
        }
    }
    let merged = Merged::from_files(raws, &mut problems);
    let mut config = Config::from_merged(&merged, &mut problems);
    config.enabled &= whole;
    Loaded { config, problems }
}

#[cfg(test)]
mod tests;
