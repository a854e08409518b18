//! Credentials of the machine (<https://systemd.io/CREDENTIALS/>): those of the unit that
//! runs this, those that systemd took from the firmware, the hypervisor or the kernel
//! command line, and those on the disk. What is encrypted only the machine itself can
//! read.

use crate::error::{Context as _, Error, Result};
use crate::root::{Found, Root, SystemView as _};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// In the order systemd looks.
const PLAIN: [&str; 4] = [
    "/run/credentials/@system",
    "/etc/credstore",
    "/run/credstore",
    "/usr/lib/credstore",
];
const ENCRYPTED: [&str; 4] = [
    "/run/credentials/@encrypted",
    "/etc/credstore.encrypted",
    "/run/credstore.encrypted",
    "/usr/lib/credstore.encrypted",
];
/// Largest credential, as systemd has it.
const MAX: u64 = 1 << 20;
const DECRYPT: &str = "/usr/bin/systemd-creds";
/// A slow TPM takes a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// The value of a credential.
pub(super) fn read(root: &Root, name: &str) -> Result<Vec<u8>> {
    let own = std::env::var("CREDENTIALS_DIRECTORY").ok();
    let own = own.filter(|dir| root.is_live() && dir.starts_with('/'));
    for dir in own.iter().map(String::as_str).chain(PLAIN) {
        let found = root.read(&format!("{dir}/{name}"));
        if let Some(value) = found.map_err(|e| unreadable(name, &e))? {
            return bounded(name, value);
        }
    }
    for dir in ENCRYPTED {
        let path = format!("{dir}/{name}");
        if !matches!(root.look(&path), Ok(Found::File { .. })) {
            continue;
        }
        if !root.is_live() {
            let what = format!("credential {name} is encrypted: only its machine can read it");
            return Err(Error::environment(what).hint("it is applied when that machine starts"));
        }
        let value = decrypt(Path::new(DECRYPT), &path, name, PATIENCE);
        return bounded(name, value.map_err(|e| unreadable(name, &e))?);
    }
    let what = format!("there is no credential {name:?} on this machine");
    Err(Error::input(what).hint(format!(
        "put it into /etc/credstore/{name} (mode 0600), or give the machine `io.systemd.credential:{name}=VALUE` by SMBIOS, or a file by fw_cfg"
    )))
}

fn unreadable(name: &str, e: &Error) -> Error {
    let what = format!("credential {name} cannot be read: {}", e.chain());
    let hint = "look at it with `systemd-creds list` and `systemd-creds --system list`";
    Error::environment(what).hint(e.hint_text().unwrap_or(hint))
}

fn bounded(name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
    if value.len() as u64 <= MAX {
        return Ok(value);
    }
    let what = format!("credential {name} is larger than {} KiB", MAX >> 10);
    Err(Error::input(what).hint("fetch large files from a unit instead"))
}

/// Asks systemd. Its words are shown, the value never.
fn decrypt(program: &Path, path: &str, name: &str, patience: Duration) -> Result<Vec<u8>> {
    let what = || format!("{} failed", program.display());
    let mut child = Command::new(program)
        .args(["decrypt", &format!("--name={name}"), path, "-"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .environment(what)?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::environment(what()));
    };
    let (send, received) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut value, mut words) = (Vec::new(), String::new());
        let read = out.take(MAX + 1).read_to_end(&mut value);
        let _ = err.take(4096).read_to_string(&mut words);
        let _ = send.send(read.map(|_| (value, words)));
    });
    let answer = received.recv_timeout(patience);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().environment(what)?;
    let Ok(answer) = answer else {
        let why = format!("{}: no answer in {} s", what(), patience.as_secs());
        return Err(Error::environment(why));
    };
    let (value, words) = answer.environment(what)?;
    if status.success() {
        return Ok(value);
    }
    let words = words.lines().last().unwrap_or_default().trim().to_owned();
    Err(Error::environment(format!("{}: {words}", what())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = temp.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::open(temp.path()).unwrap();
        (temp, root)
    }

    #[test]
    fn places_are_looked_at_in_order_below_the_root() {
        let (_temp, root) = tree(&[
            ("run/credentials/@system/a", "from the firmware"),
            ("etc/credstore/a", "from the disk"),
            ("etc/credstore/b", "from the disk\n"),
            ("etc/credstore.encrypted/c", "sealed"),
            ("etc/credstore/large", &"x".repeat(2 << 20)),
        ]);
        assert_eq!(read(&root, "a").unwrap(), b"from the firmware");
        assert_eq!(read(&root, "b").unwrap(), b"from the disk\n");
        for (name, word) in [
            ("c", "encrypted"),
            ("d", "no credential \"d\""),
            ("large", "larger than 1024 KiB"),
        ] {
            let e = read(&root, name).unwrap_err();
            assert!(e.chain().contains(word), "{}", e.chain());
            assert!(e.hint_text().is_some() && !e.chain().contains("sealed"));
        }
    }

    #[test]
    fn systemd_is_asked_and_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("creds");
        let script = "#!/bin/sh\n[ \"$1 $2 $4\" = 'decrypt --name=db -' ] || exit 9\n\
            case $3 in */slow) sleep 5;; */bad) echo first >&2; echo 'No TPM.' >&2; exit 1;; esac\n\
            printf secret\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let ask = |path: &str| decrypt(&program, path, "db", Duration::from_millis(700));
        assert_eq!(ask("/etc/x/good").unwrap(), b"secret");
        assert!(ask("/etc/x/bad").unwrap_err().chain().ends_with("No TPM."));
        let start = Instant::now();
        assert!(
            ask("/etc/x/slow")
                .unwrap_err()
                .chain()
                .contains("no answer")
        );
        assert!(start.elapsed() < Duration::from_secs(4));
        let gone = decrypt(&temp.path().join("none"), "/a", "db", PATIENCE);
        assert!(gone.is_err());
    }
}
