//! The user's terminal as the machine's console.

use std::io::{IsTerminal, Read, Stdin};

use nix::sys::termios::{
    LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, Termios, cfmakeraw, tcgetattr,
    tcsetattr,
};

/// Ctrl-A, which starts commands to us, as in QEMU itself.
const ESCAPE: u8 = 1;

/// What typed bytes mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the machine.
    Bytes(Vec<u8>),
    /// Ctrl-A X: stop the machine.
    Quit,
}

/// Splits what is typed into text for the machine and commands to us.
#[derive(Debug, Default)]
pub(super) struct Keys {
    escaped: bool,
}

impl Keys {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut out = Vec::new();
        for &byte in bytes {
            match (std::mem::take(&mut self.escaped), byte) {
                (true, b'x' | b'X') => return Typed::Quit,
                (true, ESCAPE | b'a') => out.push(ESCAPE),
                (true, _) => {}
                (false, ESCAPE) => self.escaped = true,
                (false, _) => out.push(byte),
            }
        }
        Typed::Bytes(out)
    }
}

/// Standard input in raw mode; as it was again when dropped.
pub(super) struct Raw {
    stdin: Stdin,
    before: Termios,
}

impl Raw {
    /// `None` when standard input is no terminal.
    pub(super) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        // Our own lines need carriage returns; the machine's are not hurt by more.
        raw.output_flags
            .insert(OutputFlags::OPOST | OutputFlags::ONLCR);
        raw.local_flags.remove(LocalFlags::ISIG);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).ok()?;
        Some(Raw { stdin, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &self.before);
    }
}

/// Reads standard input and hands it on, until its end or until `take` says no.
pub(super) fn read_keys(mut take: impl FnMut(&[u8]) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
            if !take(&buffer[..n]) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_out() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"ls\r"), Typed::Bytes(b"ls\r".to_vec()));
        assert_eq!(keys.feed(b"a\x01\x01b"), Typed::Bytes(b"a\x01b".to_vec()));
        assert_eq!(keys.feed(b"\x01"), Typed::Bytes(vec![]));
        assert_eq!(keys.feed(b"x"), Typed::Quit);
        // Ctrl-C is the machine's.
        assert_eq!(keys.feed(b"\x03"), Typed::Bytes(vec![3]));
    }
}
