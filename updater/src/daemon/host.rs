//! What the service does to the machine itself.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::health::{Ended, run};
use crate::state::Reboot;

/// The machine. Methods may block.
pub trait Host: Send + Sync {
    /// Tells systemd to reboot.
    fn reboot(&self, why: Reboot) -> Result<(), String>;

    /// Writes a message to terminals (`pts/0`).
    fn tell(&self, terminals: &[String], message: &str);
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

/// systemd answers at once; it may be busy.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Host for Machine {
    fn reboot(&self, why: Reboot) -> Result<(), String> {
        let how: &[&str] = match why {
            Reboot::Update | Reboot::Fallback => &["reboot"],
            // Kills what does not stop, still syncs and unmounts.
            Reboot::Forced => &["--force", "reboot"],
        };
        let argv: Vec<String> = ["/usr/bin/systemctl", "--no-wall"]
            .iter()
            .chain(how)
            .map(|s| (*s).to_owned())
            .collect();
        match run(&argv, &[], TIMEOUT) {
            Ok(output) if output.ended == Ended::Status(0) => Ok(()),
            Ok(output) => Err(format!("systemctl: {:?} {}", output.ended, output.text)),
            Err(e) => Err(format!("systemctl: {e}")),
        }
    }

    fn tell(&self, terminals: &[String], message: &str) {
        for terminal in terminals.iter().filter(|t| is_plain(t)) {
            // A stopped terminal must not stop the service.
            let file = std::fs::OpenOptions::new()
                .write(true)
                .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW).bits())
                .open(Path::new("/dev").join(terminal));
            let _ = file.and_then(|mut f| write!(f, "\r\n\x07{message}\r\n"));
        }
    }
}

/// `tty1`, `pts/0`, `ttyS0`: what a terminal below /dev can be called.
fn is_plain(terminal: &str) -> bool {
    let rest = terminal
        .strip_prefix("pts/")
        .or_else(|| terminal.strip_prefix("tty"));
    rest.is_some_and(|r| r.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A16: whoever names a session's terminal cannot choose which file is written.
    #[test]
    fn a16_only_terminals_are_written_to() {
        for good in ["tty1", "ttyS0", "pts/12"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "sda",
            "../etc/passwd",
            "pts/../sda",
            "/dev/sda",
            "tty/../sda",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
