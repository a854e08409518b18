//! A container registry (pull only) in this process: machines pull from it
//! through QEMU's user network, at `10.0.2.2`, with no registry on the Internet.
//!
//! Protocol: OCI distribution specification 1.1, the part of `docker pull`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compression, GzBuilder};
use image_build::error::{Context, Result};
use image_build::simulate::http::{Request, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::connection::serve;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A file of a container image.
#[derive(Debug, Clone)]
pub struct File {
    /// Path without a leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub content: Vec<u8>,
}

/// A container image with one layer.
#[derive(Debug, Clone)]
pub struct Image {
    /// Name and tag, for example `library/busybox:latest`.
    pub name: String,
    /// Files.
    pub files: Vec<File>,
    /// What runs: program and arguments.
    pub command: Vec<String>,
    /// Ports it says it listens on.
    pub ports: Vec<u16>,
}

impl Image {
    /// An image called `name` that runs `command` (words for busybox: the first is
    /// the applet) from the static `busybox`.
    pub fn busybox(name: &str, busybox: Vec<u8>, command: &[&str]) -> Self {
        let mut words = vec!["/bin/busybox".to_owned()];
        words.extend(command.iter().map(|w| (*w).to_owned()));
        Image {
            name: name.to_owned(),
            files: vec![File {
                path: "bin/busybox".to_owned(),
                mode: 0o755,
                content: busybox,
            }],
            command: words,
            ports: Vec::new(),
        }
    }

    /// Adds a file that anyone may read.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push(File {
            path: path.to_owned(),
            mode: 0o644,
            content: content.into(),
        });
        self
    }
}

/// What the registry serves.
#[derive(Debug, Default)]
struct Content {
    /// Manifest digests by `name:tag`.
    tags: BTreeMap<String, String>,
    /// Media type and bytes by digest.
    blobs: BTreeMap<String, (&'static str, Vec<u8>)>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("sha256:{hex}")
}

impl Content {
    fn blob(&mut self, kind: &'static str, bytes: Vec<u8>) -> serde_json::Value {
        let (digest, size) = (digest(&bytes), bytes.len());
        self.blobs.insert(digest.clone(), (kind, bytes));
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    fn add(&mut self, image: &Image) -> Result<()> {
        let (tar, layer) = layer(&image.files)?;
        let ports: serde_json::Map<String, serde_json::Value> = image
            .ports
            .iter()
            .map(|p| (format!("{p}/tcp"), json!({})))
            .collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Cmd": image.command, "Env": ["PATH=/bin"], "ExposedPorts": ports},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "test"}],
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let layer = self.blob(LAYER, layer);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let manifest = manifest.to_string().into_bytes();
        self.tags.insert(image.name.clone(), digest(&manifest));
        self.blob(MANIFEST, manifest);
        Ok(())
    }

    fn respond(&self, request: &Request) -> Response {
        if !request.reads() {
            return Response::status(405);
        }
        const VERSION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");
        if matches!(request.path.as_str(), "/v2/" | "/v2") {
            return Response::json(&json!({})).with(VERSION.0, VERSION.1);
        }
        let found = request.path.strip_prefix("/v2/").and_then(|rest| {
            let (name, reference) = rest
                .rsplit_once("/manifests/")
                .or_else(|| rest.rsplit_once("/blobs/"))?;
            let digest = self
                .tags
                .get(&format!("{name}:{reference}"))
                .map_or(reference, String::as_str);
            Some((digest.to_owned(), self.blobs.get(digest)?))
        });
        match found {
            Some((digest, (kind, bytes))) => Response {
                content_type: kind,
                ..Response::bytes(bytes.clone())
            }
            .with(VERSION.0, VERSION.1)
            .with("Docker-Content-Digest", digest),
            None => Response {
                status: 404,
                ..Response::json(
                    &json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not here"}]}),
                )
            },
        }
    }
}

/// A layer, plain and compressed; the same files always give the same bytes.
fn layer(files: &[File]) -> Result<(Vec<u8>, Vec<u8>)> {
    let write = || -> std::io::Result<(Vec<u8>, Vec<u8>)> {
        let mut builder = tar::Builder::new(Vec::new());
        for file in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(file.mode);
            header.set_size(file.content.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, &file.path, file.content.as_slice())?;
        }
        let tar = builder.into_inner()?;
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::fast());
        gzip.write_all(&tar)?;
        Ok((tar, gzip.finish()?))
    };
    write().environment(|| "packing a container image".to_owned())
}

/// A running registry; dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    pulls: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// Serves `images` on a free port of loopback.
    pub fn start(images: &[Image]) -> Result<Self> {
        let mut content = Content::default();
        for image in images {
            content.add(image)?;
        }
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).environment(|| "opening a port".to_owned())?;
        let address = listener
            .local_addr()
            .environment(|| "opening a port".to_owned())?;
        let (content, stop) = (Arc::new(content), Arc::new(AtomicBool::new(false)));
        let pulls = Arc::new(Mutex::new(Vec::new()));
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&pulls));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (content, seen) = (Arc::clone(&content), Arc::clone(&seen));
                let Ok(stream) = stream else { continue };
                // A client that goes away is no failure of the registry.
                std::thread::spawn(move || {
                    serve(stream, |request, to| {
                        let response = content.respond(request);
                        let line =
                            format!("{} {} {}", request.method, request.path, response.status);
                        seen.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(line);
                        to.write_all(&response.encode(request))
                    })
                });
            }
        });
        Ok(Registry {
            address,
            stop,
            pulls,
            thread: Some(thread),
        })
    }

    /// Port on the host's loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Value for `registry-mirrors` of the docker daemon in a machine.
    pub fn mirror(&self) -> String {
        format!("http://10.0.2.2:{}", self.port())
    }

    /// Requests so far, as `METHOD PATH STATUS`.
    pub fn requests(&self) -> Vec<String> {
        self.pulls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use image_build::error::Error;

    use super::*;

    /// Headers and body of `path`, as a client would fetch it.
    fn get(port: u16, path: &str) -> Result<(String, Vec<u8>)> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", port)).environment(|| "connecting".to_owned())?;
        let mut all = Vec::new();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .and_then(|()| stream.read_to_end(&mut all))
        .environment(|| format!("fetching {path}"))?;
        let at = all
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .ok_or_else(|| Error::environment("no headers"))?;
        Ok((
            String::from_utf8_lossy(&all[..at]).into_owned(),
            all[at + 4..].to_vec(),
        ))
    }

    #[test]
    fn an_image_can_be_pulled() {
        let image = Image::busybox(
            "dockerfile/elasticsearch:latest",
            b"program".to_vec(),
            &["httpd", "-f"],
        );
        let registry = Registry::start(std::slice::from_ref(&image)).unwrap();
        assert!(
            get(registry.port(), "/v2/")
                .unwrap()
                .0
                .starts_with("HTTP/1.1 200")
        );

        let (head, manifest) = get(
            registry.port(),
            "/v2/dockerfile/elasticsearch/manifests/latest",
        )
        .unwrap();
        assert!(
            head.contains(&format!("Content-Type: {MANIFEST}")),
            "{head}"
        );
        assert!(head.contains(&digest(&manifest)), "{head}");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let blob = |of: &serde_json::Value| {
            let wanted = of["digest"].as_str().unwrap();
            let (_, bytes) = get(
                registry.port(),
                &format!("/v2/dockerfile/elasticsearch/blobs/{wanted}"),
            )
            .unwrap();
            assert_eq!(
                (digest(&bytes).as_str(), json!(bytes.len())),
                (wanted, of["size"].clone())
            );
            bytes
        };
        let config: serde_json::Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&blob(&manifest["layers"][0])[..])
            .read_to_end(&mut tar)
            .unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&tar));
        assert_eq!(
            config["config"]["Cmd"],
            json!(["/bin/busybox", "httpd", "-f"])
        );
        assert!(registry.requests()[1].ends_with("manifests/latest 200"));
        assert!(
            get(registry.port(), "/v2/x/manifests/y")
                .unwrap()
                .0
                .starts_with("HTTP/1.1 404")
        );
    }

    #[test]
    fn layers_are_reproducible() {
        let files = [File {
            path: "a".to_owned(),
            mode: 0o644,
            content: vec![1; 1000],
        }];
        assert_eq!(layer(&files).unwrap(), layer(&files).unwrap());
    }
}
