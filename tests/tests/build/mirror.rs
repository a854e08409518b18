//! A Debian mirror on the loopback that serves what the shared cache has, with one
//! fault; and private caches that lack only what the fault is about.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use image_build::archive::fetch::fetch;
use image_build::archive::lock::Lock;
use image_build::archive::mirror::Mirrors;
use image_build::build;
use image_build::cache::Cache;
use image_build::error::{Context, Result};
use image_build::progress::Progress;
use sha2::{Digest, Sha256};

/// What is wrong with the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The signed lists were changed by somebody.
    TamperedRelease,
    /// One byte of this package differs.
    WrongHash(String),
    /// This package ends early, and says so.
    Truncated(String),
    /// The mirror is gone for good in the middle of this package.
    Dies(String),
}

/// A running mirror.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
}

/// The lock of `minimal`, with all its packages in the shared cache.
pub fn minimal(cache: &Cache, mirrors: &Mirrors) -> Result<Lock> {
    let progress = Progress::quiet();
    let (recipe, _) = build::recipe("minimal")?;
    let lock = build::resolve(&recipe, mirrors, cache, &progress)?;
    for part in [&lock, &lock.of_tools()] {
        fetch(cache, mirrors, part, &progress)?;
    }
    Ok(lock)
}

/// A cache with everything that `lock` needs, except for package `without`. Files
/// are links, so that nothing is copied where that can be.
pub fn private_cache(root: &Path, shared: &Cache, lock: &Lock, without: &str) -> Result<Cache> {
    let own = Cache::open(Some(root))?;
    link_tree(&shared.root().join("index"), &root.join("index"))?;
    for package in lock
        .packages
        .iter()
        .chain(&lock.tools)
        .filter(|p| p.name != without)
    {
        link(
            &shared.path("deb", &package.sha256),
            &own.path("deb", &package.sha256),
        )?;
    }
    Ok(own)
}

fn link(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("linking {}", from.display());
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).environment(what)?;
    }
    // A package may be both in the image and among the tools.
    if !to.exists() && std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).environment(what)?;
    }
    Ok(())
}

fn link_tree(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("linking {}", from.display());
    for entry in std::fs::read_dir(from).environment(what)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            link_tree(&entry.path(), &target)?;
        } else {
            link(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// What is at a path.
enum Content {
    Text(String),
    File(PathBuf, String),
}

/// Lists of a small archive signed by a key of its own; see the README there.
pub fn private(file: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/private-mirror"
    ))
    .join(file)
}

impl Mirror {
    /// Serves the lists and packages that `shared` had from `mirrors`.
    pub fn start(shared: &Cache, mirrors: &Mirrors, lock: &Lock, fault: Fault) -> Result<Self> {
        let mut files = BTreeMap::new();
        let suites = [
            ("debian", "", &mirrors.main),
            ("debian", "-updates", &mirrors.main),
            ("debian-security", "-security", &mirrors.security),
        ];
        for (tree, suffix, base) in suites {
            let path = format!("dists/{}{suffix}/InRelease", lock.suite);
            let key = image_build::hex::encode(&Sha256::digest(format!("{base}/{path}")));
            let entry = std::fs::read(shared.path("release", &key))
                .environment(|| format!("reading the cached {path}"))?;
            let entry: serde_json::Value = serde_json::from_slice(&entry)
                .environment(|| format!("reading the cached {path}"))?;
            let mut text = entry["text"].as_str().unwrap_or_default().to_owned();
            if fault == Fault::TamperedRelease {
                text = text.replacen("\nLabel: ", "\nLabel: Not ", 1);
            }
            files.insert(format!("/{tree}/{path}"), Content::Text(text));
        }
        for package in lock.packages.iter().chain(&lock.tools) {
            let tree = if package.pocket == image_build::archive::lock::Pocket::Security {
                "debian-security"
            } else {
                "debian"
            };
            let content = Content::File(shared.path("deb", &package.sha256), package.name.clone());
            files.insert(format!("/{tree}/{}", package.path), content);
        }
        Self::serve(files, fault)
    }

    /// Serves the lists of the private archive, with `InRelease` of the main suite, and the
    /// index by its hash, from these files.
    pub fn start_private(release: &Path, by_hash: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let text = |path: &Path| {
            std::fs::read_to_string(path).environment(|| format!("reading {}", path.display()))
        };
        for (tree, suite) in [
            ("debian", "trixie"),
            ("debian", "trixie-updates"),
            ("debian-security", "trixie-security"),
        ] {
            let list = match suite {
                "trixie" => text(release)?,
                _ => text(&private(&format!("{suite}.InRelease")))?,
            };
            let dir = format!("/{tree}/dists/{suite}");
            let index = list
                .lines()
                .find_map(|line| line.strip_suffix(" main/binary-amd64/Packages.xz"))
                .and_then(|line| line.split_whitespace().next())
                .unwrap_or_default();
            files.insert(
                format!("{dir}/main/binary-amd64/by-hash/SHA256/{index}"),
                Content::File(by_hash.to_path_buf(), String::new()),
            );
            files.insert(format!("{dir}/InRelease"), Content::Text(list));
        }
        Self::serve(files, Fault::None)
    }

    fn serve(files: BTreeMap<String, Content>, fault: Fault) -> Result<Self> {
        let what = || "starting a mirror".to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").environment(what)?;
        let address = listener.local_addr().environment(what)?;
        let (files, dead) = (Arc::new(files), Arc::new(AtomicBool::new(false)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if dead.load(Ordering::Relaxed) {
                    return;
                }
                let (files, fault, dead) = (files.clone(), fault.clone(), dead.clone());
                // A client that goes away is its own business.
                std::thread::spawn(move || answer(stream, &files, &fault, &dead).ok());
            }
        });
        Ok(Mirror { address })
    }

    /// Value for `--mirror`; the security tree is beside it.
    pub fn url(&self) -> String {
        format!("http://{}/debian", self.address)
    }
}

fn answer(
    mut stream: TcpStream,
    files: &BTreeMap<String, Content>,
    fault: &Fault,
    dead: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let path = line
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .replace("%2B", "+")
        .replace("%7E", "~");
    while line.trim_end() != "" {
        line.clear();
        head.read_line(&mut line)?;
    }
    let (mut body, name) = match files.get(&path) {
        Some(Content::Text(text)) => (text.clone().into_bytes(), ""),
        Some(Content::File(file, name)) => (std::fs::read(file)?, name.as_str()),
        None => {
            return stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    };
    let half = body.len() / 2;
    let mut announced = body.len();
    match fault {
        Fault::WrongHash(package) if package == name => body[half] ^= 1,
        Fault::Truncated(package) if package == name => {
            (announced, _) = (half, body.truncate(half))
        }
        Fault::Dies(package) if package == name => {
            body.truncate(half);
            dead.store(true, Ordering::Relaxed);
        }
        _ => {}
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}
