//! One key that signs: a file, or a command.
//!
//! A key file is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it,
//! readable by its owner alone. A command file names a public key and a program:
//!
//! ```json
//! { "public": "<64 hexadecimal digits>", "command": ["sign-with-hsm", "--slot", "3"] }
//! ```
//!
//! The program is started without a shell, gets the bytes to sign on standard input
//! and writes the 64 bytes of the ed25519 signature to standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{Error, Signer};
use crate::tuf::{hex, json, unhex};

/// DER of an ed25519 PKCS#8 key (RFC 8410) up to the 32 bytes of the key itself.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key in a file.
pub struct FileKey {
    secret: SigningKey,
    public: VerifyingKey,
}

impl FileKey {
    /// Makes a key and writes it to a new file with mode 0600.
    pub fn generate(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut seed = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut seed))
            .map_err(io)?;
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(path.to_owned()));
            }
            Err(e) => return Err(io(e)),
        };
        file.write_all(pem(&seed).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        Ok(Self::new(&seed))
    }

    /// Reads a key file. One that others can read is refused.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let wrong = |reason: &str| Error::Key {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let mode = fs::metadata(path).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong("others may read this private key: chmod 600"));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        seed(&text).map(|seed| Self::new(&seed)).ok_or_else(|| {
            wrong("not an ed25519 key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)")
        })
    }

    fn new(seed: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(seed);
        FileKey {
            public: secret.verifying_key(),
            secret,
        }
    }
}

impl Signer for FileKey {
    fn public(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        Ok(self.secret.sign(message))
    }
}

fn pem(seed: &[u8; 32]) -> String {
    let der = [&PKCS8[..], &seed[..]].concat();
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
}

fn seed(pem: &str) -> Option<[u8; 32]> {
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    der.strip_prefix(&PKCS8)?.try_into().ok()
}

/// A key that a command holds.
pub struct CommandKey {
    name: String,
    public: VerifyingKey,
    command: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandFile {
    public: String,
    command: Vec<String>,
}

impl CommandKey {
    /// A key of this public part that this command signs with.
    pub fn new(name: &str, public: &str, command: Vec<String>) -> Result<Self, String> {
        let public = unhex(public)
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .filter(|key| !key.is_weak())
            .ok_or("a public key has 64 lower-case hexadecimal digits")?;
        if command.is_empty() {
            return Err("the command is empty".to_owned());
        }
        Ok(CommandKey {
            name: name.to_owned(),
            public,
            command,
        })
    }

    /// Reads a command file.
    pub fn read(name: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Key {
            path: path.to_owned(),
            reason,
        };
        let bytes = fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let file: CommandFile = json::decode_as(&bytes).map_err(|e| wrong(e.to_string()))?;
        Self::new(name, &file.public, file.command).map_err(wrong)
    }

    /// What [`CommandKey::read`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let file = CommandFile {
            public: hex(self.public.as_bytes()),
            command: self.command.clone(),
        };
        serde_json::to_vec_pretty(&file).unwrap_or_default()
    }
}

/// Runs a program that signs: `message` goes to its standard input. Returns what it
/// answers, of which no more is read than `limit` bytes and one.
pub fn ask(command: &[String], message: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let (program, arguments) = command.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut answer = Vec::new();
    // Both ends at once: a program may answer before it has read everything.
    let read = std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(message)));
        stdout.map_or(Ok(0), |pipe| pipe.take(limit + 1).read_to_end(&mut answer))
    });
    let status = child.wait().map_err(|e| e.to_string())?;
    read.map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    Ok(answer)
}

impl Signer for CommandKey {
    fn public(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        let wrong = |reason| Error::Command {
            name: self.name.clone(),
            reason,
        };
        let answer = ask(&self.command, message, 64).map_err(wrong)?;
        Signature::from_slice(&answer)
            .map_err(|_| wrong("it did not answer with the 64 bytes of a signature".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_are_those_of_openssl() {
        // RFC 8410, section 10.3.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                    -----END PRIVATE KEY-----\n";
        let seed = seed(text).expect("a key");
        assert_eq!(seed[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(pem(&seed), text);
        assert_eq!(
            hex(FileKey::new(&seed).public.as_bytes()),
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
        );
        assert!(super::seed(&text.replace("PRIVATE", "PUBLIC")).is_none());
        assert!(super::seed(&text.replace("MC4C", "MC5C")).is_none());
    }

    #[test]
    fn key_files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("k.pem");
        let key = FileKey::generate(&path).expect("a key");
        assert!(matches!(FileKey::generate(&path), Err(Error::Exists(_))));
        assert_eq!(FileKey::read(&path).expect("a key").public, key.public);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(FileKey::read(&path), Err(Error::Key { .. })));
    }

    #[test]
    fn commands_sign_without_a_shell() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = FileKey::generate(&dir.path().join("k.pem")).expect("a key");
        let answer = dir.path().join("answer; rm -rf");
        let signature = key.sign(b"message").expect("signs");
        fs::write(&answer, signature.to_bytes()).expect("writes");
        let public = hex(key.public.as_bytes());
        let cat = vec!["cat".to_owned(), answer.display().to_string()];
        let command = CommandKey::new("hsm", &public, cat).expect("a key");
        let file = dir.path().join("hsm.command");
        fs::write(&file, command.encode()).expect("writes");
        let command = CommandKey::read("hsm", &file).expect("reads");
        assert_eq!(command.sign(&vec![0; 1 << 20]).expect("answers"), signature);
        for argv in [
            vec!["false"],
            vec!["true"],
            vec!["yes"],
            vec!["/no/such/program"],
        ] {
            let argv = argv.into_iter().map(str::to_owned).collect();
            let key = CommandKey::new("hsm", &public, argv).expect("a key");
            assert!(matches!(key.sign(b"x"), Err(Error::Command { .. })));
        }
    }
}
