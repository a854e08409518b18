//! `wireguard`: what wg-quick(8) reads, as units of systemd-networkd.

use super::CloudConfig;
use super::credential::{Reference, reference};
use super::diag::{At, Spot};
use super::read::{Fields, Reader};
use super::schema::Type::{As, Either, List, Table, Text};
use super::schema::{Section, TABLES, key};
use super::write_files::WriteFile;
use std::fmt::Write as _;

pub(super) const SECTION: Section = Section {
    title: "WireGuard",
    keys: &[
        key("wireguard", Table, "tunnels, by systemd-networkd"),
        key("wireguard.interfaces", TABLES, "one for each tunnel"),
        key(
            "wireguard.interfaces[].name",
            Text,
            "name of the interface, e.g. `wg0`",
        )
        .required(),
        key(
            "wireguard.interfaces[].content",
            Text,
            "configuration as wg-quick reads it; its `PrivateKey` and `PresharedKey` may be `credential:NAME`",
        )
        .required(),
        key(
            "wireguard.interfaces[].config_path",
            As("path"),
            "networkd's own files are written",
        )
        .accepted(),
        key(
            "wireguard.readinessprobe",
            Either(&[List(&Text), Text]),
            "nothing waits for a tunnel",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
wireguard:
  interfaces:
    - name: wg0
      config_path: /etc/wireguard/wg0.conf
      content: |
        [Interface]
        PrivateKey = 4Example=
        Address = 10.9.0.2/24
        [Peer]
        PublicKey = 5Example=
        Endpoint = vpn.example.com:51820
        AllowedIPs = 10.9.0.0/24
  readinessprobe: [ping -c1 10.9.0.1]
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = f.get("wireguard") else {
        return;
    };
    let Some(f) = r.table(node, "wireguard", SECTION.keys, "wireguard.") else {
        return;
    };
    let Some(list) = f.get("interfaces") else {
        return;
    };
    for (i, node) in r.list(list, "wireguard.interfaces").iter().enumerate() {
        let at = format!("wireguard.interfaces[{i}]");
        let Some(f) = r.table(node, &at, SECTION.keys, "wireguard.interfaces[].") else {
            continue;
        };
        let content = f
            .get("content")
            .and_then(|n| r.string(n, &f.key("content")));
        let (Some(name), Some(content)) = (f.line("name", r), content) else {
            r.error(f.spot, &at, "needs a `name` and `content`", "");
            continue;
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if !(1..=15).contains(&name.value.len()) || !name.value.bytes().all(plain) {
            let hint = "at most 15 letters and digits, e.g. `wg0`";
            r.error(
                name.spot,
                &f.key("name"),
                "not the name of an interface",
                hint,
            );
            continue;
        }
        let base = format!("/etc/systemd/network/60-{}", name.value);
        let Some(units) = translate(&name.value, &base, &content, &f.key("content"), r) else {
            continue;
        };
        // They hold private keys, and networkd is not root.
        let for_networkd = |mut file: WriteFile| {
            file.mode = Some(0o640);
            file.owner = Some(At {
                spot: f.spot,
                value: "root:systemd-network".to_owned(),
            });
            file.at(f.spot)
        };
        let keys = units.keys.into_iter();
        let keys = keys.map(|(path, name)| WriteFile::sealed(path, name, f.spot));
        config.write_files.extend(keys.map(for_networkd));
        let netdev = WriteFile::text(format!("{base}.netdev"), units.netdev, f.spot);
        let network = WriteFile::text(format!("{base}.network"), units.network, f.spot);
        config.write_files.push(for_networkd(netdev));
        config.write_files.push(network.at(f.spot));
    }
}

struct Units {
    /// Files that credentials are put into, and their names.
    keys: Vec<(String, String)>,
    netdev: String,
    network: String,
}

fn translate(
    name: &str,
    base: &str,
    content: &At<String>,
    path: &str,
    r: &mut Reader,
) -> Option<Units> {
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut netdev = format!("[NetDev]\nName={name}\nKind=wireguard\n");
    let mut device = String::new();
    let mut peers = String::new();
    let mut network = format!("[Match]\nName={name}\n");
    let mut inside = String::from("\n[Network]\n");
    let (mut section, mut private, mut routes) = (String::new(), false, true);
    for (number, line) in content.value.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with('[') {
            section = line.to_ascii_lowercase();
            if section == "[peer]" {
                peers += "\n[WireGuardPeer]\n";
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            let why = format!("line {} is not `Key = value`", number + 1);
            r.error(content.spot, path, why, "");
            return None;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        let words = value.split(',').map(str::trim).filter(|w| !w.is_empty());
        match (section.as_str(), key.as_str()) {
            ("[interface]", "privatekey") => {
                private = true;
                device += &secret("PrivateKey", value, base, content, path, &mut keys, r)?;
            }
            ("[interface]", "listenport") => {
                let _ = writeln!(device, "ListenPort={value}");
            }
            ("[interface]", "fwmark") => {
                let _ = writeln!(device, "FirewallMark={value}");
            }
            ("[interface]", "mtu") => {
                let _ = writeln!(netdev, "MTUBytes={value}");
            }
            ("[interface]", "address") => {
                words.for_each(|w| {
                    let _ = writeln!(inside, "Address={w}");
                });
            }
            ("[interface]", "dns") => {
                for word in words {
                    let address = word.parse::<std::net::IpAddr>().is_ok();
                    let key = if address { "DNS" } else { "Domains" };
                    let _ = writeln!(inside, "{key}={word}");
                }
            }
            ("[interface]", "table") => match value {
                "auto" => {}
                "off" => routes = false,
                table => {
                    let _ = writeln!(device, "RouteTable={table}");
                    routes = false;
                }
            },
            ("[interface]", "saveconfig") => {}
            ("[interface]", "preup" | "postup" | "predown" | "postdown") => warn_line(
                content.spot,
                path,
                number,
                "commands are not run by networkd",
                "run them from a unit in coreos.units",
                r,
            ),
            ("[peer]", "publickey") => {
                let _ = writeln!(peers, "PublicKey={value}");
            }
            ("[peer]", "presharedkey") => {
                peers += &secret("PresharedKey", value, base, content, path, &mut keys, r)?;
            }
            ("[peer]", "endpoint") => {
                let _ = writeln!(peers, "Endpoint={value}");
            }
            ("[peer]", "persistentkeepalive") => {
                let _ = writeln!(peers, "PersistentKeepalive={value}");
            }
            ("[peer]", "allowedips") => {
                words.for_each(|w| {
                    let _ = writeln!(peers, "AllowedIPs={w}");
                });
            }
            _ => warn_line(content.spot, path, number, "is not known", "", r),
        }
    }
    if !private {
        let hint = "`[Interface]` with `PrivateKey = ...`";
        r.error(content.spot, path, "there is no private key", hint);
        return None;
    }
    // As wg-quick does: what a peer may send from is reached through it.
    if routes {
        device += "RouteTable=main\n";
    }
    let _ = write!(netdev, "\n[WireGuard]\n{device}{peers}");
    network += &inside;
    Some(Units {
        keys,
        netdev,
        network,
    })
}

/// A key, or the file that a credential is put into.
fn secret(
    setting: &str,
    value: &str,
    base: &str,
    content: &At<String>,
    path: &str,
    keys: &mut Vec<(String, String)>,
    r: &mut Reader,
) -> Option<String> {
    let text = At {
        spot: content.spot,
        value: value.to_owned(),
    };
    match reference(&text, path, r) {
        Reference::Text => Some(format!("{setting}={value}\n")),
        Reference::Wrong => None,
        Reference::To(name) => {
            let file = match keys.len() {
                0 => format!("{base}.key"),
                n => format!("{base}-{}.key", n + 1),
            };
            let line = format!("{setting}File={file}\n");
            keys.push((file, name));
            Some(line)
        }
    }
}

fn warn_line(spot: Spot, path: &str, number: usize, why: &str, hint: &str, r: &mut Reader) {
    let message = format!("line {} of the content is not applied: {why}", number + 1);
    r.warn(spot, path, message, hint);
}
