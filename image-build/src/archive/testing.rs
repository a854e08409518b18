//! A small signed archive and a web server with faults, for tests.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, Timestamp};
use sha2::{Digest, Sha256};

use super::lock::Pocket;
use super::transport::Patience;
use super::trust::Trust;
use super::{Archive, Conditions, Mirrors};
use crate::cache::Cache;
use crate::error::Result;
use crate::hex;
use crate::progress::Progress;

/// The tests' present, 2026-09-21.
pub const NOW: i64 = 1_790_000_000;

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// A signing key made long ago.
pub fn key() -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .created_at(Timestamp::from_secs(NOW as u32 - 1_000_000))
        .primary_user_id("test <test@example.org>".into());
    params.build().unwrap().generate(rand::rngs::OsRng).unwrap()
}

/// `text`, signed inline at `when`, valid for `life` seconds (0: for ever).
pub fn sign(key: &SignedSecretKey, text: &str, when: i64, life: u32) -> String {
    let secret = &key.primary_key;
    let mut config =
        SignatureConfig::from_key(rand::rngs::OsRng, secret, SignatureType::Text).unwrap();
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            when as u32,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(secret.fingerprint())).unwrap(),
        Subpacket::regular(SubpacketData::SignatureExpirationTime(
            pgp::types::Duration::from_secs(life),
        ))
        .unwrap(),
    ];
    let message = CleartextSignedMessage::new(text, config, secret, &Password::empty()).unwrap();
    message.to_armored_string(Default::default()).unwrap()
}

/// Files of an archive by path, and who signed it.
pub struct Fake {
    pub key: SignedSecretKey,
    pub files: BTreeMap<String, Vec<u8>>,
    stanzas: String,
}

impl Fake {
    /// An archive with packages `app` (needs `lib`) and `lib`.
    pub fn new() -> Self {
        let mut fake = Fake {
            key: key(),
            files: BTreeMap::new(),
            stanzas: String::new(),
        };
        fake.add("app", "1.0", "Depends: lib (>= 2)\n", 300_000);
        fake.add("lib", "2.0", "", 1000);
        fake.publish(
            "Mon, 21 Sep 2026 00:00:00 UTC",
            "Mon, 28 Sep 2026 00:00:00 UTC",
        );
        fake
    }

    fn add(&mut self, name: &str, version: &str, fields: &str, size: usize) {
        let body: Vec<u8> = (0..size).map(|i| (i * 7 + name.len()) as u8).collect();
        let path = format!("pool/main/{name}_{version}.deb");
        self.stanzas += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}Filename: {path}\nSize: {size}\nSHA256: {}\n\n",
            sha256(&body)
        );
        self.files.insert(format!("debian/{path}"), body);
    }

    /// Writes indexes and signed lists of all pockets.
    pub fn publish(&mut self, date: &str, until: &str) {
        let stanzas = self.stanzas.clone();
        self.list("debian", "trixie", &stanzas, date, until);
        self.list("debian", "trixie-updates", "", date, until);
        self.list("debian-security", "trixie-security", "", date, until);
    }

    fn list(&mut self, tree: &str, suite: &str, packages: &str, date: &str, until: &str) {
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(packages.as_bytes(), 6)
            .read_to_end(&mut xz)
            .unwrap();
        let release = format!(
            "Suite: s\nCodename: {suite}\nDate: {date}\nValid-Until: {until}\nAcquire-By-Hash: yes\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
            sha256(&xz),
            xz.len()
        );
        let dir = format!("{tree}/dists/{suite}");
        self.files.insert(
            format!("{dir}/InRelease"),
            sign(&self.key, &release, NOW - 1000, 0).into_bytes(),
        );
        self.files.insert(
            format!("{dir}/main/binary-amd64/by-hash/SHA256/{}", sha256(&xz)),
            xz.clone(),
        );
        self.files
            .insert(format!("{dir}/main/binary-amd64/Packages.xz"), xz);
    }

    pub fn conditions(&self) -> Conditions {
        Conditions {
            trust: Trust::new(vec![SignedPublicKey::from(self.key.clone())]),
            now: NOW,
            patience: PATIENCE,
        }
    }

    pub fn open(&self, cache: &Cache, mirrors: &Mirrors) -> Result<Archive> {
        self.open_pockets(cache, mirrors, &Pocket::ALL)
    }

    pub fn open_pockets(
        &self,
        cache: &Cache,
        mirrors: &Mirrors,
        pockets: &[Pocket],
    ) -> Result<Archive> {
        Archive::open_with(
            cache,
            mirrors,
            "trixie",
            pockets,
            "amd64",
            &Progress::quiet(),
            &self.conditions(),
        )
    }

    /// Path of the file whose path ends so.
    pub fn path(&self, end: &str) -> String {
        self.files
            .keys()
            .find(|p| p.ends_with(end))
            .unwrap()
            .clone()
    }
}

pub const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(5),
    pause: Duration::from_millis(1),
    attempts: 3,
};

/// What goes wrong with a path.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The connection dies after so many bytes of each answer, so many times.
    Cut(usize, usize),
    /// This status instead, so many times.
    Status(u16, usize),
    /// `Range` is ignored and the connection dies once after so many bytes.
    CutNoRange(usize, usize),
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: HashMap<String, Fault>,
    log: Vec<String>,
}

/// A web server on the loopback interface; gone when dropped.
pub struct Server {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Server {
    pub fn new(fake: &Fake) -> Self {
        let state = Arc::new(Mutex::new(State {
            files: fake.files.clone(),
            ..State::default()
        }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let weak = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(state) = weak.upgrade() else { return };
                std::thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        Server { state, port }
    }

    pub fn mirrors(&self) -> Mirrors {
        Mirrors::discover_in(
            Some(format!("http://127.0.0.1:{}/debian", self.port)),
            None,
            "/nonexistent".as_ref(),
        )
        .unwrap()
    }

    pub fn replace(&self, files: &BTreeMap<String, Vec<u8>>) {
        self.state.lock().unwrap().files = files.clone();
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.state.lock().unwrap().files.get_mut(path).unwrap());
    }

    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path).unwrap();
    }

    pub fn fault(&self, path: &str, fault: Fault) {
        self.state
            .lock()
            .unwrap()
            .faults
            .insert(path.to_string(), fault);
    }

    /// `STATUS PATH RANGE` of all answers so far; forgotten afterwards.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The last reference goes with the connection that wakes the listener.
        self.state = Arc::default();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(&stream)
        .lines()
        .map_while(std::result::Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request
        .split(' ')
        .nth(1)
        .unwrap()
        .trim_start_matches('/')
        .to_string();
    let headers: HashMap<String, String> = lines
        .take_while(|l| !l.is_empty())
        .filter_map(|l| {
            l.split_once(": ")
                .map(|(k, v)| (k.to_ascii_lowercase(), v.to_string()))
        })
        .collect();
    let mut state = state.lock().unwrap();
    let body = state.files.get(&path).cloned();
    let etag = format!("\"{}\"", sha256(body.as_deref().unwrap_or_default()));
    let range = headers.get("range").cloned();
    let mut from = range
        .as_deref()
        .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or(0);
    let mut end = usize::MAX;
    let mut status = match &body {
        None => 404,
        Some(_) if headers.get("if-none-match") == Some(&etag) => 304,
        Some(_) => 200,
    };
    match state.faults.get_mut(&path) {
        Some(Fault::Status(code, times)) if *times > 0 => {
            *times -= 1;
            status = *code;
        }
        Some(Fault::Cut(bytes, times)) if *times > 0 => {
            *times -= 1;
            end = *bytes;
        }
        Some(Fault::CutNoRange(bytes, times)) => {
            from = 0;
            if *times > 0 {
                *times -= 1;
                end = *bytes;
            }
        }
        _ => {}
    }
    if status == 200 && from > 0 {
        status = 206;
    }
    state.log.push(
        format!("{status} {path} {}", range.unwrap_or_default())
            .trim_end()
            .to_string(),
    );
    drop(state);
    let body = match status {
        200 | 206 => body.unwrap_or_default().split_off(from),
        _ => Vec::new(),
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nETag: {etag}\r\nConnection: close\r\n",
        body.len()
    );
    if status == 206 {
        head += &format!(
            "Content-Range: bytes {from}-{}/{}\r\n",
            from + body.len() - 1,
            from + body.len()
        );
    }
    let mut stream = &stream;
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&body[..body.len().min(end)]);
}
