//! LXD and Incus: HTTP over a Unix socket in the instance; to virtual machines also a
//! disk labelled `cidata`.

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::Result;
use crate::http::Http;
use crate::source::document::{data, scalar, text};
use crate::source::service::Session;
use crate::source::{Found, Raw, Scene, Source, keys, nocloud, value};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "lxd",
    title: "LXD or Incus",
    aliases: &["incus"],
    detect,
    files: &SOCKETS,
    sources: &[&SOCKET, &nocloud::DISK],
    ..Provider::NONE
};

static SOCKET: Source = Source {
    name: "lxd",
    title: "LXD's socket",
    local: true,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

/// Where the socket is, by kind of host.
const SOCKETS: [&str; 2] = ["dev/lxd/sock", "dev/incus/sock"];
/// Virtio ports of the hosts' agents.
const PORTS: [&str; 3] = [
    "org.linuxcontainers.lxd",
    "com.canonical.lxd",
    "org.linuxcontainers.incus",
];
/// The host is not asked for: only the path counts.
const BASE: &str = "http://127.0.0.1";
const META_DATA: &str = "meta-data";
const INSTANCE: &str = "instance";
/// Documents below `config/`: names of ours, today's and the former.
const DOCUMENTS: [(&str, [&str; 2]); 3] = [
    ("user-data", ["cloud-init.user-data", "user.user-data"]),
    (
        "vendor-data",
        ["cloud-init.vendor-data", "user.vendor-data"],
    ),
    (
        "network-config",
        ["cloud-init.network-config", "user.network-config"],
    ),
];
/// Keys by name (`cloud-init.ssh-keys.NAME` = `USER:KEY`).
const KEYS: &str = "cloud-init.ssh-keys.";
/// Keys one index may list.
const MAX_KEYS: usize = 64;

fn detect(evidence: &Evidence) -> Option<Clue> {
    if let Some(socket) = SOCKETS.iter().find(|s| evidence.has(s)) {
        return Clue::certain(format!("there is /{socket}"));
    }
    let mut ports = evidence.virtio_ports.iter();
    if let Some(port) = ports.find(|p| PORTS.contains(&p.as_str())) {
        return Clue::certain(format!("virtio port `{port}`"));
    }
    Clue::is(
        "product_name",
        &evidence.dmi.product_name,
        &["LXD", "Incus"],
    )
}

async fn fetch(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let Some(socket) = SOCKETS.iter().find(|s| scene.evidence.has(s)) else {
        return Ok(None);
    };
    let http = http.at_socket(&scene.root.join(socket))?;
    let session = Session::new(&http, BASE, deadline);
    let Some(meta) = session.get("/1.0/meta-data").await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(META_DATA.to_owned(), meta)]);
    let mut lost = Vec::new();
    let config = "/1.0/config";
    session.add(&mut raw, "config", config, &mut lost).await;
    for name in key_names(&raw) {
        let path = format!("{config}/{name}");
        session.add(&mut raw, &name, &path, &mut lost).await;
    }
    session.add(&mut raw, INSTANCE, "/1.0", &mut lost).await;
    for (name, paths) in DOCUMENTS {
        for path in paths {
            if !raw.contains_key(name) {
                let path = format!("{config}/{path}");
                session.add(&mut raw, name, &path, &mut lost).await;
            }
        }
    }
    let mut found = parse(&raw, &format!("/{socket}"));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Names of the keys that the list of settings has.
fn key_names(raw: &Raw) -> Vec<String> {
    let list: Value = text(raw, "config")
        .and_then(|t| serde_json::from_str(t).ok())
        .unwrap_or_default();
    let paths = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let names = paths.filter_map(|p| p.strip_prefix("/1.0/config/"));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    names
        .filter(|n| n.starts_with(KEYS) && n.chars().all(plain))
        .take(MAX_KEYS)
        .map(str::to_owned)
        .collect()
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let meta = value::yaml(raw, META_DATA, &mut found.warnings);
    let instance = value::json(raw, INSTANCE, &mut found.warnings);
    value::odd(
        &meta,
        META_DATA,
        &["instance-id", "local-hostname"],
        &mut found.warnings,
    );
    let keys = value::ssh_keys(&meta, META_DATA, "public-keys", &mut found.warnings);
    value::odd(&instance, INSTANCE, &[], &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "lxd".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, "user-data");
    fetched.vendor_data = data(raw, "vendor-data");
    fetched.network = data(raw, "network-config");
    let metadata = &mut fetched.metadata;
    metadata.provider = "lxd".into();
    metadata.instance_id = scalar(&meta, "instance-id");
    metadata.hostname = scalar(&meta, "local-hostname").or_else(|| scalar(&meta, "hostname"));
    metadata.ssh_keys = keys;
    for (name, _) in raw.range(KEYS.to_owned()..) {
        if !name.starts_with(KEYS) {
            break;
        }
        // Before the key is the user it is for; there is one.
        let key = text(raw, name)
            .and_then(|t| t.split_once(':'))
            .map(|(_, key)| key);
        keys::merge(
            &mut metadata.ssh_keys,
            key.map(keys::lines).unwrap_or_default(),
        );
    }
    for (name, key) in [("location", "location"), ("instance-type", "instance_type")] {
        let value = scalar(&instance, key).map(|v| (name.to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Wake;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::Duration;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA one@example";

    /// Answers like LXD's socket: JSON errors for what there is not.
    fn serve(socket: &Path) {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|l| l.is_ok_and(|l| !l.is_empty())) {}
                let key = format!("root:{KEY}");
                let (status, body) = match first.split(' ').nth(1).unwrap() {
                    "/1.0" => (
                        200,
                        r#"{"api_version":"1.0","instance_type":"virtual-machine"}"#,
                    ),
                    "/1.0/meta-data" => (
                        200,
                        "#cloud-config\ninstance-id: i1\nlocal-hostname: web1\n",
                    ),
                    "/1.0/config" => (200, r#"["/1.0/config/cloud-init.ssh-keys.one"]"#),
                    "/1.0/config/cloud-init.ssh-keys.one" => (200, key.as_str()),
                    "/1.0/config/user.user-data" => (200, "#cloud-config\n"),
                    _ => (
                        404,
                        r#"{"type":"error","error":"not found","error_code":404}"#,
                    ),
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
    }

    #[test]
    fn asked_over_the_socket() {
        let root = tempfile::tempdir().unwrap();
        serve(&root.path().join(SOCKETS[1]));
        let scene = Scene {
            root: root.path().into(),
            evidence: Evidence::gather(root.path()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let found = runtime.block_on(async {
            let http = Http::new(Wake::never()).unwrap();
            fetch(&scene, &http, Instant::now() + Duration::from_secs(10)).await
        });
        let found = found.unwrap().unwrap();
        assert_eq!(found.warnings, [""; 0]);
        let fetched = found.fetched;
        assert_eq!(fetched.source, "/dev/incus/sock");
        assert_eq!(fetched.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
        assert_eq!((fetched.vendor_data, fetched.network), (None, None));
        assert_eq!(fetched.metadata.ssh_keys, [KEY]);
        assert_eq!(fetched.metadata.hostname.as_deref(), Some("web1"));
    }
}
