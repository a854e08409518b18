//! The hypervisor's own channels. Only who starts the machine can use them.

use crate::detect::{Clue, Evidence, Provider};
use crate::source::Source;
use crate::source::host::{CREDENTIAL, FW_CFG};

pub(super) const PROVIDER: Provider = Provider {
    name: "host",
    title: "Hypervisor (firmware configuration, credentials)",
    aliases: &["qemu", "fw_cfg"],
    detect,
    sources: &[Source::Host],
    guess: false,
};

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
