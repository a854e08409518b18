//! NoCloud's documents handed over by the hypervisor without a disk: QEMU's
//! firmware configuration (`-fw_cfg name=opt/org.holdfast/user-data,file=F`) or
//! systemd credentials (`oem.user-data`, also through SMBIOS; systemd(1)).

use super::{Found, Raw, Scene, nocloud};
use crate::error::{Context, Error, Result};
use std::fs::File;
use std::io::Read;

/// Prefix of our firmware configuration entries.
pub(crate) const FW_CFG: &str = "opt/org.holdfast/";
/// Prefix of our credentials.
pub(crate) const CREDENTIAL: &str = "oem.";
/// The kernel reads firmware configuration in quadratic time.
const MAX_FW_CFG: u64 = 1 << 20;

pub(super) fn read(scene: &Scene) -> Result<Option<Found>> {
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
