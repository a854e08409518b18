//! The hypervisor's own channels, which only who starts the machine can use: NoCloud's
//! documents without a disk, in QEMU's firmware configuration (`-fw_cfg
//! name=opt/org.holdfast/user-data,file=F`) or systemd credentials (`oem.user-data`,
//! also through SMBIOS; systemd(1)).

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::{Context, Error, Result};
use crate::source::{Found, Raw, Scene, Source, nocloud};
use std::fs::File;
use std::io::Read;

pub(super) static PROVIDER: Provider = Provider {
    name: "host",
    title: "Hypervisor (firmware configuration, credentials)",
    aliases: &["qemu", "fw_cfg"],
    detect,
    sources: &[&CHANNELS],
    ..Provider::NONE
};

static CHANNELS: Source = Source {
    name: "host",
    title: "firmware configuration or credentials",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(read(scene))),
    parse: |raw, source| nocloud::parse(raw, source, None),
};

/// Prefix of our firmware configuration entries.
const FW_CFG: &str = "opt/org.holdfast/";
/// Prefix of our credentials.
const CREDENTIAL: &str = "oem.";
/// The kernel reads firmware configuration in quadratic time.
const MAX_FW_CFG: u64 = 1 << 20;

fn detect(evidence: &Evidence) -> Option<Clue> {
    let credential = evidence
        .credentials
        .iter()
        .find(|n| n.starts_with(CREDENTIAL));
    if let Some(name) = credential {
        return Clue::certain(format!("systemd credential `{name}`"));
    }
    let entry = evidence.fw_cfg.iter().find(|n| n.starts_with(FW_CFG))?;
    Clue::certain(format!("QEMU firmware configuration `{entry}`"))
}

fn read(scene: &Scene) -> Result<Option<Found>> {
    let evidence = &scene.evidence;
    let mut raw = Raw::new();
    let mut sources = Vec::new();
    for (name, limit) in nocloud::DOCUMENTS {
        let credential = format!("{CREDENTIAL}{name}");
        let entry = format!("{FW_CFG}{name}");
        let (path, limit) = if evidence.credentials.contains(&credential) {
            (format!("run/credentials/@system/{credential}"), limit)
        } else if evidence.fw_cfg.contains(&entry) {
            (
                format!("sys/firmware/qemu_fw_cfg/by_name/{entry}/raw"),
                MAX_FW_CFG,
            )
        } else {
            continue;
        };
        let what = || format!("cannot read /{path}");
        let mut bytes = Vec::new();
        let file = File::open(scene.root.join(&path)).environment(what)?;
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .environment(what)?;
        if bytes.len() as u64 > limit {
            return Err(Error::input(format!("/{path} is over {limit} bytes"))
                .hint("use a disk labelled cidata"));
        }
        raw.insert(name.into(), bytes);
        sources.push(format!("/{path}"));
    }
    if raw.is_empty() {
        return Ok(None);
    }
    let mut found = nocloud::parse(&raw, &sources.join(", "), None);
    found.fetched.provider = "host".into();
    found.fetched.metadata.provider = "host".into();
    Ok(Some(found))
}
