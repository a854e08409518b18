//! Carries out a factory reset on the mounted root: [`crate::reset`].

use std::fs::{self, File};
use std::path::Path;

use super::failure::{Failure, OrFail};
use super::log;
use crate::reset::{Keep, LIST, prune};

/// Longest list that is read, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// Removes what is not kept from the file system at `target`. On return the disk has it. Without a whole list nothing is
/// removed: the machine keeps its state.
pub fn finish(target: &str) -> Result<(), Failure> {
    let root = Path::new(target);
    let list = root.join(LIST);
    let keep = match read(&list) {
        Ok(keep) => keep,
        Err(why) => {
            log::warning(&format!(
                "factory reset given up, everything is kept: {why}"
            ));
            return Ok(());
        }
    };
    log::critical("factory reset: removing all but what is kept");
    for (path, error) in prune(root, &keep) {
        log::warning(&format!("factory reset: {}: {error}", path.display()));
    }
    let remedy = "check the disk; the reset goes on at the next boot";
    let file = File::open(root).or_fail(target, remedy)?;
    nix::unistd::syncfs(&file).or_fail(target, remedy)?;
    log::critical("factory reset: done");
    Ok(())
}

/// The list has served. One that stays is not read again.
pub fn forget(target: &str) {
    let _ = fs::remove_file(Path::new(target).join(LIST));
}

fn read(list: &Path) -> Result<Keep, String> {
    let told = |error: std::io::Error| format!("{LIST}: {error}");
    let length = fs::symlink_metadata(list).map_err(told)?.len();
    if length > MAX_LIST {
        return Err(format!("{LIST} is too long"));
    }
    let text = fs::read_to_string(list).map_err(told)?;
    Keep::decode(&text).map_err(|error| format!("{LIST}: {error}"))
}
