//! `coreos.etcd2`: the environment of the etcd that the recipe `cluster` ships.

use super::diag::At;
use super::node::Kind;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Flag, Table, Text, Word};
use super::schema::{Section, key};
use super::shell::environment;
use super::units::{DropIn, Unit};
use super::{CloudConfig, WriteFile};

/// Its unit; `etcd2.service` is another name for it.
const UNIT: &str = "etcd.service";

const PROXY: &[&str] = &["on", "off", "readonly"];

pub(super) const SECTION: Section = Section {
    title: "etcd",
    keys: &[
        key(
            "coreos.etcd2",
            Table,
            "settings of etcd, each as ETCD_NAME in a drop-in of etcd.service",
        ),
        field("coreos.etcd2.advertise_client_urls"),
        key(
            "coreos.etcd2.ca_file",
            As("path"),
            "older word for `trusted_ca_file` with `client_cert_auth: true`",
        ),
        field("coreos.etcd2.cert_file"),
        field("coreos.etcd2.client_cert_auth"),
        field("coreos.etcd2.cors"),
        field("coreos.etcd2.data_dir"),
        key("coreos.etcd2.debug", Flag, "as `log_level: debug`"),
        field("coreos.etcd2.discovery"),
        field("coreos.etcd2.discovery_fallback"),
        field("coreos.etcd2.discovery_srv"),
        field("coreos.etcd2.discovery_proxy"),
        field("coreos.etcd2.election_timeout"),
        field("coreos.etcd2.enable_pprof"),
        field("coreos.etcd2.force_new_cluster"),
        field("coreos.etcd2.heartbeat_interval"),
        field("coreos.etcd2.initial_advertise_peer_urls"),
        field("coreos.etcd2.initial_cluster"),
        field("coreos.etcd2.initial_cluster_state"),
        field("coreos.etcd2.initial_cluster_token"),
        field("coreos.etcd2.key_file"),
        field("coreos.etcd2.listen_client_urls"),
        field("coreos.etcd2.listen_peer_urls"),
        key(
            "coreos.etcd2.log_package_levels",
            Text,
            "etcd 3.5 has no such setting; use `debug: true`",
        )
        .not_applied(),
        field("coreos.etcd2.max_snapshots"),
        field("coreos.etcd2.max_wals"),
        field("coreos.etcd2.name"),
        key(
            "coreos.etcd2.peer_ca_file",
            As("path"),
            "older word for `peer_trusted_ca_file` with `peer_client_cert_auth: true`",
        ),
        field("coreos.etcd2.peer_cert_file"),
        field("coreos.etcd2.peer_key_file"),
        field("coreos.etcd2.peer_client_cert_auth"),
        field("coreos.etcd2.peer_trusted_ca_file"),
        key(
            "coreos.etcd2.proxy",
            Word(PROXY),
            "as etcd's flag of that name",
        ),
        field("coreos.etcd2.proxy_dial_timeout"),
        field("coreos.etcd2.proxy_failure_wait"),
        field("coreos.etcd2.proxy_read_timeout"),
        field("coreos.etcd2.proxy_refresh_interval"),
        field("coreos.etcd2.proxy_write_timeout"),
        field("coreos.etcd2.snapshot_count"),
        field("coreos.etcd2.strict_reconfig_check"),
        field("coreos.etcd2.trusted_ca_file"),
        field("coreos.etcd2.wal_dir"),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = r#"coreos:
  etcd2:
    name: web-1
    data_dir: /var/lib/etcd
    wal_dir: /var/lib/etcd/wal
    advertise_client_urls: https://$private_ipv4:2379
    listen_client_urls: https://0.0.0.0:2379
    initial_advertise_peer_urls: https://$private_ipv4:2380
    listen_peer_urls: https://$private_ipv4:2380
    # Either the members...
    initial_cluster: web-1=https://192.0.2.1:2380,web-2=https://192.0.2.2:2380
    initial_cluster_state: new
    initial_cluster_token: shop
    # ... or where to ask for them.
    discovery: https://discovery.example.com/token
    discovery_srv: example.com
    discovery_proxy: http://proxy.example.com:3128
    discovery_fallback: proxy
    cert_file: /etc/etcd/cert.pem
    key_file: /etc/etcd/key.pem
    client_cert_auth: true
    trusted_ca_file: /etc/etcd/ca.pem
    ca_file: /etc/etcd/ca.pem
    peer_cert_file: /etc/etcd/peer.pem
    peer_key_file: /etc/etcd/peer-key.pem
    peer_client_cert_auth: true
    peer_trusted_ca_file: /etc/etcd/ca.pem
    peer_ca_file: /etc/etcd/ca.pem
    heartbeat_interval: 100
    election_timeout: 1000
    max_snapshots: 5
    max_wals: 5
    snapshot_count: 10000
    strict_reconfig_check: true
    force_new_cluster: false
    cors: https://example.com
    debug: false
    enable_pprof: false
    proxy: "off"
    proxy_dial_timeout: 1000
    proxy_failure_wait: 5000
    proxy_read_timeout: 0
    proxy_refresh_interval: 30000
    proxy_write_timeout: 5000
"#;

const fn field(name: &'static str) -> super::schema::Key {
    key(name, As("value"), "as etcd's flag of that name")
}

fn read(coreos: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = coreos.get("etcd2") else {
        return;
    };
    let Some(f) = r.table(node, "coreos.etcd2", SECTION.keys, "coreos.etcd2.") else {
        return;
    };
    let mut lines = String::new();
    for (name, spot, node) in f.iter() {
        let Some(value) = setting(node, &f.key(name), r) else {
            continue;
        };
        match name {
            "ca_file" | "peer_ca_file" => {
                let prefix = if name == "ca_file" { "" } else { "PEER_" };
                lines += &environment(&format!("ETCD_{prefix}TRUSTED_CA_FILE"), &value);
                lines += &environment(&format!("ETCD_{prefix}CLIENT_CERT_AUTH"), "true");
            }
            "debug" if value == "true" => lines += &environment("ETCD_LOG_LEVEL", "debug"),
            "debug" => {}
            "log_package_levels" => {
                let why = "not applied: etcd 3.5 has no levels by package";
                r.warn(spot, &f.key(name), why, "use `debug: true`");
            }
            "proxy" if !PROXY.contains(&value.as_str()) => {
                let word = At {
                    spot: node.spot,
                    value,
                };
                r.word(&word, &f.key(name), PROXY, "unknown kind of proxy");
            }
            _ => {
                if name == "discovery" && !is_url(&value) {
                    let why = "not a URL";
                    r.warn(
                        spot,
                        &f.key(name),
                        why,
                        "etcd will refuse it: https://HOST/TOKEN",
                    );
                }
                let variable = format!("ETCD_{}", name.to_ascii_uppercase());
                lines += &environment(&variable, &value);
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    let mut unit = Unit::named(UNIT, f.spot);
    unit.runtime = true;
    unit.drop_ins.push(At {
        spot: f.spot,
        value: DropIn {
            name: "20-cloudinit.conf".to_owned(),
            content: format!("[Service]\n{lines}"),
        },
    });
    config.units.push(At {
        spot: f.spot,
        value: unit,
    });
    config.links.push(At {
        spot: f.spot,
        value: alias(),
    });
}

/// `etcd2.service`, which old files start.
fn alias() -> super::Link {
    let target = format!("/usr/lib/systemd/system/{UNIT}");
    super::Link {
        path: "/run/systemd/system/etcd2.service".to_owned(),
        need: Some(super::Need {
            any_of: vec![target.clone()],
            within: "/usr/lib/systemd/system",
            why: "this image has no etcd".to_owned(),
            hint: "build the image from the recipe `cluster`, or run etcd from a unit of your own",
        }),
        target,
    }
}

/// The value as a setting; what CoreOS took as absent (empty, `false`, `0`) counts,
/// for someone wrote it.
pub(super) fn setting(node: &super::node::Node, path: &str, r: &mut Reader) -> Option<String> {
    if let Kind::Scalar { text, plain, .. } = &node.kind {
        if node.is_null() {
            return None;
        }
        // YAML 1.1's words for booleans, as programs in Go take them.
        if *plain && matches!(text.as_str(), "yes" | "Yes" | "True" | "TRUE") {
            return Some("true".to_owned());
        }
        if *plain && matches!(text.as_str(), "no" | "No" | "False" | "FALSE") {
            return Some("false".to_owned());
        }
    }
    let line = r.line(node, path)?;
    (!line.value.is_empty()).then_some(line.value)
}

fn is_url(text: &str) -> bool {
    text.contains('$') || text.starts_with("http://") || text.starts_with("https://")
}

/// A file of `NAME=value` lines, for a table whose fields are variables.
pub(super) fn variables(
    f: &Fields<'_>,
    path: &str,
    name_of: impl Fn(&str) -> String,
    r: &mut Reader,
) -> Option<WriteFile> {
    let mut text = String::new();
    for (name, _, node) in f.iter() {
        if let Some(value) = setting(node, &f.key(name), r) {
            text += &format!("{}={value}\n", name_of(name));
        }
    }
    (!text.is_empty()).then(|| WriteFile::text(path, text, f.spot))
}
