//! `ntp`: servers for systemd-timesyncd.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::{Any, Flag, Map, Table, Text};
use super::schema::{Section, WORDS, key};
use super::units::{Refresh, Verb};
use super::write_files::WriteFile;

const PATH: &str = "/etc/systemd/timesyncd.conf.d/50-cloud-config.conf";

pub(super) const SECTION: Section = Section {
    title: "Time servers",
    keys: &[
        key("ntp", Table, "time servers, for systemd-timesyncd"),
        key("ntp.enabled", Flag, "false: the rest is not applied"),
        key("ntp.servers", WORDS, "names or addresses"),
        key(
            "ntp.pools",
            WORDS,
            "names or addresses; used after the servers",
        ),
        key(
            "ntp.ntp_client",
            Text,
            "`auto` or `systemd-timesyncd`; another client is not in the image",
        ),
        key("ntp.peers", WORDS, "this machine is a client").not_applied(),
        key("ntp.allow", WORDS, "this machine is a client").not_applied(),
        key("ntp.config", Map(&Any), "it is for other clients").not_applied(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
ntp:
  enabled: true
  servers: [ntp1.example.com, 192.0.2.123]
  pools: [pool.example.com]
  ntp_client: auto
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = f.get("ntp") else {
        return;
    };
    let Some(f) = r.table(node, "ntp", SECTION.keys, "ntp.") else {
        return;
    };
    if f.boolean("enabled", r) == Some(false) {
        return;
    }
    for name in ["peers", "allow", "config"] {
        if let Some((spot, _)) = f.entry(name) {
            let why = "not applied: the time service here is a client, systemd-timesyncd";
            r.warn(spot, &f.key(name), why, "run another in a container");
        }
    }
    if let Some(client) = f.line("ntp_client", r)
        && !["auto", "systemd-timesyncd"].contains(&client.value.as_str())
    {
        let why = "is not in this image; systemd-timesyncd is used";
        r.warn(client.spot, &f.key("ntp_client"), why, "leave the key out");
    }
    let mut servers: Vec<String> = Vec::new();
    for name in ["servers", "pools"] {
        let Some(n) = f.get(name) else {
            continue;
        };
        for server in r.words(n, &f.key(name)) {
            if server.value.contains(char::is_whitespace) {
                r.error(server.spot, &f.key(name), "not a name or address", "");
            } else {
                servers.push(server.value);
            }
        }
    }
    if servers.is_empty() {
        return;
    }
    let text = format!("[Time]\nNTP={}\n", servers.join(" "));
    config
        .write_files
        .push(WriteFile::text(PATH, text, f.spot).at(f.spot));
    config.refreshes.push(At {
        spot: f.spot,
        value: Refresh {
            unit: "systemd-timesyncd.service",
            verb: Verb::TryRestart,
            paths: vec![PATH.to_owned()],
        },
    });
}
