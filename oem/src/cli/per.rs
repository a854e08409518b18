//! `cloud-init-per FREQUENCY NAME CMD [ARG..]`: what scripts of cloud-init's users call to
//! do something once. The image has a link of that name to this program.

use super::stage;
use crate::error::{Context as _, Error, Result};
use crate::metadata::{INSTANCES, Metadata, instance_name, is_plain};
use crate::plan::{ONCE, instance_marks};
use crate::root::{Found, Root, SystemView as _};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

/// Name of the link.
pub const NAME: &str = "cloud-init-per";
const USAGE: &str = "cloud-init-per once|instance|always NAME CMD [ARG..]";

/// Runs it with what follows its name. The exit status is that of the command, and 0
/// when it is not to run again.
///
/// # Errors
/// The arguments are wrong, or the command cannot be run or remembered.
pub fn run(args: impl Iterator<Item = OsString>) -> Result<u8> {
    let root = Root::open(Path::new("/"))?;
    let args: Vec<OsString> = args.collect();
    // In a program of user-data it is there; by hand it is the instance of this boot.
    let id = std::env::var("INSTANCE_ID")
        .ok()
        .filter(|id| !id.is_empty());
    let marks = || match id {
        Some(id) => Ok(format!("{INSTANCES}/{}/done", instance_name(&id))),
        None => {
            let fetched = stage::last(&root)?;
            let metadata = fetched.map_or_else(Metadata::default, |f| f.metadata);
            Ok(instance_marks(&metadata, &root))
        }
    };
    per(&root, &args, marks)
}

fn per(root: &Root, args: &[OsString], marks: impl FnOnce() -> Result<String>) -> Result<u8> {
    let usage = |what: &str| Error::usage(what).hint(USAGE);
    let [frequency, name, program, rest @ ..] = args else {
        return Err(usage("a frequency, a name and a command are needed"));
    };
    let name = name.to_str().filter(|n| is_plain(n));
    let name =
        name.ok_or_else(|| usage("the name must be of letters, digits, `-`, `_` and `.`"))?;
    let dir = match frequency.to_str() {
        Some("once") => Some(ONCE.to_owned()),
        Some("instance") => Some(marks()?),
        Some("always") => None,
        _ => return Err(usage("the frequency is once, instance or always")),
    };
    let mark = dir.as_ref().map(|dir| format!("{dir}/per-{name}"));
    if let Some(mark) = &mark
        && root.look(mark)? != Found::Missing
    {
        return Ok(0);
    }
    let status = Command::new(program)
        .args(rest)
        .status()
        .environment(|| format!("cannot run {}", program.display()))?;
    // As cloud-init does: what failed, or was cut short, is run again next time.
    if let (true, Some(dir), Some(mark)) = (status.success(), dir, mark) {
        root.make_dir(&dir, 0o700, Some((0, 0)))?;
        root.write(&mark, b"", 0o600, Some((0, 0)))?;
    }
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    let code = status.code().unwrap_or_else(signal);
    Ok(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn commands_run_as_often_as_they_are_to() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        let log = temp.path().join("log");
        let run = |frequency: &str, instance: &str, code: u8| {
            let script = format!("echo >> {}; exit {code}", log.display());
            let args = [frequency, "a-1", "sh", "-c", &script].map(OsString::from);
            let marks = || Ok(format!("{INSTANCES}/{instance}/done"));
            let status = per(&root, &args, marks).unwrap();
            let times = fs::read_to_string(&log).unwrap_or_default().lines().count();
            (status, times)
        };
        // Until it succeeds, and then not again.
        assert_eq!(run("once", "i-1", 3), (3, 1));
        assert_eq!(run("once", "i-1", 0), (0, 2));
        assert_eq!(run("once", "i-2", 3), (0, 2));
        assert_eq!(run("instance", "i-1", 0), (0, 3));
        assert_eq!(run("instance", "i-1", 0), (0, 3));
        assert_eq!(run("instance", "i-2", 0), (0, 4));
        assert_eq!(run("always", "i-2", 0), (0, 5));
        assert_eq!(run("always", "i-2", 0), (0, 6));
    }

    #[test]
    fn wrong_arguments_are_told() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        for args in [
            &["once", "a"][..],
            &["daily", "a", "true"],
            &["once", "../a", "true"],
            &["once", "a", "/nothing/there"],
        ] {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let e = per(&root, &args, || Ok(String::new())).unwrap_err();
            assert!(!e.chain().is_empty());
        }
        assert!(!temp.path().join("var").exists());
    }
}
